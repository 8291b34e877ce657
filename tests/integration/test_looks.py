"""What /admin/ tells of names, functions and single connections, and what an admin may do there."""
import asyncio
import json
import re
import signal
import urllib.parse
from pathlib import Path

import pytest

from gateway import until
from peer import Closed, RawPeer, dumps
from test_admin import ask
from test_functions import Held, answer, begin, echo, received
from test_inspect import congest, gateway, look, see  # noqa: F401 (the fixture is this file's too)

REPOSITORY = Path(__file__).parents[2]
PATHS = "/admin/names", "/admin/name?kind=var&name=x", "/admin/connection?id=1", "/admin/functions", "/admin/executors"


def query(path, **arguments):
    return path + "?" + urllib.parse.urlencode(arguments)


async def pages(gateway, path, member, **arguments):
    """All rows of a listing, page by page."""
    rows, after = [], 0
    while after is not None:
        page = await see(gateway, query(path, **arguments, **({"after": after} if after else {})))
        rows += page[member]
        after = page.get("next")
    return rows


@pytest.mark.parametrize("path", PATHS)
def test_strangers_see_nothing(gateway, path):
    for headers, status in [({"Host": "gate.example"}, 401), ({"X_Forwarded_For": "10.0.0.1"}, 401), ({"Authorization": "Bearer clerk"}, 403)]:
        assert ask(gateway.address, path, **headers).status == status
    assert ask(gateway.address, path, "POST").status == 405


@pytest.mark.parametrize("path", [
    "/admin/names?limit=0", "/admin/names?limit=201", "/admin/names?after=x", "/admin/names?order=age", "/admin/names?order=",
    "/admin/names?match=" + "x" * 600, "/admin/names?order=" + "x" * 100,
    "/admin/name", "/admin/name?kind=var", "/admin/name?name=x", "/admin/name?kind=set&name=x", "/admin/name?kind=var&name=" + "x" * 513,
    "/admin/name?kind=list&name=x&first=-1",
    "/admin/connection", "/admin/connection?id=0", "/admin/connection?id=x", "/admin/connection?id=1&limit=0", "/admin/connection?id=1&worker=x",
    "/admin/functions?limit=999", "/admin/functions?match=" + "x" * 600, "/admin/executors?after=-1",
])
def test_malformed_questions(gateway, path):
    assert ask(gateway.address, path).status == 400


# --- names ---


async def test_names_come_in_pages_and_are_all_there(gateways, peers, db):
    gateway = gateways.start("--linger", "10m")
    names = [f"page:{n}" for n in range(120)]
    await db.pipeline([("FCALL", "sg_var_set", 1, f"sg:{{{each}}}", "0") for each in names])
    peer = await peers(gateway)
    for each in names:
        await peer.subscribed("var", each)
    rows = await pages(gateway, "/admin/names", "names", limit=7)
    assert sorted(row["name"] for row in rows) == sorted(names)
    assert all(row["kind"] == "var" and row["state"] == "ready" and row["subscribers"] == 1 and row["rev"] == 1 for row in rows)
    assert (await see(gateway, "/admin/names"))["total"] == 120
    assert [row["name"] for row in await pages(gateway, "/admin/names", "names", match="*:11?", limit=3)] != []
    assert sorted(row["name"] for row in await pages(gateway, "/admin/names", "names", match="*:11?")) == [f"page:11{n}" for n in range(10)]
    for made_up in 2 ** 62, 99, 127, 12345:
        await see(gateway, f"/admin/names?after={made_up}")


async def test_the_order_of_names(gateways, peers, db):
    gateway = gateways.start()
    await db.fcall("sg_var_set", "small", "1")
    await db.fcall("sg_var_set", "large", json.dumps("x" * 5000))
    await db.fcall("sg_list_set_all", "list", json.dumps([{"id": n, "value": n} for n in range(30)]))
    crowd = [await peers(gateway) for _ in range(3)]
    for peer in crowd:
        await peer.subscribed("var", "small")
    await crowd[0].subscribed("var", "large")
    await crowd[0].subscribed("list", "list")
    await crowd[1].subscribed("list", "list")

    async def order(by, limit=3):
        return [(row["name"], row["kind"]) for row in (await see(gateway, f"/admin/names?order={by}&limit={limit}"))["names"]]
    assert await order("subscribers") == [("small", "var"), ("list", "list"), ("large", "var")]
    assert await order("size") == [("large", "var"), ("list", "list"), ("small", "var")]
    assert await order("subscribers", 1) == [("small", "var")]
    await db.fcall("sg_var_set", "large", "2")
    await until(lambda: look(gateway, "/admin/names?order=changed&limit=1")["names"][0]["name"] == "large", "it changed last")
    (row,) = [row for row in look(gateway, "/admin/names")["names"] if row["name"] == "list"]
    assert row["size"] == 30 and row["windows"] == 1 and row["exists"] and "changed_ago_ms" not in row
    (row,) = [row for row in look(gateway, "/admin/names")["names"] if row["name"] == "large"]
    assert row["size"] == 1 and row["rev"] == 2 and row["changed_ago_ms"] >= 0


async def test_one_name_is_read_from_redis(gateways, peers, db, name):
    one, two = gateways.start(), gateways.start()
    where = query("/admin/name", kind="var", name=name)
    assert (await see(one, where))["redis"] == {"exists": False, "rev": 0, "size": 0}
    await db.fcall("sg_var_set", name, '{"a":1}')
    told = await see(one, where)
    assert told["redis"] == {"exists": True, "rev": 1, "size": 7, "value": '{"a":1}'} and "here" not in told
    everybody = told["fleet"]["asked"]  # whoever else is up, too
    assert everybody >= 2 and told["fleet"] == {"subscribers": 0, "gateways": 0, "asked": everybody, "answered": everybody}
    for gateway in (one, two, two):
        await (await peers(gateway)).subscribed("var", name)
    told = await see(two, where)
    assert told["here"]["subscribers"] == 2
    assert told["fleet"] == {"subscribers": 3, "gateways": 2, "asked": everybody, "answered": everybody}
    assert (await see(one, query("/admin/name", kind="list", name=name)))["fleet"]["subscribers"] == 0
    await db.fcall("sg_var_set", name, json.dumps("é" * 40000, ensure_ascii=False))
    told = await see(one, where)
    assert told["redis"]["cut"] and told["redis"]["size"] == 80002 and len(told["redis"]["value"].encode()) in range(65533, 65537)


async def test_one_list_is_read_from_redis(gateway, db, name):
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": f"i{n}", "value": "x" * 3000 if n == 21 else n} for n in range(45)]))
    where = dict(kind="list", name=name)
    told = (await see(gateway, query("/admin/name", **where)))["redis"]
    assert told["size"] == 45 and [item["index"] for item in told["items"]] == list(range(20))
    assert told["items"][3] == {"index": 3, "id": '"i3"', "size": 1, "value": "3"}
    told = (await see(gateway, query("/admin/name", **where, first=20)))["redis"]
    assert told["items"][1]["cut"] and len(told["items"][1]["value"]) == 2048 and told["items"][1]["size"] == 3002
    assert len((await see(gateway, query("/admin/name", **where, first=40)))["redis"]["items"]) == 5
    assert (await see(gateway, query("/admin/name", **where, first=4000)))["redis"]["items"] == []


async def test_a_name_without_redis(gateways, durable, peers):
    gateway = gateways.start(redis=durable.socket_path)
    durable.kill()
    await until(lambda: ask(gateway.address, PATHS[1]).status == 503, "503")
    assert (await see(gateway, "/admin/names"))["names"] == []


# --- one connection ---


async def id_of(gateway, token):
    rows = (await see(gateway, "/admin/connections?limit=200"))["connections"]
    (row,) = [row for row in rows if row["token"] == token]
    return row["id"]


async def test_one_connection_with_all_it_follows(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, 1)
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": n, "value": n} for n in range(30)]))
    peer = await peers(gateway, token="clerk")
    await peer.subscribe("var", name, max_rate=2)
    await peer.recv()
    await peer.subscribed("list", name)
    await peer.get("list", name, page=2, page_size=7)
    assert (await peer.recv())["page"] == 2
    where = dict(id=await id_of(gateway, "clerk"))
    answer_ = await see(gateway, query("/admin/connection", **where))
    (connection,) = answer_["connection"]
    assert connection["token"] == "clerk" and connection["subscriptions"] == 2 and "next" not in answer_
    var, list_ = answer_["subscriptions"]
    assert (var["kind"], var["name"], var["interval_ms"], var["behind"], var["rev"]) == ("var", name, 500, False, 1)
    assert list_["window"] == {"page": 2, "page_size": 7} and list_["interval_ms"] == 0
    assert list_["told"] == {"page": 2, "page_size": 7, "items": 7, "total": 30, "rev": 1}
    page = await see(gateway, query("/admin/connection", **where, limit=1))
    assert page["subscriptions"] == [var] and page["next"] == 1
    assert (await see(gateway, query("/admin/connection", **where, limit=1, after=1)))["subscriptions"] == [list_]
    assert ask(gateway.address, "/admin/connection?id=999999").status == 404
    assert ask(gateway.address, query("/admin/connection", **where, worker=1)).status == 421
    assert (await see(gateway, query("/admin/connection", **where, worker=0)))["connection"]


async def test_what_a_slow_reader_is_behind_with(gateways, peers, db, name):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, 0)
    slow = await peers.bare(gateway.address, receive_buffer=4096)
    await slow.send_frame(RawPeer.TEXT, dumps(func="subscribe", type="var", name=name).encode())
    await slow.recv_text()
    await congest(gateway, db, name)
    told = await see(gateway, "/admin/connection?id=1")
    assert told["subscriptions"][0]["behind"] and any("congested" in why for why in told["connection"][0]["why"])
    slow.close()


# --- functions ---


async def test_functions_and_who_serves_them(gateways, peers, name):
    one, two = gateways.start("--call-timeout", "10m"), gateways.start("--call-timeout", "10m")
    held = Held()
    executor, caller = await peers(one), await peers(two)
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "a")
    await received(held, executor)
    for gateway in one, two:
        assert name in await pages(gateway, "/admin/functions", "functions", match=name + "*")
        assert await pages(gateway, "/admin/functions", "functions", match="no" + name) == []
    (row,) = await pages(one, "/admin/executors", "executors")
    assert row == {"conn": 1, "name": name, "serving": True, "in_flight": 1, "answered": 0, "timed_out": 0}
    assert (await pages(two, "/admin/executors", "executors")) == [] and look(two, "/admin/executors")["calls"] == 1
    (call,) = look(two, "/admin/connection?id=1")["calls"]
    assert call["name"] == name and call["age_ms"] >= 0
    await answer(held.calls[0], 7)
    await caller.settled("a")
    (row,) = (await see(one, "/admin/connection?id=1"))["functions"]
    assert row["in_flight"] == 0 and row["answered"] == 1 and 0 <= row["last_us"] == row["mean_us"] == row["max_us"]


async def test_many_functions_come_in_pages(gateways, peers, name):
    gateway = gateways.start()
    executor = await peers(gateway)
    names = sorted(f"{name}.{n}" for n in range(60))
    for each in names:
        await executor.serve(each, echo)
    await until(lambda: look(gateway, f"/admin/functions?match={name}.*&limit=200").get("functions", [])[59:], "all are live")
    assert sorted(await pages(gateway, "/admin/functions", "functions", match=f"{name}.*", limit=5)) == names
    assert sorted(row["name"] for row in await pages(gateway, "/admin/executors", "executors", limit=5)) == names


# --- actions ---


async def test_a_connection_is_closed_with_a_reason(gateways, peers):
    gateway = gateways.start()
    one, two = await peers(gateway), await peers(gateway)
    response = ask(gateway.address, "/admin/connection/close?id=2", "POST", "You poll too much: schöne Grüße\n".encode())
    assert (response.status, response.body) == (202, b"closing\n")
    with pytest.raises(Closed) as closed:
        while True:
            await two.recv()
    assert (closed.value.code, closed.value.reason) == (4000, "You poll too much: schöne Grüße")
    await until(lambda: look(gateway, "/admin/connections")["total"] == 1, "the other stays")
    await until(lambda: "connection closed" in gateway.stderr(), "the line")
    lines = gateway.stderr().splitlines()
    (action,) = [line for line in lines if "action=close" in line]
    assert "conn=2" in action and 'by="local"' in action and "remote=127.0.0.1" in action and "poll too much" in action
    (end,) = [line for line in lines if "connection closed" in line]
    assert "code=4000" in end and "closed by an operator" in end
    await one.close()


async def test_without_a_reason_there_is_one_all_the_same(gateways, peers):
    gateway = gateways.start()
    peer = await peers(gateway)
    assert ask(gateway.address, "/admin/connection/close?id=1", "POST").status == 202
    with pytest.raises(Closed) as closed:
        while True:
            await peer.recv()
    assert (closed.value.code, closed.value.reason) == (4000, "closed by an operator")


@pytest.mark.parametrize("path, body, status", [
    ("?id=1", b"x" * 124, 400), ("?id=1", b"two\nlines", 400), ("?id=1", b"\xff", 400), ("?id=x", b"", 400), ("", b"", 400),
    ("?id=999999", b"", 404), ("?id=1&worker=1", b"", 421), ("?id=1&worker=x", b"", 400),
])
def test_what_is_no_close(gateway, path, body, status):
    assert ask(gateway.address, "/admin/connection/close" + path, "POST", body).status == status
    assert ask(gateway.address, "/admin/connection/close" + path).status == 405


@pytest.mark.parametrize("action", ["/admin/connection/close?id=999999", "/admin/drain"])
def test_who_may_act(gateway, action):
    for headers, status in [
            ({"Host": "gate.example"}, 401), ({"Authorization": "Bearer clerk"}, 403), ({"Origin": "http://evil.example"}, 401),
            ({"Authorization": "Bearer boss", "Origin": "http://evil.example"}, 403), ({"Authorization": "Bearer boss", "Origin": "null"}, 403),
            ({"Authorization": "Bearer boss", "Host": "gate.example", "Origin": "https://gate.example.evil.example"}, 403)]:
        assert ask(gateway.address, action, "POST", **headers).status == status, headers
        assert ask(gateway.address, action + ("&" if "?" in action else "?") + "token=boss", "POST", Origin="http://evil.example").status == 403
    assert look(gateway, "/admin/stats")["state"] == "ready"
    for headers in {"Authorization": "Bearer boss"}, {"Authorization": "Bearer boss", "Host": "gate.example", "Origin": "https://gate.example"}:
        assert ask(gateway.address, "/admin/connection/close?id=999999", "POST", **headers).status == 404


async def test_who_drained_is_in_the_log(gateways, tmp_path):
    gateway = gateways.start()
    ask(gateway.address, "/admin/drain", "POST")
    await until(lambda: "action=drain" in gateway.stderr(), "the line")
    await asyncio.to_thread(gateway.wait_exit)


async def test_of_several_workers_the_right_one_closes(gateways, peers):
    gateway = gateways.start("--workers", "2")
    many = [await peers(gateway) for _ in range(8)]
    where = {}
    await until(lambda: where.update({page["worker"]: [row["id"] for row in page["connections"]]
                                      for page in [look(gateway, "/admin/connections")]}) or sum(map(len, where.values())) == 8, "all are seen")
    worker, ids = max(where.items(), key=lambda item: len(item[1]))
    path = f"/admin/connection/close?id={ids[0]}&worker={worker}"
    await until(lambda: ask(gateway.address, path, "POST").status == 202, "the right one answered")
    await until(lambda: gateway.stderr().count("connection closed") == 1, "one is closed")
    assert sum(peer.broken is not None for peer in many) <= 1


async def test_the_rights_of_the_containers_are_enough(gateways, redis_server, db, name):
    """With the user of docker/redis/users.acl the subscribers of a name are counted; with less the rest is told all the same."""
    rights = re.search(r"^user gateway on #GATEWAY_PASSWORD (.*)$", (REPOSITORY / "docker/redis/users.acl").read_text(), re.M)[1].split()
    await db.fcall("sg_var_set", name, 5)
    less = [word for right in rights for word in (["&sg:{*", "&sg:@{probe*", "&sg:@{calls*"] if right == "&sg:*" else [right])]
    for user, words, told_of_fleet in [("counts", rights, True), ("cannot", less, False)]:
        await db.cmd("ACL", "SETUSER", user, "on", ">secret", *words)
        gateway = gateways.new("--redis", f"redis://{user}:secret@127.0.0.1:{redis_server.port}", redis=None).start()
        told = await see(gateway, query("/admin/name", kind="var", name=name))
        assert told["redis"]["value"] == "5" and ("fleet" in told) is told_of_fleet
        assert await gateway.metric("syncgate_redis_link_losses_total") == 0


async def test_a_gateway_that_is_silent_is_not_waited_for_for_ever(gateways, peers, db, name):
    one, two = gateways.start(), gateways.start()
    for gateway in (one, two):
        await (await peers(gateway)).subscribe("var", name, wait=True)
    where = query("/admin/name", kind="var", name=name)
    await until(lambda: look(one, where)["fleet"]["subscribers"] == 2, "both count theirs")
    two.signal(signal.SIGSTOP)
    try:
        told = await see(one, where)
    finally:
        two.signal(signal.SIGCONT)
    assert told["fleet"]["subscribers"] == told["fleet"]["gateways"] == 1 and told["fleet"]["asked"] == told["fleet"]["answered"] + 1


async def test_what_others_publish_to_the_census_is_passed_over(gateway, db, name):
    for text in ("", "x", "0123456789abcdef 1 v", "0123456789abcdef 1 s a", "0123456789ABCDEF 1 v a", "0123456789abcde} 1 v a", "0123456789abcdef x v a",
                 "0123456789abcdef -1 v a", "0123456789abcdef 1 v " + "n" * 513, "0123456789abcdef 1 v a b c"):
        assert await db.cmd("SPUBLISH", "sg:@{census}", text) >= 1
    for own in await db.cmd("PUBSUB", "SHARDCHANNELS", "sg:@{census:*"):
        for text in ("", "1", "1 x", "1 -1", "1 99999999999999999", "x 1", "1 0", "2 0"):
            assert await db.cmd("SPUBLISH", own.decode(), text) == 1
    fleet = (await see(gateway, query("/admin/name", kind="var", name=name)))["fleet"]
    assert fleet["subscribers"] == 0 and fleet["asked"] == fleet["answered"] >= 1
