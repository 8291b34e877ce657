"""Each limit of one client, one address, one user: it is met, the client is told the remedy or waits, it is counted, and nobody else notices.

Clients are sent as fast as the gateway reads, so that what it does not read is seen."""
import asyncio
import json

import pytest

from conftest import write_config
from gateway import until
from peer import Closed
from resp import fcall
from test_bounds import greedy, subscribe, unsubscribe, until_metric  # noqa: F401
from test_admission import refused_total
from test_endpoints import upgrade_text
from test_inspect import see


async def limited(gateway, limit):
    metrics = await asyncio.to_thread(gateway.metrics)
    return metrics[f'syncgate_limited_total{{limit="{limit}"}}']


async def why_unread(gateway):
    looked = await see(gateway, "/admin/connections")
    return [why for conn in looked["connections"] for why in conn["why"]]


def by_func(frames):
    """Answers that need Redis come later than others."""
    told = {}
    for frame in frames:
        told.setdefault(frame["func"], []).append(frame)
    return told


# --- subscriptions ---


async def test_subscriptions_of_one_connection(gateways, greedy, db, name):  # noqa: F811
    gateway = gateways.start("--subscriptions-per-connection", "3")
    await db.pipeline([fcall("sg_var_set", f"{name}.{n}", n) for n in range(5)])
    peer, other = await greedy(gateway), await greedy(gateway)
    peer.send(*(subscribe(f"{name}.{n}") for n in range(5)))
    told = by_func(await peer.answers(5))
    assert len(told["set"]) == 3 and len(told["error"]) == 2
    assert told["error"][0] == {"func": "error", "type": "var", "name": f"{name}.3", "error_code": 8,
                       "message": "too many subscriptions: end some (subscriptions_per_connection)"}
    assert await limited(gateway, "subscriptions_per_connection") == 2
    peer.send(unsubscribe(f"{name}.0"), subscribe(f"{name}.4"))
    assert (await peer.recv())["value"] == 4
    other.send(subscribe(f"{name}.0"))
    assert (await other.recv())["value"] == 0


async def test_items_of_one_connection(gateways, greedy, db, name):  # noqa: F811
    """Pages and variables are no items."""
    gateway = gateways.start("--items-per-connection", "2")
    await db.pipeline([fcall("sg_list_insert", name, -1, n, n) for n in range(4)])
    await db.fcall("sg_var_set", f"{name}.var", 7)
    item = {"func": "subscribe", "type": "list", "name": name}
    peer = await greedy(gateway)
    peer.send(*({**item, "id": n} for n in range(3)))
    told = by_func(await peer.answers(3))
    assert len(told["set"]) == 2
    peer.send(item, subscribe(f"{name}.var"), {**item, "id": 0}, {**item, "id": 2})
    again = by_func(await peer.answers(4))
    assert again["error"] == told["error"] and told["error"][0] == {"func": "error", "type": "list", "name": name, "id": 2, "error_code": 8,
                       "message": "too many items: end some, or follow a page (items_per_connection)"}
    assert len(again["set_all"]) == 1 and len(again["set"]) == 2
    assert await limited(gateway, "items_per_connection") == 2
    peer.send({"func": "unsubscribe", "type": "list", "name": name, "id": 0}, {**item, "id": 2})
    assert (await peer.recv())["value"] == 2


# --- rates ---


def pings(count):
    return [{"func": "ping", "id": n} for n in range(count)]


def pages(count, name):
    return [{"func": "get", "type": "var", "name": name}] * count


def new_names(count, name):
    return [message for n in range(count) for message in (subscribe(f"{name}.{n}"), unsubscribe(f"{name}.{n}"))]


# What is sent so that the burst is used up some times; how many answers come at least, when that is known.
FLOODS = {
    "messages_per_second": ("500", lambda name: pings(4000), 4000),
    "bytes_per_second": ("100KiB", lambda name: [{"func": "ping", "id": "x" * 100}] * 7000, 7000),
    "answer_bytes_per_second": ("100KiB", lambda name: pages(70, f"{name}.large"), 70),
    "names_per_second": ("100", lambda name: new_names(800, name), None),
}


def flags(option, value, patience):
    return "--" + option.replace("_", "-"), value, "--rate-patience", patience


async def begin(gateway, greedy, db, name):  # noqa: F811
    await db.fcall("sg_var_set", f"{name}.large", '"' + "v" * 10000 + '"')
    peer = await greedy(gateway)
    peer.send(subscribe(f"{name}.large"))
    await peer.recv()
    return peer


@pytest.mark.parametrize("option", FLOODS)
async def test_who_is_over_a_rate_is_read_later(gateways, greedy, db, name, option):  # noqa: F811
    """All of it is done in the end, in order, and another client is served meanwhile."""
    value, messages, answers = FLOODS[option]
    gateway = gateways.start(*flags(option, value, "0"))
    peer, other = await begin(gateway, greedy, db, name), await greedy(gateway)
    peer.send(*messages(name))
    reading = asyncio.ensure_future(peer.ping())

    async def is_unread():
        return f"not read from: it is over {option}" in await why_unread(gateway)
    await until(is_unread, "it waits")
    assert await other.ping() == []
    told = await reading
    if answers:
        assert len(told) == answers
    assert await limited(gateway, option) >= 1
    await until_metric(gateway, "syncgate_connections_unread", lambda n: n == 0)


@pytest.mark.parametrize("option", FLOODS)
async def test_who_stays_over_a_rate_is_closed(gateways, greedy, db, name, option):  # noqa: F811
    value, messages, _ = FLOODS[option]
    gateway = gateways.start(*flags(option, value, "300ms"))
    peer, other = await begin(gateway, greedy, db, name), await greedy(gateway)
    peer.send(*messages(name))
    with pytest.raises(Closed) as closed:
        while True:
            await peer.recv()
    assert closed.value.code == 1008 and option in closed.value.reason
    assert await other.ping() == []
    refused = (await see(gateway, "/admin/refusals"))["refusals"]
    assert [(one["code"], option in one["why"]) for one in refused] == [(1008, True)]


async def test_without_rates_nobody_waits(gateways, greedy, db, name):  # noqa: F811
    gateway = gateways.start(*(word for option in FLOODS for word in flags(option, "0", "0")[:2]))
    peer = await begin(gateway, greedy, db, name)
    peer.send(*pings(20000), *new_names(6000, name), *pages(100, f"{name}.large"))
    await peer.ping()
    assert sum([await limited(gateway, option) for option in FLOODS]) == 0


async def test_changes_are_no_answers(gateways, greedy, db, name):  # noqa: F811
    """What others do is not the client's fault."""
    gateway = gateways.start(*flags("answer_bytes_per_second", "10KiB", "100ms"))
    peer = await begin(gateway, greedy, db, name)
    for n in range(20):
        await db.fcall("sg_var_set", f"{name}.large", json.dumps([n, "v" * 10000]))
        assert (await peer.recv())["value"][0] == n
    assert await peer.ping() == []
    assert await limited(gateway, "answer_bytes_per_second") == 0


async def test_a_message_in_pieces_counts_by_frames(gateways, peers, db, name):
    """Frames cost work, however little is in them."""
    gateway = gateways.start(*flags("messages_per_second", "100", "200ms"))
    peer = await peers.bare(gateway.address)
    first = peer.encode(peer.TEXT, b"", fin=False)
    more = peer.encode(0, b"", fin=False)
    sending = asyncio.ensure_future(peer.write(first + more * 20000))
    assert await peer.close_code() == 1008
    sending.cancel()


# --- sizes ---


async def test_a_value_that_a_client_writes(gateways, greedy, db, name):  # noqa: F811
    """To the byte, as written; what others write past the gateway is told all the same."""
    gateway = gateways.start("--max-value", "100")
    await db.fcall("sg_list_insert", name, -1, 1, 1)
    peer = await greedy(gateway)
    peer.send({"func": "subscribe", "type": "list", "name": name}, subscribe(f"{name}.var"))
    await peer.answers(2)
    good, large = "v" * 98, "v" * 99
    writes = [{"func": "set", "type": "var", "name": f"{name}.new"}, {"func": "set", "type": "list", "name": name, "id": 1},
              {"func": "insert", "type": "list", "name": name, "index": 0, "id": 2}]
    for write in writes:
        peer.send({**write, "value": large})
        told = await peer.recv()
        assert told["func"] == "error" and told["error_code"] == 6 and told["message"] == "value too large (max_value)", told
        assert (told["type"], told["name"], told.get("id")) == (write["type"], write["name"], write.get("id"))
    whole = {"func": "set_all", "type": "list", "name": name, "page": 0, "total_item_count": 3}
    peer.send({**whole, "items": [{"id": n, "value": [good, large, good][n]} for n in range(3)]})
    assert (await peer.recv())["error_code"] == 6
    assert await limited(gateway, "max_value") == 4
    peer.send({**whole, "items": [{"id": n, "value": good} for n in range(3)]})
    assert (await peer.recv())["total_item_count"] == 3
    await db.fcall("sg_list_set", name, 1, json.dumps(large))
    assert (await peer.recv())["value"] == large
    peer.send({"func": "set", "type": "list", "name": name, "id": 0, "value": good + ""})
    assert (await peer.recv())["value"] == good


async def test_the_state_that_is_held(gateways, greedy, db, name):  # noqa: F811
    """Over it names that nobody uses go at once, and new ones are refused; what is held is served, and when it is less all is well."""
    gateway = gateways.start("--max-cache", "100KiB", "--linger", "1h")
    names = [f"{name}.{n}" for n in range(12)]
    await db.pipeline([fcall("sg_var_set", one, json.dumps("v" * 10000)) for one in names])
    peer, other = await greedy(gateway), await greedy(gateway)
    for one in names[:11]:
        peer.send(subscribe(one))
        assert (await peer.recv())["name"] == one
    peer.send(subscribe(names[11]))
    told = await peer.recv()
    assert (told["error_code"], told["name"]) == (8, names[11]) and told["message"].startswith("busy") and "max_cache" in told["message"]
    assert await limited(gateway, "max_cache") == 1
    other.send(subscribe(names[0]))
    assert (await other.recv())["func"] == "set", "it is there"
    peer.send(unsubscribe(names[1]))
    await until_metric(gateway, "syncgate_names", lambda n: n == 10)
    peer.send(subscribe(names[11]))
    assert (await peer.recv())["func"] == "set"


# --- addresses ---

TRUST = ("--trusted-proxy", "127.0.0.1")


async def knock(peers, gateway, **headers):
    """(status, the answer's headers, what it says); a proxy says for whom it asks."""
    peer = await peers.open(gateway.address)
    status = await peer.request(upgrade_text(**headers))
    return status, peer


async def test_connections_of_one_address(gateways, peers):
    gateway = gateways.start("--connections-per-address", "2", *TRUST)
    inside = [await knock(peers, gateway, X_Forwarded_For="192.0.2.1") for _ in range(2)]
    assert [status for status, _ in inside] == [101, 101]
    status, peer = await knock(peers, gateway, X_Forwarded_For="192.0.2.1")
    assert status == 429 and 1 <= int(peer.headers["retry-after"]) <= 10
    assert refused_total(gateway, "connections_per_address") == 1
    for other in "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:3::1":
        assert (await knock(peers, gateway, X_Forwarded_For=other))[0] == 101
    assert (await knock(peers, gateway, X_Forwarded_For="2001:db8:1:2:3::4"))[0] == 429
    refused = (await see(gateway, "/admin/refusals"))["refusals"]
    assert refused[0]["remote"] == "2001:db8:1:2:3::4" and "connections_per_address" in refused[0]["why"]

    inside[0][1].close()

    async def is_taken():
        return (await knock(peers, gateway, X_Forwarded_For="192.0.2.1"))[0] == 101
    await until(is_taken, "one has left")
    assert (await knock(peers, gateway, X_Forwarded_For="192.0.2.1"))[0] == 429


async def test_handshakes_of_one_address(gateways, peers):
    """Refused for whatever reason, they count; those that are refused for this do not, so it gets in again."""
    gateway = gateways.start("--handshakes-per-address", "1", *TRUST)
    statuses = []
    while 429 not in statuses:
        statuses.append((await knock(peers, gateway, X_Forwarded_For="192.0.2.1", Sec_WebSocket_Key="short"))[0])
    assert statuses[:5] == [400] * 5
    assert refused_total(gateway, "handshakes_per_address") == 1
    assert (await knock(peers, gateway, X_Forwarded_For="192.0.2.2"))[0] == 101

    async def is_taken():
        return (await knock(peers, gateway, X_Forwarded_For="192.0.2.1"))[0] == 101
    await until(is_taken, "a second has passed")


@pytest.mark.parametrize("flags", [(), TRUST], ids=str)
async def test_what_stands_for_many_is_not_counted(gateways, peers, flags):
    """This machine, and a proxy that does not say for whom it asks."""
    gateway = gateways.start("--connections-per-address", "1", "--handshakes-per-address", "1", *flags)
    assert [(await knock(peers, gateway))[0] for _ in range(20)] == [101] * 20


async def test_a_reload_counts_who_is_there(gateways, peers, tmp_path):
    path = tmp_path / "c.yaml"
    gateway = gateways.start("--config", write_config(path, ""), *TRUST)
    inside = [await knock(peers, gateway, X_Forwarded_For="192.0.2.1") for _ in range(2)]
    for limit, status in (2, 429), (3, 101), (0, 101), (3, 429):
        write_config(path, f"connections_per_address: {limit}\n")
        reloads = await gateway.metric("syncgate_reloads_total")
        gateway.signal(1)
        await until_metric(gateway, "syncgate_reloads_total", lambda n, before=reloads: n == before + 1)
        got, peer = await knock(peers, gateway, X_Forwarded_For="192.0.2.1")
        assert got == status, limit
        if limit == 0:
            peer.close()
            await until_metric(gateway, "syncgate_connections", lambda n: n == 3)
        inside.append((got, peer))


# --- users ---

TOKENS = """
anonymous: {{ subscribe: ["*"], call: ["*"] }}
tokens:
  - {{ token: "a", name: alice, subscribe: ["*"], call: ["*"] }}
  - {{ token: "b", name: bob, subscribe: ["*"], call: ["*"] }}
  - {{ token: "w", name: worker, serve: ["*"] }}
{limit}
"""


async def test_connections_of_one_user(gateways, peers, tmp_path):
    config = write_config(tmp_path / "c.yaml", TOKENS.format(limit="connections_per_user: 2"))
    gateway = gateways.start("--config", config, dev=False)
    inside = [await knock(peers, gateway, Authorization="Bearer a") for _ in range(2)]
    assert [status for status, _ in inside] == [101, 101]
    status, peer = await knock(peers, gateway, Authorization="Bearer a")
    assert status == 429 and "retry-after" in peer.headers
    assert refused_total(gateway, "connections_per_user") == 1
    assert (await knock(peers, gateway, Authorization="Bearer b"))[0] == 101
    assert [(await knock(peers, gateway))[0] for _ in range(5)] == [101] * 5, "nobody in particular"
    inside[1][1].close()

    async def is_taken():
        return (await knock(peers, gateway, Authorization="Bearer a"))[0] == 101
    await until(is_taken, "one has left")


async def test_calls_of_one_user(gateways, peers, tmp_path, name):
    """Of all its connections together; those that end make room."""
    config = write_config(tmp_path / "c.yaml", TOKENS.format(limit="calls_per_user: 3"))
    gateway = gateways.start("--config", config, dev=False)
    worker = await peers(gateway, token="w")
    await worker.subscribe("function", name)
    callers = [await peers(gateway, token=token) for token in "aab"]
    for caller in callers:
        await caller.until(lambda caller=caller: name in caller.state.callable, "the function is offered")
        caller.frames.clear()
    for number, caller in enumerate([callers[0], callers[1], callers[0]]):
        await caller.send(func="call", type="function", name=name, id=number)
    await worker.until(lambda: len(worker.state.executing) == 3, "three run")
    await callers[1].send(func="call", type="function", name=name, id="over")
    frame = await callers[1].expect_error(8, type="function", name=name)
    assert frame["message"] == "too many calls of this user: wait for some (calls_per_user)"
    assert await limited(gateway, "calls_per_user") == 1
    await callers[2].send(func="call", type="function", name=name, id="bob's")
    await worker.until(lambda: len(worker.state.executing) == 4, "another user's runs")
    await callers[0].close()  # two of the three
    await callers[1].send(func="call", type="function", name=name, id="again")
    await worker.until(lambda: len(worker.state.executing) == 5, "there is room")
