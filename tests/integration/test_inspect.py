"""What /admin/ shows of a running gateway: figures, connections and what ails them, refusals, the fleet, live frames."""
import asyncio
import contextlib
import itertools
import json
import signal
import urllib.parse

import pytest
from websockets.exceptions import InvalidStatusCode

from conftest import Gateways, write_config
from gateway import PATIENCE_S, poll, until
from peer import Closed, Peer, RawPeer, dumps
from test_admin import ask
from test_drain import cut

CONFIG = """
anonymous: { subscribe: ["*"], call: ["*"], write: ["*"] }
tokens:
  - { token: "boss", name: boss, admin: true, subscribe: ["*"], write: ["*"] }
  - { token: "clerk", name: clerk, subscribe: ["*"] }
"""
PATHS = "/admin/stats", "/admin/connections", "/admin/refusals", "/admin/fleet", "/admin/tap"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("inspect")
    pool = Gateways(folder, redis_server.socket_path)
    yield pool.start("--config", write_config(folder / "syncgate.yaml", CONFIG), dev=False)
    pool.stop()


def look(gateway, path, status=200, **headers):
    response = ask(gateway.address, path, **headers)
    assert response.status == status, (path, response)
    return json.loads(response.body) if status == 200 else response.body.decode()


async def see(gateway, path):
    return await asyncio.to_thread(look, gateway, path)


def test_the_address_of_redis_is_told_without_its_password(gateways):
    """The page makes a command for a shell of it."""
    gateway = gateways.new("--redis", "redis://writer:hunter22@127.0.0.1:1/3", "--prefix", "acme:", redis=None)
    gateway.launch()
    poll(lambda: "cannot reach Redis" in gateway.stderr(), "a gateway that waits for Redis")
    stats = look(gateway, "/admin/stats")
    assert (stats["redis"], stats["prefix"]) == ("redis://127.0.0.1:1/3", "acme:")


def identity(gateway):
    stats = look(gateway, "/admin/stats")
    return stats["id"]


# --- who may look, and how ---


@pytest.mark.parametrize("path", PATHS)
def test_strangers_see_nothing(gateway, path):
    for headers, status in [({"Host": "gate.example"}, 401), ({"X_Forwarded_For": "10.0.0.1"}, 401), ({"Authorization": "Bearer clerk"}, 403),
                            ({"Authorization": "Bearer bos"}, 401), ({"Origin": "http://evil.example"}, 401)]:
        assert ask(gateway.address, path, **headers).status == status
    assert ask(gateway.address, path, "POST").status == 405


@pytest.mark.parametrize("path", PATHS[:-1])
def test_an_admin_sees_from_anywhere(gateway, path):
    assert look(gateway, path, Host="gate.example", Authorization="Bearer boss")["id"] == identity(gateway)
    assert ask(gateway.address, path, "HEAD").body == b""


@pytest.mark.parametrize("path", [
    "/admin/stats?since=x", "/admin/stats?since=-1", "/admin/stats?since=99999999999999999999", "/admin/stats?since=" + "1" * 400,
    "/admin/stats?span=day", "/admin/stats?span=", "/admin/stats?span=" + "h" * 100,
    "/admin/connections?limit=0", "/admin/connections?limit=201", "/admin/connections?limit=1x", "/admin/connections?limit=-1",
    "/admin/connections?after=x", "/admin/connections?after=-1", "/admin/connections?order=up",
    "/admin/connections?order=trouble&after=1", "/admin/connections?order=" + "t" * 100,
    "/admin/tap?conn=x", "/admin/tap?conn=0", "/admin/tap?conn=-1", "/admin/tap?conn=" + "1" * 100, "/admin/tap?name=" + "x" * 600,
])
def test_malformed_questions(gateway, path):
    assert ask(gateway.address, path).status == 400
    assert look(gateway, "/admin/stats")["state"] == "ready"


# --- figures ---


async def test_figures_move(gateway, peers, db, name):
    before = await see(gateway, "/admin/stats")
    columns = before["history"]["columns"]
    assert columns[0] == "time_ms" and before["state"] == "ready" and before["workers"] == 1 and before["worker"] == 0
    assert before["address"] == f"127.0.0.1:{gateway.port}" and before["version"]
    peer = await peers(gateway)
    await db.fcall("sg_var_set", name, 0)
    await peer.subscribed("var", name)
    for number in range(1, 20):
        await db.fcall("sg_var_set", name, number)
        await peer.recv()

    async def counted():
        stats = await see(gateway, f"/admin/stats?since={before['now_ms']}")
        assert stats["history"]["columns"] == columns
        rows = [dict(zip(columns, row)) for row in stats["history"]["rows"]]
        assert all(row["time_ms"] > before["now_ms"] for row in rows)
        assert rows == sorted(rows, key=lambda row: row["time_ms"])
        latencies = [row["latency_p99_us"] for row in rows if row["latency_p99_us"] is not None]
        assert all(row["latency_p50_us"] is None or 0 < row["latency_p50_us"] <= row["latency_p99_us"] for row in rows)
        return latencies and rows[-1]["sent"] >= 20 and rows[-1]["changes"] >= 19 and rows[-1]["connections"] >= 1
    await until(counted, lambda: f"the history holds the deliveries: {look(gateway, PATHS[0])}")


async def test_an_hour_is_kept_too(gateway):
    coarse = (await see(gateway, "/admin/stats?span=hour"))["history"]
    fine = (await see(gateway, "/admin/stats?span=minutes"))["history"]
    assert fine["columns"] == coarse["columns"] and 1 <= len(coarse["rows"]) <= len(fine["rows"])


async def test_since_the_future_there_is_nothing(gateway):
    assert (await see(gateway, "/admin/stats?since=9999999999999"))["history"]["rows"] == []


# --- connections ---


async def test_connections_come_in_pages(gateways, peers):
    gateway = gateways.start()
    many = [await peers(gateway) for _ in range(7)]
    await until(lambda: look(gateway, "/admin/connections")["total"] == 7, "7 connections")
    seen, after = [], 0
    while after is not None:
        page = await see(gateway, f"/admin/connections?limit=3&after={after}")
        assert len(page["connections"]) <= 3 and page["total"] == 7
        seen += [row["id"] for row in page["connections"]]
        after = page.get("next")
    assert seen == sorted(set(seen)) and len(seen) == 7
    await many[2].close()  # a page goes on behind a connection that is gone
    await until(lambda: look(gateway, "/admin/connections")["total"] == 6, "6 connections")
    assert [row["id"] for row in (await see(gateway, f"/admin/connections?after={seen[2]}"))["connections"]] == seen[3:]
    assert (await see(gateway, "/admin/connections?after=999999"))["connections"] == []


async def test_what_a_connection_is(gateway, peers, db, name):
    peer = await peers(gateway, token="clerk")
    await db.fcall("sg_var_set", name, 1)
    await peer.subscribed("var", name)
    rows = (await see(gateway, "/admin/connections?limit=200"))["connections"]
    (row,) = [row for row in rows if row["token"] == "clerk"]
    assert row["remote"] == "127.0.0.1" and row["protocol"] == "socksync" and row["subscriptions"] == 1
    assert row["why"] == [] and row["trouble"] == 0 and row["dirty"] == 0 and not row["congested"] and row["age_ms"] >= 0
    assert row["sent"] >= 1 and row["received"] == 1 and row["sent_bytes"] > 0 and row["received_bytes"] > 0
    assert row["rtt_us"] > 0, "the kernel knows"


FILLINGS = itertools.count()


async def congest(gateway, db, name, size=131072):
    """Changes the variable until somebody who does not read has missed a change."""
    async def missed():
        await db.fcall("sg_var_set", name, f'{{"n":{next(FILLINGS)},"pad":"{"x" * size}"}}')
        return await gateway.metric("syncgate_dirty_subscriptions") >= 1
    await until(missed, "a subscription is dirty")


async def test_a_slow_reader_stands_first_and_says_why(gateway, peers, db, name):
    idle = [await peers(gateway) for _ in range(5)]
    await db.fcall("sg_var_set", name, 0)
    slow = await peers.bare(gateway.address, receive_buffer=4096)
    await slow.send_frame(RawPeer.TEXT, dumps(func="subscribe", type="var", name=name).encode())
    await slow.recv_text()
    idle.append(await peers(gateway))
    await congest(gateway, db, name)
    page = await see(gateway, "/admin/connections?order=trouble&limit=3")
    first, *others = page["connections"]
    assert len(page["connections"]) == 3 and page["looked_at"] == page["total"]
    assert first["congested"] and first["dirty"] == 1 and first["unsent_bytes"] > 0
    assert any(why.startswith("congested for ") for why in first["why"]), first
    assert any("1 subscription will get the newest state" in why for why in first["why"]), first
    assert all(row["trouble"] == 0 and row["why"] == [] for row in others)
    await until(lambda: look(gateway, "/admin/connections?order=trouble&limit=1")["connections"][0]["congested_ms"] > first["congested_ms"], "it grows")
    slow.close()
    await until(lambda: look(gateway, "/admin/connections?order=trouble&limit=1")["connections"][0]["trouble"] == 0, "it is gone")
    assert len(idle) == 6


# --- refusals ---


async def test_refusals_are_listed(gateways):
    gateway = gateways.start("--max-message", "1KiB", "--errors-per-minute", "3")
    for path, headers, status in [("/nowhere?token=secret", {}, 404), ("/admin/stats", {"Host": "gate.example"}, 401)]:
        assert ask(gateway.address, path, **headers).status == status
    for _ in range(3):
        with pytest.raises(InvalidStatusCode):
            await Peer.connect(gateway, token="wrong")
    broken = await RawPeer.open(gateway.address)
    assert await broken.upgrade("/ws/socksync/", "no key") == 400
    for text, code in [(dumps(func="x" * 2000), 1009), ("not json", 1008)]:
        raw = await RawPeer.connect(gateway.address)
        with contextlib.suppress(OSError, Closed):
            for _ in range(4):
                await raw.send_frame(RawPeer.TEXT, text.encode())
            while True:
                await raw.recv_text()
        raw.close()
        await until(lambda code=code: code in [row["code"] for row in look(gateway, "/admin/refusals")["refusals"]], f"a {code}")
    answer = look(gateway, "/admin/refusals")
    seen = [(row["code"], row["subject"], row["why"], row["times"]) for row in reversed(answer["refusals"])]
    assert seen[:4] == [(404, "/nowhere", "not found", 1), (401, "/admin/stats", "for admins only", 1),
                        (401, "/ws/socksync/", "unknown token", 3), (400, "/ws/socksync/", "Sec-WebSocket-Key is malformed", 1)]
    assert [(code, why) for code, _, why, _ in seen[4:]] == [(1009, "message too big"), (1008, "too many errors")]
    assert all(row["remote"] == "127.0.0.1" and row["first_ms"] <= row["time_ms"] for row in answer["refusals"])
    assert answer["total"] == 8 and "secret" not in json.dumps(answer) and "wrong" not in json.dumps(answer)


def test_refusals_are_bounded(gateways):
    gateway = gateways.start()
    for number in range(150):
        ask(gateway.address, f"/{number}" + "x" * 200)
    answer = look(gateway, "/admin/refusals")
    assert answer["total"] == 150 and len(answer["refusals"]) == answer["kept"] == 128
    assert answer["refusals"][0]["subject"].startswith("/149x") and len(answer["refusals"][0]["subject"]) < 64


def test_bytes_of_strangers_are_text(gateways):
    gateway = gateways.start()
    for path in '/"><script>', "/%22%5c%0a%ff%ed%a0%80", "/%c2%9b%e2%82%ac":
        ask(gateway.address, path)
    subjects = [row["subject"] for row in look(gateway, "/admin/refusals")["refusals"]]
    assert '/"><script>' in subjects and any("€" in subject for subject in subjects)


# --- the fleet ---


async def test_the_fleet_is_listed_by_each(gateways, peers):
    one, two = gateways.start("--prefix", "fleet:"), gateways.start("--prefix", "fleet:")
    ids = {identity(one), identity(two)}
    for gateway in (one, two):
        await until(lambda gateway=gateway: {row["id"] for row in look(gateway, "/admin/fleet")["gateways"]} == ids, "both")
        rows = look(gateway, "/admin/fleet")["gateways"]
        assert [row["id"] for row in rows if row["self"]] == [identity(gateway)]
        assert {row["record"]["address"] for row in rows} == {f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"}
        assert all(row["record"]["state"] == "ready" and row["record"]["version"] and row["age_ms"] >= 0 for row in rows)
    await peers(one)
    await until(lambda: {row["record"]["connections"] for row in look(two, "/admin/fleet")["gateways"]} == {0, 1}, "the connection of the other")
    await two.stop_async()  # says goodbye
    await until(lambda: len(look(one, "/admin/fleet")["gateways"]) == 1, "one is left")


async def test_workers_are_gateways_of_the_fleet(gateways):
    gateway = gateways.start("--workers", "2", "--prefix", "workers:")
    await until(lambda: len(look(gateway, "/admin/fleet")["gateways"]) == 2, "both workers")
    records = [row["record"] for row in look(gateway, "/admin/fleet")["gateways"]]
    assert sorted((record["worker"], record["workers"]) for record in records) == [(0, 2), (1, 2)]
    assert look(gateway, "/admin/stats")["workers"] == 2


async def test_asking_again_reaches_the_other_worker(gateways):
    gateway = gateways.start("--workers", "2")
    response = ask(gateway.address, "/admin/connections", Connection="keep-alive")
    assert response.headers["connection"] == "close"
    seen = set()
    await until(lambda: seen.add(look(gateway, "/admin/connections")["worker"]) or seen == {0, 1}, "both workers have answered")


async def test_any_worker_tells_the_figures_of_all(gateways, peers):
    gateway = gateways.start("--workers", "2")
    many = [await peers(gateway) for _ in range(20)]

    def last(stats):
        return dict(zip(stats["history"]["columns"], stats["history"]["rows"][-1])) if stats["history"]["rows"] else {}
    seen = set()

    def both():
        stats = look(gateway, "/admin/stats")
        if last(stats).get("connections") == len(many):
            seen.add(stats["worker"])
        return seen == {0, 1}
    await until(both, "both workers tell of 20 connections")


async def test_a_draining_gateway_says_so(gateways, peers):
    one, two = gateways.start("--prefix", "drain:"), gateways.start("--prefix", "drain:", "--drain-delay", "60s")
    held = await peers(two)
    two.signal(15)
    await until(lambda: "draining" in [row["record"]["state"] for row in look(one, "/admin/fleet")["gateways"]], "draining")
    assert look(two, "/admin/stats")["state"] == "draining", "and can be looked at"
    await cut(two)
    held.abort()


@pytest.mark.parametrize("record", ["[]", "7", '{"a":[[[[[]]]]]}', '"x"'])
async def test_what_is_no_record_is_not_shown(gateways, db, record):
    gateway = gateways.start("--prefix", "odd:")
    assert await db.cmd("FCALL", "sg_fleet_beat", 1, "odd:@{calls}", "stranger", record, 60000) >= 1
    await until(lambda: look(gateway, "/admin/fleet")["gateways"], "itself")
    assert "stranger" not in [row["id"] for row in look(gateway, "/admin/fleet")["gateways"]]
    await db.cmd("FCALL", "sg_fleet_beat", 1, "odd:@{calls}", "stranger", '{"state":"<b>"}', 60000)
    assert {"state": "<b>"} in [row["record"] for row in look(gateway, "/admin/fleet")["gateways"]]


async def test_the_largest_fleet_is_whole(gateways, db):
    """Whoever may write to Redis may invent gateways, with the largest records; some are shown, and each of them whole."""
    gateway = gateways.start("--prefix", "crowd:")
    record = json.dumps({"host": "x" * 4000})
    await db.pipeline([("FCALL", "sg_fleet_beat", 1, "crowd:@{calls}", f"stranger{n}", record, 60000) for n in range(2200)])
    shown = look(gateway, "/admin/fleet")["gateways"]
    assert len(shown) == 1000
    assert all(row["record"] == json.loads(record) for row in shown if row["id"].startswith("stranger"))


async def test_a_silent_gateway_is_forgotten(db):
    await db.cmd("FCALL", "sg_fleet_beat", 1, "old:@{calls}", "a", "{}", 1)
    assert 86400 < await db.cmd("TTL", "old:@{calls}:i") <= 2 * 86400  # a step of the clock is no end

    async def forgotten():
        return await db.cmd("FCALL", "sg_fleet_beat", 1, "old:@{calls}", "b", "{}", 1) == 1
    await until(forgotten, "a was silent for longer than 1 ms")


async def test_without_redis_the_fleet_is_not_known(gateways, durable):
    gateway = gateways.start(redis=durable.socket_path)
    durable.kill()
    await until(lambda: ask(gateway.address, "/admin/fleet").status == 503, "503")
    assert look(gateway, "/admin/stats")["state"] == "redis away"


# --- live frames ---


class Tap:
    """A client of /admin/tap: events as (kind, data)."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, gateway, status=200, **query):
        reader, writer = await asyncio.open_connection(*gateway.address, limit=1 << 20)
        path = "/admin/tap?" + urllib.parse.urlencode(query)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        assert int(head.split()[1]) == status, head
        tap = cls(reader, writer)
        if status == 200:
            assert b"text/event-stream" in head
            assert (await tap.event())[0] == "open"
        return tap

    async def event(self):
        text = (await asyncio.wait_for(self.reader.readuntil(b"\n\n"), PATIENCE_S)).decode()
        fields = dict(line.split(": ", 1) for line in text.strip().split("\n"))
        return fields.get("event", "frame"), json.loads(fields["data"])

    async def frame(self):
        while True:
            kind, data = await self.event()
            if kind == "frame":
                return data

    async def close(self):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def test_a_tap_shows_both_directions(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, 1)
    tap = await Tap.open(gateway, name=name)
    peer = await peers(gateway, token="boss")
    await peer.subscribed("var", name)
    asked, told = await tap.frame(), await tap.frame()
    assert asked["direction"] == "in" and json.loads(asked["text"]) == {"func": "subscribe", "type": "var", "name": name}
    assert asked["dialect"] == told["dialect"] == "socksync" and not asked["binary"]
    assert told["direction"] == "out" and json.loads(told["text"])["value"] == 1
    assert asked["conn"] == told["conn"] and told["name"] == name and told["bytes"] == len(told["text"]) and not told["cut"]
    await tap.close()


async def test_a_tap_is_filtered(gateway, peers, db, name):
    names = [f"{name}:a", f"{name}:b", f"other{name}"]
    for each in names:
        await db.fcall("sg_var_set", each, 0)
    one, two = await peers(gateway, token="boss"), await peers(gateway, token="boss")
    conns = [row["id"] for row in (await see(gateway, "/admin/connections?limit=200"))["connections"] if row["token"] == "boss"]
    for each in names:
        await one.subscribed("var", each)
        await two.subscribed("var", each)
    by_glob = await Tap.open(gateway, name=f"{name}:?")
    by_conn = await Tap.open(gateway, conn=conns[-1])
    by_both = await Tap.open(gateway, conn=conns[-1], name=names[1])
    for value, each in enumerate(names, 1):
        await db.fcall("sg_var_set", each, value)
        await one.recv()
        await two.recv()
    assert sorted([(frame["name"], frame["conn"] in conns) for frame in [await by_glob.frame() for _ in range(4)]]) == \
        [(names[0], True)] * 2 + [(names[1], True)] * 2
    assert [(frame["name"], frame["conn"]) for frame in [await by_conn.frame() for _ in range(3)]] == [(each, conns[-1]) for each in names]
    frame = await by_both.frame()
    assert (frame["name"], frame["conn"]) == (names[1], conns[-1])
    for tap in (by_glob, by_conn, by_both):
        await tap.close()


async def test_names_that_need_escapes(gateway, peers, db, name):
    odd = f'{name} "quoted" \\ é €'
    await db.fcall("sg_var_set", odd, 1)
    tap = await Tap.open(gateway, name=f'{name} "quo*\\ é €')
    peer = await peers(gateway)
    await peer.subscribed("var", odd)
    assert [(await tap.frame())["name"] for _ in range(2)] == [odd, odd]
    await tap.close()


async def test_long_and_broken_texts_are_cut_and_shown(gateway, peers, db, name):
    tap = await Tap.open(gateway, conn="")
    peer = await peers(gateway)
    await db.fcall("sg_var_set", name, json.dumps("é" * 5000, ensure_ascii=False))
    await peer.subscribed("var", name)
    await tap.frame()
    frame = await tap.frame()
    assert frame["cut"] and frame["bytes"] > 10000 and 1000 < len(frame["text"].encode()) <= 1024 and "\ufffd" not in frame["text"]
    raw = await peers.bare(gateway.address)
    await raw.send_frame(RawPeer.TEXT, b'{"func":"\xff\x00\x1b')
    frame = await tap.frame()
    assert frame["text"] == '{"func":"\ufffd\ufffd\ufffd' and "name" not in frame
    await tap.close()


async def test_a_reload_ends_taps(gateways, peers, db, name):
    """Whoever has lost the right to look is judged when it asks again."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, 0)
    tap, peer = await Tap.open(gateway), await peers(gateway)
    gateway.signal(signal.SIGHUP)
    with pytest.raises(asyncio.IncompleteReadError):
        while True:
            await tap.event()
    await peer.subscribed("var", name)
    await (await Tap.open(gateway)).close()


async def test_taps_are_few(gateway):
    async def none():
        return (await see(gateway, "/admin/stats"))["taps"] == 0
    await until(none, "the taps of other tests have ended")
    taps = [await Tap.open(gateway) for _ in range(4)]
    await (await Tap.open(gateway, status=503)).close()
    assert (await see(gateway, "/admin/stats"))["taps"] == 4
    await taps[0].close()

    async def three():
        return (await see(gateway, "/admin/stats"))["taps"] == 3
    await until(three, "one tap has ended")
    await (await Tap.open(gateway)).close()
    for tap in taps[1:]:
        await tap.close()
    await until(none, "no tap is left")


async def test_a_tap_that_is_not_read_costs_a_bounded_amount(gateways, peers, db, name):
    """Frames that do not fit are counted, and the clients get theirs."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, 0)
    tap = await peers.open(gateway.address, receive_buffer=4096)
    await tap.request(b"GET /admin/tap HTTP/1.1\r\nHost: localhost\r\n\r\n")
    fast = await peers(gateway)
    await fast.subscribed("var", name)
    fast.keep = False
    before = 0
    for batch in range(30):
        if batch == 10:  # what is kept for reuse has been made
            before = gateway.rss_bytes()
        await db.pipeline([("FCALL", "sg_var_set", 1, name, f'"{batch} {number} {"x" * 2000}"') for number in range(100)])
        await fast.until(lambda batch=batch: fast.state.value(name).startswith(f'"{batch} 99 '), "the last of the batch")
    assert gateway.rss_bytes() - before < 8 << 20
    data = b""
    while b'"dropped":' not in data or max(int(part.split(b",")[0]) for part in data.split(b'"dropped":')[1:] if b"," in part) == 0:
        data += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(tap.sock, 65536), PATIENCE_S)
    tap.close()


async def test_a_tap_ends_with_the_gateway(gateways):
    gateway = gateways.start()
    tap = await Tap.open(gateway)
    gateway.signal(15)
    assert gateway.wait_exit() == 0
    await asyncio.wait_for(tap.reader.read(), PATIENCE_S)
    await tap.close()


async def test_calls_pass_a_tap(gateways, peers, name):
    gateway = gateways.start()
    tap = await Tap.open(gateway, name=name)
    worker, caller = await peers(gateway), await peers(gateway)

    async def echo(peer, frame):
        await peer.send(func="return", type="function", name=name, id=frame["id"], value=1)

    worker.handlers[name] = echo
    await worker.serve(name)
    await caller.offered(name)
    await caller.call(name, "1")
    seen = set()
    while ("out", "return") not in seen:
        frame = await tap.frame()
        seen.add((frame["direction"], json.loads(frame["text"])["func"]))
    assert {("in", "call"), ("out", "call"), ("in", "return")} <= seen
    await tap.close()
