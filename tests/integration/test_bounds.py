"""What one client, or many together, can make a gateway keep or Redis do is bounded, mostly by not reading on; nothing that was read
is lost, and nobody else notices.

The greedy ones are bare sockets: what they send leaves in a task, because the gateway may not read it.
"""
import asyncio
import json

import pytest

from gateway import until
from peer import RawPeer, dumps
from redis_server import RedisServer
from resp import fcall
from test_inspect import see

MIB = 1 << 20
SMALL = 4096  # SO_RCVBUF of a reader that is to be stalled
SUBSCRIPTIONS, REQUESTS, BEGUN_BYTES, IDLE_BYTES = 10_000, 4096, 64 * MIB, 64 * MIB  # docs/failures.md


def frames(*messages):
    return b"".join(RawPeer.encode(RawPeer.TEXT, dumps(**message).encode()) for message in messages)


def subscribe(name):
    return {"func": "subscribe", "type": "var", "name": name}


def unsubscribe(name):
    return {"func": "unsubscribe", "type": "var", "name": name}


class Greedy:
    """Sends as fast as it is read from, and reads at the same time."""

    def __init__(self, raw):
        self.raw = raw
        self.sending = set()

    def send(self, *messages):
        self.write(frames(*messages))

    def write(self, data):
        task = asyncio.ensure_future(self.raw.write(data))
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)

    async def recv(self):
        return json.loads(await self.raw.recv_text())

    async def answers(self, count):
        return [await self.recv() for _ in range(count)]

    async def ping(self):
        """What came before the pong."""
        self.send({"func": "ping", "id": "over"})
        before = []
        while (frame := await self.recv()) != {"func": "pong", "id": "over"}:
            before.append(frame)
        return before


@pytest.fixture
def greedy(peers):
    async def connect(gateway, **options):
        return Greedy(await peers.bare(gateway.address, **options))
    return connect


async def until_metric(gateway, name, reached):
    async def there():
        return reached(await gateway.metric(name))
    await until(there, name)


# --- subscriptions ---


async def test_subscriptions_are_bounded(gateways, greedy, db, name):
    """The next ones are refused, as often as they are asked for, and nothing else changes for the client."""
    gateway = gateways.start()
    extra = 200  # more than --errors-per-minute
    names = [f"{name}.{n}" for n in range(SUBSCRIPTIONS + extra)]
    await db.pipeline([fcall("sg_var_set", one, 0) for one in names])
    peer = await greedy(gateway)
    peer.send(*map(subscribe, names[:SUBSCRIPTIONS]))
    told = await peer.answers(SUBSCRIPTIONS)
    assert {frame["func"] for frame in told} == {"set"}
    peer.send(*map(subscribe, names[SUBSCRIPTIONS:]))
    for one, frame in zip(names[SUBSCRIPTIONS:], await peer.answers(extra)):
        assert frame == {"func": "error", "type": "var", "name": one, "error_code": 8, "message": "too many subscriptions: end some (subscriptions_per_connection)"}
    peer.send(subscribe(names[0]), {"func": "get", "type": "var", "name": names[1]})
    assert [(frame["func"], frame["name"]) for frame in await peer.answers(2)] == [("set", names[0]), ("set", names[1])]
    peer.send(unsubscribe(names[0]), subscribe(names[-1]), subscribe(names[0]))
    told = {frame["name"]: frame["func"] for frame in await peer.answers(2)}
    assert told == {names[-1]: "set", names[0]: "error"}
    assert await gateway.metric("syncgate_subscriptions") == SUBSCRIPTIONS


# --- questions to Redis ---


async def test_names_that_are_made_up_come_at_a_rate(gateways, greedy, peers, db, name):
    """Subscribed and unsubscribed at once, so that no error is counted."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, 1)
    peer, other = await greedy(gateway), await peers(gateway)
    before = await gateway.metric("syncgate_redis_commands_total")
    count = 7000
    for n in range(count):
        peer.send(subscribe(f"{name}.{n}"), unsubscribe(f"{name}.{n}"))
    await until_metric(gateway, "syncgate_connections_unread", lambda n: n == 1)
    looked = (await see(gateway, "/admin/connections"))["connections"]
    assert any("not read from: it is over names_per_second" in why for conn in looked for why in conn["why"]), looked
    await other.subscribe("var", name)
    await other.expect(f'{{"func":"set","type":"var","name":"{name}","value":1}}')
    told = await peer.ping()  # all of it was read in the end, but sometimes an answer was quicker than what undoes the question
    assert {(frame["func"], frame["error_code"]) for frame in told} <= {("error", 3)}
    await until_metric(gateway, "syncgate_connections_unread", lambda n: n == 0)
    await until_metric(gateway, "syncgate_names", lambda n: n == 1)
    assert await gateway.metric("syncgate_redis_commands_total") - before < 5 * count


async def test_a_client_with_many_names_is_not_slowed(gateways, greedy, db, name):
    """What is all unknown here, as after a reconnect, and then known, as often as it likes."""
    gateway = gateways.start()
    names = [f"{name}.{n}" for n in range(2000)]
    await db.pipeline([fcall("sg_var_set", one, 0) for one in names])
    peer = await greedy(gateway)
    for _ in range(4):
        peer.send(*map(subscribe, names))
        await peer.answers(len(names))
        peer.send(*map(unsubscribe, names))
        await peer.ping()
        peer.send(*map(subscribe, names))
        await peer.answers(len(names))
        assert await gateway.metric("syncgate_connections_unread") == 0
    assert await gateway.metric('syncgate_redis_reads_total') <= len(names) + 10


# --- while Redis is away ---


async def test_requests_wait_for_redis_in_bounds(tmp_path, gateways, greedy, name):
    """All of them are answered when their time is over: it is not the client's fault, so it stays, and no more wait at a time."""
    with RedisServer() as redis:
        gateway = gateways.start("--subscribe-timeout", "2s", redis=redis.socket_path)
        redis.kill()
        await until_metric(gateway, "syncgate_redis_up", lambda up: up == 0)
        peer = await greedy(gateway)
        names = [f"{name}.{n}" for n in range(REQUESTS + 500)]
        peer.send(*map(subscribe, names))
        await until_metric(gateway, "syncgate_connections_unread", lambda n: n == 1)
        waiting = (await see(gateway, "/admin/connections"))["connections"][0]["waiting"]
        assert waiting <= REQUESTS + 100, "what one read of the socket brought comes on top"
        told = await peer.answers(len(names))
        assert [frame["name"] for frame in told] == names
        assert {(frame["func"], frame["error_code"]) for frame in told} == {("error", 8)}
        assert await peer.ping() == []
        assert await gateway.metric("syncgate_connections_unread") == 0


async def test_large_pages_wait_for_redis_in_bounds(tmp_path, gateways, greedy, name):
    """Each keeps a window of 80 kB: fewer of them wait at a time, and all are answered all the same."""
    with RedisServer() as redis:
        gateway = gateways.start("--max-page-size", "10000", "--subscribe-timeout", "2s", redis=redis.socket_path)
        redis.client().fcall("sg_list_insert", 1, name, -1, 1, '"one"')
        peer = await greedy(gateway)
        peer.send({"func": "subscribe", "type": "list", "name": name})
        await peer.answers(1)
        redis.kill()
        await until_metric(gateway, "syncgate_redis_up", lambda up: up == 0)
        questions = [{"func": "get", "type": "list", "name": name, "page_size": 9999 - n} for n in range(200)]
        peer.send(*questions)
        await until_metric(gateway, "syncgate_connections_unread", lambda n: n == 1)
        waiting = (await see(gateway, "/admin/connections"))["connections"][0]["waiting"]
        assert waiting <= 60, "41 windows, and what one read of the socket brought"
        told = await peer.answers(len(questions))
        assert {(frame["func"], frame["error_code"]) for frame in told} == {("error", 8)}
        assert await gateway.metric("syncgate_connections_unread") == 0


async def test_writes_of_many_wait_for_redis_in_bounds(gateways, greedy, name):
    """More than the link to Redis takes at once, by connections that are each within their bounds: none is refused."""
    with RedisServer() as redis:
        gateway = gateways.start(redis=redis.socket_path)
        value = "v" * (MIB // 2)
        crowd = [await greedy(gateway) for _ in range(30)]
        data = [frames(*({"func": "set", "type": "var", "name": f"{name}.{number}.{n}", "value": value} for n in range(6)))
                for number in range(len(crowd))]
        redis.pause()
        try:
            for peer, sets in zip(crowd, data):
                peer.write(sets)
            await until_metric(gateway, "syncgate_connections_unread", lambda n: n >= 10)
        finally:
            redis.resume()
        for peer in crowd:
            assert await peer.ping() == []
        with redis.client() as db:
            await until(lambda: sum(1 for _ in db.scan_iter(f"*{name}.*")) >= 6 * len(crowd), "every write happened")
        await until_metric(gateway, "syncgate_connections_unread", lambda n: n == 0)
        assert await gateway.metric("syncgate_errors_total") == 0


# --- names without users ---


async def test_names_without_users_are_bounded(gateways, greedy, db, name):
    """However long they may linger, the longest idle go when all of them hold too much."""
    gateway = gateways.start("--linger", "1h")
    names = [f"{name}.{n}" for n in range(IDLE_BYTES // MIB + 20)]
    await db.pipeline([fcall("sg_var_set", one, '"' + "v" * MIB + '"') for one in names])
    peer = await greedy(gateway)
    for one in names:
        peer.send(subscribe(one))
        assert (await peer.recv())["name"] == one
        peer.send(unsubscribe(one))
    await peer.ping()
    await until_metric(gateway, "syncgate_names", lambda n: n * MIB <= IDLE_BYTES)
    assert await gateway.metric("syncgate_names") >= IDLE_BYTES // MIB - 2, "no more than has to"
    reads = await gateway.metric("syncgate_redis_reads_total")
    peer.send(subscribe(names[-1]))
    await peer.recv()
    assert await gateway.metric("syncgate_redis_reads_total") == reads, "the last one is still there"


# --- large messages ---


async def test_stalled_readers_of_many_versions(gateways, greedy, peers, db, name):
    """Each keeps another version of one large value alive: those that do so for the longest go, and the memory with them."""
    gateway = gateways.start()
    fast = await peers(gateway)
    await db.fcall("sg_var_set", name, '"first"')
    await fast.subscribed("var", name)
    crowd = []
    for number in range(BEGUN_BYTES // MIB + 20):
        await db.fcall("sg_var_set", name, json.dumps([number, "v" * MIB]))
        await fast.until(lambda number=number: fast.state.value(name).startswith(f"[{number},"), f"change {number}")
        fast.frames.clear()
        crowd.append(await greedy(gateway, receive_buffer=SMALL))
        crowd[-1].send(subscribe(name))
        await until_metric(gateway, "syncgate_queued_bytes", lambda n, number=number: n > (min(number, 64) + 0.1) * MIB / 2)
    await until_metric(gateway, 'syncgate_closes_total', lambda n: n >= 15)
    frames = 'syncgate_memory_bytes{kind="frames"}'

    async def bounded():
        return (await asyncio.to_thread(gateway.metrics))[frames] <= BEGUN_BYTES + 3 * MIB
    await until(bounded, "the memory is given back")
    metrics = await asyncio.to_thread(gateway.metrics)
    closed = metrics['syncgate_closes_total{by="gateway",code="1013"}']
    assert 15 <= closed <= 25 and metrics['syncgate_connections{protocol="socksync",state="open"}'] == len(crowd) + 1 - closed
    with pytest.raises(ConnectionError):
        while True:
            await crowd[0].recv()
    assert (await crowd[-1].recv())["name"] == name
    await db.fcall("sg_var_set", name, '"last"')
    await fast.until(lambda: fast.state.value(name) == '"last"', "others do not notice")
    while (await crowd[-1].recv())["value"] != "last":
        pass


async def test_many_slow_readers_of_one_version_stay(gateways, greedy, db, name):
    """It is there once, and they keep nothing else."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, json.dumps("v" * MIB))
    crowd = [await greedy(gateway, receive_buffer=SMALL) for _ in range(BEGUN_BYTES // MIB + 20)]
    for peer in crowd:
        peer.send(subscribe(name))
    await until_metric(gateway, "syncgate_queued_bytes", lambda n: n > len(crowd) * MIB / 2)
    await db.fcall("sg_var_set", name, '"last"')
    for peer in crowd:
        assert len((await peer.recv())["value"]) == MIB
        assert (await peer.recv())["value"] == "last"
    assert await gateway.metric("syncgate_closes_total") == 0
