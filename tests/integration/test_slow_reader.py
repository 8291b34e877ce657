"""Promise 5: a client that does not read costs a bounded amount, others never wait, and it ends with the newest state.

The slow ones are bare sockets with a small receive buffer that read nothing unless they are told to.
"""
import asyncio
import itertools
import json

import pytest

from gateway import until
from peer import Closed, RawPeer, dumps
from resp import fcall
from strict import StrictState

FILLINGS = itertools.count(1)
SMALL = 4096  # SO_RCVBUF of a slow one
MIB = 1 << 20


class Slow:
    """A slow reader with a strict model: what it reads, when it reads, must be applicable."""

    def __init__(self, raw):
        self.raw = raw
        self.state = StrictState(unique_values=True)
        self.frames = 0

    async def send(self, **fields):
        text = dumps(**fields)
        self.state.sent(text)
        await self.raw.send_frame(RawPeer.TEXT, text.encode())

    async def read(self):
        frame = self.state.received(await self.raw.recv_text())
        self.frames += 1
        return frame

    async def read_until(self, condition):
        while not condition():
            await self.read()


@pytest.fixture
def slow(peers):
    async def connect(gateway):
        return Slow(await peers.bare(gateway.address, receive_buffer=SMALL))
    return connect


def big(number, size):
    """A JSON text of that size that tells its number."""
    return f'{{"n":{number},"pad":"{"x" * size}"}}'


async def test_a_stalled_reader_of_a_variable(gateways, peers, slow, db, name):
    """Others get every change; the stalled ones cost no more for 64 MB of changes than for one; they end with the newest."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, big(0, 65536))
    fast = await peers(gateway, unique_values=True)
    fast.keep = False
    seen = []
    fast.state.observe = lambda frame: seen.append(frame["value"]["n"] if "{" in frame.raw["value"] else frame["value"])
    await fast.subscribe("var", name)
    stalled = [await slow(gateway) for _ in range(10)]
    for peer in stalled:
        await peer.send(func="subscribe", type="var", name=name)
        await peer.read()
    await fast.until(lambda: seen == [0], "the snapshot")
    before = gateway.rss_bytes()
    worst = 0
    for number in range(1, 1001):
        await db.fcall("sg_var_set", name, big(number, 65536))
        await fast.until(lambda number=number: seen[-1] == number, f"change {number}")
        if number % 100 == 0:
            worst = max(worst, await gateway.metric("syncgate_queued_bytes"))
    assert seen == list(range(1001)), "a fast reader missed a change"
    assert gateway.rss_bytes() - before < 16 * MIB, "memory grows with a reader that does not read"
    assert worst < len(stalled) * 256 * 1024, f"{worst} bytes wait in queues"
    assert await gateway.metric("syncgate_conflated_total") > 0
    assert await gateway.metric("syncgate_dirty_subscriptions") == len(stalled)
    for peer in stalled:
        await peer.read_until(lambda peer=peer: json.loads(peer.state.value(name))["n"] == 1000)
        assert peer.frames < 500, f"{peer.frames} frames for somebody who did not read: nothing was conflated"
    await until_metric(gateway, "syncgate_dirty_subscriptions", 0)
    await db.fcall("sg_var_set", name, "1001")
    for peer in stalled:
        await peer.read_until(lambda peer=peer: peer.state.value(name) == "1001")
    await until_metric(gateway, "syncgate_queued_bytes", 0)


async def ask_for_ever(raw, name):
    """Questions without end, whose answers nobody reads."""
    ask = RawPeer.encode(RawPeer.TEXT, dumps(func="subscribe", type="var", name=name).encode())
    ask += 1000 * RawPeer.encode(RawPeer.TEXT, dumps(func="get", type="var", name=name).encode())
    while True:
        await asyncio.get_running_loop().sock_sendall(raw.sock, ask)


async def until_metric(gateway, name, value):
    async def reached():
        return await gateway.metric(name) == value
    await until(reached, f"{name} is {value}")


async def stalled_reader(gateway, slow, db, name):
    """A slow reader whose connection is congested for certain."""
    await db.fcall("sg_var_set", f"filler of {name}", big(0, 131072))
    peer = await slow(gateway)
    await peer.send(func="subscribe", type="var", name=f"filler of {name}")
    await peer.read()
    await congest(gateway, db, name)
    return peer


async def congest(gateway, db, name, times=1):
    """Changes the filler until the gateway holds back, for certain: as often in a row as `times` says."""
    row = 0

    async def congested():
        nonlocal row
        await db.fcall("sg_var_set", f"filler of {name}", big(next(FILLINGS), 131072))
        row = row + 1 if await gateway.metric("syncgate_dirty_subscriptions") >= 1 else 0
        return row >= times
    await until(congested, "the connection is congested")


async def test_a_stalled_reader_of_a_list(gateways, peers, slow, db, name):
    """After any number of changes one comparison brings it to the newest page: few frames, all applicable."""
    gateway = gateways.start()
    await db.pipeline([fcall("sg_list_insert", name, -1, n, n) for n in range(100)])
    fast = await peers(gateway)
    await fast.subscribed("list", name)
    peer = await stalled_reader(gateway, slow, db, name)
    for args in ({}, {"id": 5}, {"id": 50}, {"id": 99}):
        await peer.send(func="subscribe", type="list", name=name, **args)
    await peer.send(func="get", type="list", name=name, page=1, page_size=20)
    await peer.read_until(lambda: not peer.state.answers_due())
    await congest(gateway, db, name)
    frames = peer.frames
    for turn in range(200):
        await db.pipeline([
            fcall("sg_list_insert", name, turn % 30, f"n{turn}", turn * 10), fcall("sg_list_set", name, 50, -turn - 1),
            fcall("sg_list_move", name, f"n{turn // 2}", (turn * 7) % 40),
            fcall("sg_list_delete", name, turn % 60 if turn % 60 != 50 else 99),
        ])
    await db.fcall("sg_list_set", name, 50, '"last"')
    await fast.until(lambda: dict(fast.state.list(name).items).get(("int", 50), '"last"') == '"last"', "the end")
    page = await db.fcall("sg_list_page", name, 1, 20)
    wanted = [(json.loads(i), v.decode()) for i, v in zip(page[4::2], page[5::2])]

    def equal():
        view = peer.state.list(name)
        items = [peer.state.item(name, item_id) for item_id in (50, 5, 99)]
        held = [(key[1], value) for key, value in view.items]
        return held == wanted and view.count == page[1] and items == ['"last"', None, None]
    await peer.read_until(equal)
    assert peer.frames - frames < 200, f"{peer.frames - frames} frames for 800 changes: nothing was conflated"
    await db.fcall("sg_list_set", name, json.loads(page[4]), '"after"')
    await peer.read_until(lambda: peer.state.list(name).items[0][1] == '"after"')


async def test_a_comparison_comes_in_one_order(gateways, peers, slow, db, name):
    """Deletes, inserts in ascending index, sets, then set_count: what happened while nobody read, in one go."""
    gateway = gateways.start()
    await db.pipeline([fcall("sg_list_insert", name, -1, letter, "0") for letter in "abcdefghijklm"])
    fast = await peers(gateway)
    await fast.subscribed("list", name)
    peer = await stalled_reader(gateway, slow, db, name)
    await peer.send(func="subscribe", type="list", name=name)
    await peer.send(func="get", type="list", name=name, page_size=10)
    await peer.read_until(lambda: not peer.state.answers_due())
    await congest(gateway, db, name, times=5)
    await db.pipeline([
        fcall("sg_list_set", name, "c", "1"), fcall("sg_list_insert", name, 5, "x", "2"),
        fcall("sg_list_delete", name, "a"), fcall("sg_list_insert", name, 0, "y", "3"),
        fcall("sg_list_set", name, "e", "4"), fcall("sg_list_delete", name, "h"),
        fcall("sg_list_insert", name, -1, "z", "5")])
    await fast.until(lambda: fast.state.list(name).ids()[-1] == ("str", "z"), "the gateway knows all of it before anybody reads")
    wanted = [("str", letter) for letter in "ybcdexfgij"]
    frames = []
    while not (peer.state.list(name).ids() == wanted and peer.state.list(name).count == 14):
        frame = await peer.read()
        if frame["name"] == name:
            frames.append(frame)
    funcs = [frame["func"] for frame in frames]
    order = ["delete", "insert", "set", "set_count"]
    assert funcs == sorted(funcs, key=order.index), frames
    assert [funcs.count(func) for func in ("delete", "insert", "set_count")] == [2, 2, 1], frames
    assert [("gone" in frame) for frame in frames[:2]] == [True, True]
    assert frames[2]["index"] < frames[3]["index"]


async def test_an_item_that_went_and_came_back_while_nobody_read(gateways, peers, slow, db, name):
    """Within one conflation it stays subscribed and gets a set."""
    gateway = gateways.start()
    await db.pipeline([fcall("sg_list_insert", name, -1, letter, "0") for letter in "ab"])
    fast = await peers(gateway)
    await fast.subscribed("list", name)
    peer = await stalled_reader(gateway, slow, db, name)
    await peer.send(func="subscribe", type="list", name=name, id="a")
    await peer.read_until(lambda: not peer.state.answers_due())
    await congest(gateway, db, name)
    await db.pipeline([fcall("sg_list_delete", name, "a"), fcall("sg_list_insert", name, 0, "a", "1")])
    await fast.until(lambda: dict(fast.state.list(name).items).get(("str", "a")) == "1", "the gateway knows it before anybody reads")
    await peer.read_until(lambda: peer.state.item(name, "a") == "1")
    await db.fcall("sg_list_set", name, "a", "2")
    await peer.read_until(lambda: peer.state.item(name, "a") == "2")


async def test_get_is_answered_to_a_stalled_reader_too(gateways, slow, db, name):
    """State is merged for it, answers are not: as many as it asked for, all of them."""
    gateway = gateways.start("--queue-budget", "1MiB")
    await db.fcall("sg_var_set", name, "0")
    await db.pipeline([fcall("sg_list_insert", name, -1, letter, "0") for letter in "abc"])
    peer = await stalled_reader(gateway, slow, db, name)
    await peer.send(func="subscribe", type="var", name=name)
    await peer.send(func="subscribe", type="list", name=name)
    for number in range(1, 21):
        await db.fcall("sg_var_set", name, number)
        await db.fcall("sg_list_set", name, "a", number)
        await peer.send(func="get", type="var", name=name)
        await peer.send(func="get", type="list", name=name, page=0, page_size=2)
        await peer.send(func="get", type="list", name=name, id="c")
    counted = {"set var": 0, "set_all list": 0, "set list": 0}
    values = []
    while counted["set var"] < 21 or counted["set_all list"] < 21 or counted["set list"] < 20:
        frame = await peer.read()
        key = f"{frame['func']} {frame['type']}"
        if frame["name"] == name and (key != "set list" or frame["id"] == "c"):
            counted[key] += 1
            if key == "set var":
                values.append(frame["value"])
    await peer.read_until(lambda: peer.state.value(name) == "20" and peer.state.list(name).items[0][1] == "20")
    assert values == sorted(values), "an older value after a newer one"


async def test_a_stalled_reader_is_answered_its_pings_too(gateways, slow, db, name):
    """Each in its place among the answers."""
    gateway = gateways.start("--queue-budget", "1MiB")
    await db.fcall("sg_var_set", name, "0")
    peer = await stalled_reader(gateway, slow, db, name)
    await peer.send(func="subscribe", type="var", name=name)
    await peer.read_until(lambda: not peer.state.answers_due())
    await congest(gateway, db, name, times=5)
    for number in range(20):
        await peer.send(func="get", type="var", name=name)
        await peer.send(func="ping", id=number)
    answers = []
    while len(answers) < 40:
        frame = await peer.read()
        if frame["func"] == "pong" or frame["name"] == name:
            answers.append(frame.get("id"))
    assert answers == [answer for number in range(20) for answer in (None, number)]


async def test_a_stalled_reader_of_answers_is_closed_1013(gateways, slow, peers, db, name):
    """Requests wait within a budget; over it they are not read, and who then takes nothing at all is closed, with a reason,
    and nobody else notices."""
    gateway = gateways.start("--queue-budget", "64KiB", "--stall-timeout", "300ms")
    await db.fcall("sg_var_set", name, '"' + "v" * 4000 + '"')
    other = await peers(gateway)
    await other.subscribed("var", name)
    peer = await stalled_reader(gateway, slow, db, name)
    asking = asyncio.ensure_future(ask_for_ever(peer.raw, name))

    async def closing():
        metrics = await asyncio.to_thread(gateway.metrics)
        return metrics['syncgate_connections{protocol="socksync",state="closing"}'] == 1
    await until(closing, "the one that does not read is closed")
    assert await gateway.metric("syncgate_queued_bytes") < 256 * 1024
    assert await peer.raw.close_code() == 1013
    asking.cancel()
    await asyncio.wait([asking])
    peer.raw.close()
    await until_metric(gateway, "syncgate_queued_bytes", 0)
    await db.fcall("sg_var_set", name, "1")
    await other.expect(f'{{"func":"set","type":"var","name":"{name}","value":1}}')


async def test_a_stalled_executor_is_closed_1013_and_its_calls_fail(gateways, slow, peers, db, name):
    gateway = gateways.start("--stall-timeout", "300ms", "--call-timeout", "10m")
    peer = await stalled_reader(gateway, slow, db, name)
    await peer.send(func="subscribe", type="function", name=name)
    caller = await peers(gateway)
    await caller.offered(name)
    for number in range(40):
        await caller.send(func="call", type="function", name=name, id=number, args={"pad": "p" * 8000})
    for number in range(40):
        frame = await caller.settled(number)
        assert frame["func"] == "error" and frame["error_code"] in (3, 8), frame
    with pytest.raises(Closed) as closed:
        while True:
            await peer.read()
    assert closed.value.code == 1013, closed.value
    await caller.offered(name, False)


async def test_missed_pongs_close(gateways, peers, slow, db, name):
    """A client that answers pings stays; one that does not is closed, and a stalled reader is no exception."""
    gateway = gateways.start("--ping-interval", "2s")  # who answers has time to
    answering, silent = await peers(gateway), await peers.bare(gateway.address)
    await stalled_reader(gateway, slow, db, name)
    pings = 0
    with pytest.raises(Closed):
        while True:
            opcode, _ = await silent.recv_frame()
            if opcode == RawPeer.CLOSE:
                raise Closed(1001, "a close frame")
            assert opcode == RawPeer.PING
            pings += 1
    assert pings == 2, "two missed pongs close"
    await until_metric(gateway, "syncgate_connections", 1)
    assert await answering.fence() == []


async def test_a_client_that_goes_while_it_is_stalled(gateways, slow, peers, db, name):
    """Its connection breaks with much unsent: everything is given back."""
    gateway = gateways.start()
    await db.pipeline([fcall("sg_list_insert", name, -1, n, n) for n in range(50)])
    for _ in range(3):
        peer = await stalled_reader(gateway, slow, db, name)
        await peer.send(func="subscribe", type="list", name=name)
        await db.fcall("sg_list_set", name, 5, '"x"')
        peer.raw.close()
        await until_metric(gateway, "syncgate_connections", 0)
        await until_metric(gateway, "syncgate_queued_bytes", 0)
        await until_metric(gateway, "syncgate_dirty_subscriptions", 0)


async def test_a_sender_that_is_faster_than_redis(gateways, peers, redis_server, db, name):
    """Writes pile up while Redis is frozen: the gateway stops reading from the writer instead of holding everything."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, '"start"')
    reader = await peers(gateway)
    await reader.subscribed("var", name)
    writer = await peers.bare(gateway.address)
    before = gateway.rss_bytes()
    redis_server.pause()
    sent = 0
    payload = "w" * 60000
    try:
        async def write():
            nonlocal sent
            while sent < 2000:
                frame = RawPeer.encode(RawPeer.TEXT, dumps(func="set", type="var", name=name, value=[sent, payload]).encode())
                await asyncio.get_running_loop().sock_sendall(writer.sock, frame)
                sent += 1
        task = asyncio.ensure_future(write())
        last = -1
        while last != sent and not task.done():  # until nothing more is taken
            last = sent
            await asyncio.wait([task], timeout=0.5)
        assert not task.done(), "120 MB of writes were taken while Redis did nothing"
        assert gateway.rss_bytes() - before < 64 * MIB, "the gateway holds what Redis does not take"
    finally:
        redis_server.resume()
    await task
    await reader.until(lambda: reader.state.value(name).startswith(f"[{1999},"), "the last write")
