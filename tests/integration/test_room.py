"""What does not fit into a socket at once, for clients that read normally: bursts of first states, answers and calls wait for
room, and long messages leave in pieces that nothing comes between.

The peers are bare sockets with a small receive buffer, so that every socket is full, for certain, until its peer reads.
"""
import asyncio
import json
import signal

import pytest

from gateway import http_get, parse_metrics, until
from peer import RawPeer, dumps
from resp import fcall
from strict import StrictState
from test_tls import certificate, trusting  # noqa: F401 (a fixture)

SMALL = 4096  # SO_RCVBUF
MIB = 1 << 20


class Model:
    """A bare peer with a strict model of what it reads."""

    def __init__(self, raw):
        self.raw = raw
        self.state = StrictState(unique_values=True)
        self.frames = []

    async def send(self, **fields):
        text = dumps(**fields)
        self.state.sent(text)
        await self.raw.send_frame(RawPeer.TEXT, text.encode())

    async def read(self):
        frame = self.state.received(await self.raw.recv_text())
        self.frames.append(frame)
        return frame

    async def read_until(self, condition):
        while not condition():
            await self.read()


class Server:
    """A gateway, with or without TLS for its peers; its metrics come through a unix socket."""

    def __init__(self, gateways, tmp_path, peers, files, *flags):
        self.peers = peers
        self.tls = trusting(files) if files else None
        self.side = str(tmp_path / "side.sock")
        if files:
            flags += ("--tls-cert", str(files[0]), "--tls-key", str(files[1]))
        self.gateway = gateways.new("--listen", f"unix:{self.side}", *flags)
        self.gateway.launch()

    async def ready(self):
        async def answers():
            try:
                return (await asyncio.to_thread(http_get, self.side, "/readyz")).status == 200
            except OSError:
                return False
        await until(answers, "the gateway is ready")
        return self

    async def peer(self):
        return Model(await self.peers.bare(self.gateway.address, receive_buffer=SMALL, tls=self.tls))

    async def metric(self, name):
        metrics = parse_metrics((await asyncio.to_thread(http_get, self.side, "/metrics")).body.decode())
        return sum(value for key, value in metrics.items() if key.split("{")[0] == name)

    async def until_metric(self, name, reached):
        async def there():
            return reached(await self.metric(name))
        await until(there, name)


@pytest.fixture
def server(gateways, tmp_path, peers):
    async def start(files, *flags):
        return await Server(gateways, tmp_path, peers, files, *flags).ready()
    return start


@pytest.fixture(params=["plain", "tls"])
def files(request, certificate):  # noqa: F811
    return certificate if request.param == "tls" else None


def big(number, size):
    return f'{{"n":{number},"pad":"{"x" * size}"}}'


def number_of(text):
    return json.loads(text)["n"] if text else None


# --- bursts ---


async def test_a_burst_of_variables(server, files, db, name):
    """120 first states of 10 kB to a client that asks for all of them and then reads, and what changed meanwhile."""
    gateway = await server(files)
    names = [f"{name}.{n}" for n in range(120)]
    await db.pipeline([fcall("sg_var_set", one, big(0, 10_000)) for one in names])
    peer = await gateway.peer()
    for one in names:
        await peer.send(func="subscribe", type="var", name=one)
    await gateway.until_metric("syncgate_partial_writes_total", lambda n: n >= 1)
    await db.pipeline([fcall("sg_var_set", one, big(1, 10_000)) for one in names])
    await peer.read_until(lambda: not peer.state.answers_due())
    await peer.read_until(lambda: all(number_of(peer.state.value(one)) == 1 for one in names))
    assert len(peer.frames) <= 2 * len(names)
    await db.fcall("sg_var_set", names[-1], "2")
    await peer.read_until(lambda: peer.state.value(names[-1]) == "2")
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n == 0)


async def test_what_the_socket_takes_is_told_once(server, peers, db, name):
    """A message of more than one piece and many behind it, in one turn, to a client with room for all of them."""
    gateway = await server(None)
    names = [f"{name}.{n}" for n in range(10)]
    await db.pipeline([fcall("sg_var_set", one, "0") for one in names])
    peer = Model(await peers.bare(gateway.gateway.address, receive_buffer=MIB))
    for one in names:
        await peer.send(func="subscribe", type="var", name=one)
    await peer.read_until(lambda: not peer.state.answers_due())
    told = len(peer.frames)
    gateway.gateway.freeze()
    await db.pipeline([fcall("sg_var_set", one, big(1, 10_000 if n else 70_000)) for n, one in enumerate(names)])
    await db.pipeline([["PING"]])
    gateway.gateway.thaw()
    await peer.read_until(lambda: all(peer.state.value(one) != "0" for one in names))
    await peer.send(func="ping")
    await peer.read_until(lambda: peer.frames[-1]["func"] == "pong")
    assert [frame["name"] for frame in peer.frames[told:-1]] == names
    assert await gateway.metric("syncgate_conflated_total") == 0


async def test_a_burst_of_lists(server, db, name):
    """20 pages of 100 items, then questions about each list: every one is answered, in the order of each list."""
    gateway = await server(None)
    names = [f"{name}.{n}" for n in range(20)]
    for one in names:
        await db.pipeline([fcall("sg_list_insert", one, -1, n, json.dumps(f"{n}" + "x" * 300)) for n in range(150)])
    peer = await gateway.peer()
    for one in names:
        await peer.send(func="subscribe", type="list", name=one)
        await peer.send(func="get", type="list", name=one, page=1)
        await peer.send(func="get", type="list", name=one, id=7)
        await peer.send(func="get", type="list", name=one, page=0, page_size=10)
    await peer.read_until(lambda: not peer.state.answers_due())
    for one in names:
        told = [(frame["func"], frame.get("page"), len(frame.get("items", ""))) for frame in peer.frames if frame["name"] == one]
        assert told == [("set_all", 0, 100), ("set_all", 1, 50), ("set", None, 0), ("set_all", 0, 10)], told


async def test_a_burst_with_deflate(gateways, peers, db, name):
    gateway = gateways.start("--deflate", "on")
    names = [f"{name}.{n}" for n in range(60)]
    await db.pipeline([fcall("sg_var_set", one, json.dumps([n, *range(n, n + 4000)])) for n, one in enumerate(names)])
    peer = await peers(gateway, compression="deflate")
    for one in names:
        await peer.subscribe("var", one)
    await peer.until(lambda: not peer.state.answers_due(), "all first states")


async def test_questions_without_reading_are_all_answered(server, files, db, name):
    """What waits is bounded however much is asked, and who reads after all gets every answer."""
    gateway = await server(files)
    await db.fcall("sg_var_set", name, big(0, 4000))
    peer = await gateway.peer()
    await peer.send(func="subscribe", type="var", name=name)
    questions, worst = 2000, 0

    async def ask():
        for _ in range(questions):
            await peer.send(func="get", type="var", name=name)
    asking = asyncio.ensure_future(ask())
    for _ in range(20):
        worst = max(worst, await gateway.metric("syncgate_queued_bytes"))
    while len(peer.frames) < questions + 1:
        await peer.read()
    await asking
    assert worst < 256 * 1024, f"{worst} bytes wait"
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n == 0)


async def test_unknown_names_among_those_that_wait(server, db, name):
    """An unknown name, an unsubscribe and a repetition in the middle of a burst."""
    gateway = await server(None)
    names = [f"{name}.{n}" for n in range(60)]
    await db.pipeline([fcall("sg_var_set", one, big(0, 10_000)) for one in names])
    peer = await gateway.peer()
    peer.state.excuse("var", f"{name} unknown", None, 3)
    peer.state.excuse("list", f"{name} unknown", None, 3)
    for number, one in enumerate(names):
        await peer.send(func="subscribe", type="var", name=one)
        if number == 40:
            await peer.send(func="subscribe", type="var", name=f"{name} unknown")
            await peer.send(func="subscribe", type="list", name=f"{name} unknown")
    await gateway.until_metric("syncgate_partial_writes_total", lambda n: n >= 1)
    await peer.send(func="unsubscribe", type="var", name=names[50])
    await peer.send(func="subscribe", type="var", name=names[59])
    await peer.send(func="get", type="var", name=names[58])
    await peer.read_until(lambda: not peer.state.answers_due())
    assert sum(frame["func"] == "error" for frame in peer.frames) == 2
    counts = [sum(frame.get("name") == one for frame in peer.frames) for one in names[56:]]
    assert counts == [1, 1, 2, 2]


async def test_an_item_that_goes_and_comes_back_before_there_is_room(server, db, name):
    """It is subscribed again, which has to wait for room; its end, which ends the subscription that was, is told before."""
    gateway = await server(None, "--queue-budget", "4MiB")  # all requests are read
    fillings = [f"{name}.{n}" for n in range(120)]
    await db.pipeline([fcall("sg_var_set", one, big(0, 10_000)) for one in fillings])
    await db.fcall("sg_list_insert", name, -1, "a", "1")
    peer = await gateway.peer()
    await peer.send(func="subscribe", type="list", name=name, id="a")
    await peer.read_until(lambda: peer.state.item(name, "a") == "1")
    for one in fillings[:-1]:
        await peer.send(func="subscribe", type="var", name=one)
    await gateway.until_metric("syncgate_subscriptions", lambda n: n == len(fillings))
    await gateway.until_metric("syncgate_names_stale", lambda n: n == 0)  # their answers wait, the last ones for room
    await peer.send(func="subscribe", type="list", name=name, id="a")
    await peer.send(func="subscribe", type="var", name=fillings[-1])
    await gateway.until_metric("syncgate_subscriptions", lambda n: n == 1 + len(fillings))
    await db.fcall("sg_list_delete", name, "a")
    await peer.read_until(lambda: peer.frames[-1]["func"] == "delete")
    await db.fcall("sg_list_insert", name, -1, "a", "2")
    await peer.read_until(lambda: peer.frames[-1].get("id") == "a" and peer.frames[-1].raw.get("value") == "2")
    await db.fcall("sg_list_set", name, "a", "3")
    await db.fcall("sg_var_set", fillings[-1], "3")
    await peer.read_until(lambda: peer.state.value(fillings[-1]) == "3")
    assert "3" in [frame.raw["value"] for frame in peer.frames if frame.get("id") == "a" and frame["func"] == "set"]


# --- calls ---


async def executing(gateway, peers, name):
    """A bare executor of a function, and a caller who knows of it."""
    executor = await gateway.peer()
    await executor.send(func="subscribe", type="function", name=name)
    caller = await peers(gateway.gateway)
    await caller.offered(name)
    return executor, caller


async def test_a_burst_of_calls(server, peers, name):
    """20 calls of 100 kB to an executor that reads as fast as it can: all are executed, in order, once."""
    gateway = await server(None)
    executor, caller = await executing(gateway, peers, name)
    pad = "p" * 100_000
    for number in range(20):
        await caller.send(func="call", type="function", name=name, id=number, args={"n": number, "pad": pad})
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n > 500_000)
    seen = []
    while len(seen) < 20:
        frame = await executor.read()
        if frame["func"] == "call":
            seen.append(frame["args"]["n"])
            await executor.send(func="return", type="function", name=name, id=frame["id"], value=frame["args"]["n"])
    assert seen == list(range(20))
    for number in range(20):
        assert (await caller.settled(number))["value"] == number


async def test_calls_that_find_no_room_are_busy(server, peers, name):
    """What waits for an executor is bounded; beyond that its callers are told at once, and the rest is executed."""
    gateway = await server(None, "--queue-budget", "4KiB", "--call-timeout", "10m")
    executor, caller = await executing(gateway, peers, name)
    for number in range(30):
        await caller.send(func="call", type="function", name=name, id=number, args={"n": number, "pad": "p" * 100_000})
    await caller.until(lambda: len(caller.state.settled) >= 1, "the first one that is refused")
    asked = 0
    while len(caller.state.settled) < 30:
        try:
            frame = await asyncio.wait_for(executor.read(), 0.2)
        except asyncio.TimeoutError:
            continue
        if frame["func"] == "call":
            asked += 1
            await executor.send(func="return", type="function", name=name, id=frame["id"], value=1)
    ends = [await caller.settled(number) for number in range(30)]
    refused = [frame for frame in ends if frame["func"] == "error"]
    assert asked == 30 - len(refused)
    assert {(frame["error_code"], frame["message"]) for frame in refused} == {(8, "busy")}


async def test_an_executor_that_reads_slowly_is_kept(server, peers, name):
    """It takes something every second, and has three. Pings, for which it is looked at too, make no difference."""
    gateway = await server(None, "--stall-timeout", "3s", "--ping-interval", "50ms", "--call-timeout", "10m")
    executor, caller = await executing(gateway, peers, name)
    for number in range(20):
        await caller.send(func="call", type="function", name=name, id=number, args={"n": number, "pad": "p" * 100_000})
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n > 500_000)
    for _ in range(8):
        assert await asyncio.get_running_loop().sock_recv(executor.raw.sock, 8192), "it was closed"
        await asyncio.sleep(1)
    assert await gateway.metric("syncgate_connections") == 2
    assert not caller.state.settled


async def test_results_in_a_burst(server, peers, name):
    """20 results of 100 kB to a caller that reads after all of them came."""
    gateway = await server(None)

    calls = []

    async def work(peer, frame):
        calls.append(frame["id"])
        for call in calls if len(calls) == 20 else ():  # no more calls of the caller are read when so much waits for it
            await peer.send(func="return", type="function", name=name, id=call, value="r" * 100_000)
    executor = await peers(gateway.gateway)
    await executor.serve(name, work)
    caller = await gateway.peer()
    await caller.read_until(lambda: name in caller.state.callable)
    for number in range(20):
        await caller.send(func="call", type="function", name=name, id=number)
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n > 500_000)
    await caller.read_until(lambda: len(caller.state.settled) == 20)
    assert all(frame["func"] == "return" for frame in caller.state.settled.values())


# --- long messages ---


async def test_a_large_value_to_many(server, files, db, name):
    """One frame, shared by all who have to be told, however little their sockets take."""
    subscribers = 60 if files else 300  # more than get a piece in one turn
    gateway = await server(files)
    await db.fcall("sg_var_set", name, "0")
    peers = [await gateway.peer() for _ in range(subscribers)]
    for peer in peers:
        await peer.send(func="subscribe", type="var", name=name)
        await peer.read()
    before = gateway.gateway.rss_bytes()
    await db.fcall("sg_var_set", name, big(1, MIB))
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n > 50 * MIB)
    grown = gateway.gateway.rss_bytes() - before
    assert grown < 8 * MIB + subscribers * 64 * 1024, f"{grown / MIB:.0f} MiB for one value of 1 MiB"
    await db.fcall("sg_var_set", name, "2")
    for peer in peers:
        await peer.read_until(lambda peer=peer: peer.state.value(name) == "2")
        assert len(peer.frames) <= 3
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n == 0)


async def test_a_large_item_to_many(server, db, name):
    """The same for a single item of a list: as a first state, and when it changes."""
    subscribers = 60
    gateway = await server(None)
    await db.fcall("sg_list_insert", name, -1, "a", big(0, MIB))
    peers = [await gateway.peer() for _ in range(subscribers)]
    before = gateway.gateway.rss_bytes()
    for peer in peers:
        await peer.send(func="subscribe", type="list", name=name, id="a")
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n > subscribers * MIB / 2)
    assert gateway.gateway.rss_bytes() - before < 16 * MIB
    await db.fcall("sg_list_set", name, "a", big(1, MIB))
    for peer in peers:
        await peer.read_until(lambda peer=peer: number_of(peer.state.item(name, "a")) == 1)


async def long_message_under_way(gateway, db, name):
    """A peer whose socket is full of the beginning of a message of 2 MiB."""
    await db.fcall("sg_var_set", name, big(0, 2 * MIB))
    peer = await gateway.peer()
    await peer.send(func="subscribe", type="var", name=name)
    await gateway.until_metric("syncgate_queued_bytes", lambda n: 0 < n < 2 * MIB)
    return peer


async def test_pings_in_the_middle_of_a_message(server, files, db, name):
    """They are answered behind it, and the message is whole."""
    gateway = await server(files)
    peer = await long_message_under_way(gateway, db, name)
    for number in range(5):
        await peer.raw.send_frame(RawPeer.PING, b"%d" % number)
        await gateway.metric("syncgate_queued_bytes")
    opcode, payload = await peer.raw.recv_frame()
    assert opcode == RawPeer.TEXT
    peer.state.received(payload.decode())
    opcode, payload = await peer.raw.recv_frame()
    assert opcode == RawPeer.PONG
    await db.fcall("sg_var_set", name, big(1, 2 * MIB))
    await gateway.until_metric("syncgate_queued_bytes", lambda n: 0 < n < 2 * MIB)
    await peer.raw.send_frame(RawPeer.PING, b"again")
    opcodes = [(await peer.raw.recv_frame())[0] for _ in range(2)]
    assert opcodes == [RawPeer.TEXT, RawPeer.PONG]


async def test_a_goodbye_in_the_middle_of_a_message(server, files, db, name):
    """The message is finished, then the goodbye is answered; nothing else comes."""
    gateway = await server(files)
    peer = await long_message_under_way(gateway, db, name)
    await db.fcall("sg_var_set", name, "1")
    await peer.raw.send_frame(RawPeer.CLOSE, (1000).to_bytes(2, "big"))
    opcode, payload = await peer.raw.recv_frame()
    assert opcode == RawPeer.TEXT and json.loads(payload)["value"]["n"] == 0
    opcode, payload = await peer.raw.recv_frame()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (RawPeer.CLOSE, 1000)
    await gateway.until_metric("syncgate_connections", lambda n: n == 0)
    await gateway.until_metric("syncgate_queued_bytes", lambda n: n == 0)


async def test_a_malformed_frame_in_the_middle_of_a_message(server, files, db, name):
    """What libwebsockets says of it does not land in the message."""
    gateway = await server(files)
    peer = await long_message_under_way(gateway, db, name)
    await peer.raw.send_frame(RawPeer.TEXT, b"{}", rsv=2)
    opcode, payload = await peer.raw.recv_frame()
    assert opcode == RawPeer.TEXT and json.loads(payload)["value"]["n"] == 0
    assert await peer.raw.close_code() in (1002, 1006)


async def test_the_gateway_ends_in_the_middle_of_a_message(server, db, name):
    """A connection that it closes gets the rest of the message, and then the reason."""
    gateway = await server(None)
    peer = await long_message_under_way(gateway, db, name)
    await peer.raw.send_frame(RawPeer.TEXT, b"\xff")
    opcode, payload = await peer.raw.recv_frame()
    assert opcode == RawPeer.TEXT and json.loads(payload)["value"]["n"] == 0
    assert await peer.raw.close_code() == 1007


async def test_a_peer_that_goes_in_the_middle_of_a_message(server, files, db, name):
    gateway = await server(files)
    for _ in range(3):
        peer = await long_message_under_way(gateway, db, name)
        peer.raw.close()
        await gateway.until_metric("syncgate_connections", lambda n: n == 0)
        await gateway.until_metric("syncgate_queued_bytes", lambda n: n == 0)


async def test_newer_states_while_a_message_is_under_way(server, files, db, name):
    """They are merged: behind the one that is under way comes the newest, and nothing in between."""
    gateway = await server(files)
    peer = await long_message_under_way(gateway, db, name)
    for number in range(1, 101):
        await db.fcall("sg_var_set", name, big(number, 100_000))
    await gateway.until_metric("syncgate_conflated_total", lambda n: n >= 100)
    assert await gateway.metric("syncgate_queued_bytes") < 2 * MIB
    await peer.read_until(lambda: number_of(peer.state.value(name)) == 100)
    assert len(peer.frames) == 2


async def test_a_slow_reader_that_reads_is_not_silent(server, db, name):
    """Its pongs cannot come while its socket is full. It is kept as long as it takes something."""
    gateway = await server(None, "--ping-interval", "300ms")
    await db.fcall("sg_var_set", name, big(0, 6 * MIB))
    peer = await gateway.peer()
    await peer.send(func="subscribe", type="var", name=name)
    received = 0
    while received < 6 * MIB:
        received += len(await asyncio.get_running_loop().sock_recv(peer.raw.sock, 8192))
        await gateway.metric("syncgate_connections")
    assert await gateway.metric("syncgate_connections") == 1
