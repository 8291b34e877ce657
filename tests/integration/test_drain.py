"""The planned end: readiness, the delay, closes with 1012 and a wait, calls in flight, workers, and who may ask for it."""
import asyncio
import re
import signal

import pytest

from gateway import until
from redis_proxy import RedisProxy
from test_admin import ask
from test_functions import Held, answer, begin, received


async def reason_of(peer):
    assert await peer.closed() == 1012
    return peer.broken.reason


async def drained(gateway):
    await until(lambda: "draining" in gateway.stderr(), "it drains")


async def cut(gateway):
    """Ends it without waiting for anybody. Signals of a kind that come close together are one, so it is the other."""
    while gateway.process.poll() is None:
        gateway.signal(signal.SIGINT)
        await asyncio.sleep(0.05)
    assert await asyncio.to_thread(gateway.wait_exit) == 1


async def crowd(peers, gateway, count):
    return [await peers(gateway) for _ in range(count)]


async def call_in_flight(executor, caller, name):
    """Call "1" of `caller`, which the executor has and does not answer until it is told to."""
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    return held


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
@pytest.mark.parametrize("flags", [[], ["--workers", "2"]])
async def test_signals_until_it_has_ended(gateways, flags, number):
    """timeout(1) and others say it twice: no moment of the end is one at which the second cuts it off."""
    gateway = gateways.new(*flags, redis=None)
    await asyncio.to_thread(gateway.start)
    gateway.signal(signal.SIGTERM)
    while gateway.process.poll() is None:
        gateway.signal(number)
        await asyncio.sleep(0.001)
    wanted = (0, 1) if number == signal.SIGINT else (0,)  # 1: it was cut short
    assert await asyncio.to_thread(gateway.wait_exit) in wanted


async def test_every_close_says_how_long_to_wait(gateways, peers):
    gateway = gateways.start("--drain-seconds", "1")
    many = await crowd(peers, gateway, 40)
    gateway.signal(signal.SIGTERM)
    waits = []
    for peer in many:
        found = re.fullmatch(r"retry=(\d+)ms", await reason_of(peer))
        waits.append(int(found[1]))
    assert max(waits) <= 1000, waits
    assert len(set(waits)) > 20, f"nobody is told the same: {waits}"
    assert await asyncio.to_thread(gateway.wait_exit) == 0


async def test_two_gateways_tell_different_waits(gateways, peers):
    reasons = []
    for gateway in (gateways.start(), gateways.start()):
        many = await crowd(peers, gateway, 10)
        gateway.signal(signal.SIGTERM)
        reasons.append([await reason_of(peer) for peer in many])
        assert await asyncio.to_thread(gateway.wait_exit) == 0
    assert reasons[0] != reasons[1]


async def test_during_the_delay_it_is_not_ready_and_still_accepts(gateways, peers, db, name):
    gateway = gateways.start("--drain-delay", "10m")
    await db.fcall("sg_var_set", name, "1")
    before = await peers(gateway)
    await before.subscribed("var", name)
    gateway.signal(signal.SIGTERM)
    await drained(gateway)
    response = gateway.get("/readyz")
    assert (response.status, response.body) == (503, b"draining\n")
    assert gateway.get("/healthz").status == 200
    assert gateway.metrics()["syncgate_draining"] == 1
    during = await peers(gateway)
    await during.subscribed("var", name)
    await db.fcall("sg_var_set", name, "2")
    for peer in (before, during):
        assert (await peer.recv())["value"] == 2
    await cut(gateway)


async def test_after_the_delay_it_goes_on(gateways, peers):
    gateway = gateways.start("--drain-delay", "50ms")
    peer = await peers(gateway)
    gateway.signal(signal.SIGTERM)
    await reason_of(peer)
    assert await asyncio.to_thread(gateway.wait_exit) == 0


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_post_drains_the_whole_program(gateways, peers, flags):
    """One worker is asked, all end, and none is started again."""
    gateway = gateways.start(*flags)
    many = await crowd(peers, gateway, 12)
    response = await asyncio.to_thread(ask, gateway.address, "/admin/drain", "POST")
    assert (response.status, response.body) == (202, b"draining\n")
    for peer in many:
        await reason_of(peer)
    assert await asyncio.to_thread(gateway.wait_exit) == 0
    assert "restarting" not in gateway.stderr()


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_a_stop_after_a_post_does_not_cut(gateways, peers, name, flags):
    """Scripts drain first and stop the service then: the first signal is not the second one."""
    staying, leaving = gateways.start(), gateways.start(*flags)
    executor, caller = await peers(staying), await peers(leaving)
    held = await call_in_flight(executor, caller, name)
    await asyncio.to_thread(ask, leaving.address, "/admin/drain", "POST")
    await drained(leaving)
    leaving.signal(signal.SIGTERM)
    await until(lambda: flags == () or "stopping workers" in leaving.stderr(), "the signal arrives")
    await answer(held.calls[0], 7)
    assert (await caller.settled("1"))["value"] == 7
    await reason_of(caller)
    assert await asyncio.to_thread(leaving.wait_exit) == 0


async def test_a_drain_cannot_be_asked_for_by_a_stranger(gateways, peers):
    gateway = gateways.start()
    peer = await peers(gateway)
    for headers, status in (({"Host": "gate.example"}, 401), ({"X_Forwarded_For": "10.0.0.1"}, 401),
                            ({"Authorization": "Bearer wrong"}, 401), ({"Origin": "http://evil.example"}, 401)):
        assert ask(gateway.address, "/admin/drain", "POST", **headers).status == status
    assert ask(gateway.address, "/admin/drain", "GET").status == 405
    assert gateway.get("/readyz").status == 200
    assert await peer.fence() == []


async def test_a_post_with_a_body(gateways):
    """In one piece, in two, larger than announced, too large, without a length."""
    gateway = gateways.start("--drain-delay", "10m")
    assert ask(gateway.address, "/admin/drain", "POST", b"x" * 70000).status == 413
    head = b"POST /admin/drain HTTP/1.1\r\nHost: localhost\r\n"
    for headers, status in ((b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"), (b"Content-Length: 1x\r\n\r\n", b"400"),
                            (b"Content-Length: -1\r\n\r\n", b"400")):
        assert await answer_of(gateway, head + headers) == status
    assert gateway.get("/readyz").status == 200, "none of these began it"
    assert await answer_of(gateway, head + b"Content-Length: 6\r\n\r\nabc", b"def") == b"202"
    assert gateway.get("/readyz").status == 503
    assert await answer_of(gateway, head + b"Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n") == b"202"
    assert await answer_of(gateway, head + b"\r\n") == b"202"
    assert await answer_of(gateway, head + b"Content-Length: 0\r\n\r\n") == b"202"
    assert ask(gateway.address, "/admin/drain", "POST", b"x" * 60000).status == 202
    await cut(gateway)


async def answer_of(gateway, *pieces):
    """The status of the one answer; the connection ends behind it."""
    reader, writer = await asyncio.open_connection(*gateway.address)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert answer.count(b"HTTP/1.1") == 1, answer
    return answer.split(b" ")[1]


# --- calls ---


async def test_executors_of_a_draining_gateway_are_not_chosen(gateways, peers, name):
    """At once, while their connections are still there; what they execute already is answered."""
    staying, leaving = gateways.start(), gateways.start("--drain-delay", "10m")
    old, new, caller = await peers(leaving), await peers(staying), await peers(staying)
    held, fresh = Held(), Held()
    await old.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, old)
    leaving.signal(signal.SIGTERM)
    await caller.offered(name, False)
    assert (await caller.call(name, "2"))["error_code"] == 3, "nobody else serves it"
    await new.serve(name, fresh)
    await caller.offered(name)
    for number in range(3, 6):
        await begin(caller, name, str(number))
        await received(fresh, new, number - 2)
        await answer(fresh.calls[-1], number)
        assert (await caller.settled(str(number)))["value"] == number
    await answer(held.calls[0], 1)
    assert (await caller.settled("1"))["value"] == 1
    late = await peers(leaving)
    await late.send(func="subscribe", type="function", name=f"{name}:late")
    await late.fence()
    assert f"{name}:late" not in caller.state.callable
    await cut(leaving)


async def test_an_executor_is_closed_after_its_call(gateways, peers, name):
    staying, leaving = gateways.start(), gateways.start()
    executor, idle, caller = await peers(leaving), await peers(leaving), await peers(staying)
    held = await call_in_flight(executor, caller, name)
    leaving.signal(signal.SIGTERM)
    await reason_of(idle)
    await answer(held.calls[0], 1)
    assert (await caller.settled("1"))["value"] == 1
    await reason_of(executor)
    assert await asyncio.to_thread(leaving.wait_exit) == 0


async def test_a_result_that_nobody_can_hear_yet(gateways, peers, redis_server, tmp_path, name):
    """The link is cut while the last call ends. Its result is told when the link is back, and then the gateway ends."""
    staying = gateways.start()
    async with RedisProxy(tmp_path / "proxy.sock", redis_server.socket_path) as proxy:
        leaving = await asyncio.to_thread(gateways.start, redis=proxy.path)
        executor, caller = await peers(leaving), await peers(staying)
        held = await call_in_flight(executor, caller, name)
        await proxy.cut()
        leaving.signal(signal.SIGTERM)
        await drained(leaving)
        await answer(held.calls[0], 1)
        await reason_of(executor)
        await until(lambda: "results have to be told still" in leaving.stderr(), "it waits for nothing but Redis")
        proxy.mend()
        assert (await caller.settled("1"))["value"] == 1
        assert await asyncio.to_thread(leaving.wait_exit) == 0


async def test_a_call_that_does_not_end_does_not_hold_for_ever(gateways, peers, name):
    staying, leaving = gateways.start(), gateways.start("--call-timeout", "10m")
    executor, caller = await peers(staying), await peers(leaving)
    held = await call_in_flight(executor, caller, name)
    leaving.signal(signal.SIGTERM)
    await reason_of(caller)
    assert await asyncio.to_thread(leaving.wait_exit) == 0


async def test_a_client_that_never_answers_the_close_does_not_hold_it(gateways, peers):
    gateway = gateways.start()
    silent = await peers.bare(gateway.address)
    gateway.signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.wait_exit) == 0
    assert silent is not None


async def test_the_log_says_how_many_are_left_and_that_it_ended(gateways, peers):
    gateway = gateways.start("--drain-seconds", "4")
    many = await crowd(peers, gateway, 8)
    gateway.signal(signal.SIGTERM)
    for peer in many:
        await reason_of(peer)
    assert await asyncio.to_thread(gateway.wait_exit) == 0
    left = [int(n) for n in re.findall(r'msg="closing connections" left=(\d+) of=8$', gateway.stderr(), re.M)]
    assert left and left == sorted(set(left), reverse=True) and left[-1] > 0
    assert re.search(r'level=info msg="drained: all connections are closed" count=8 ms=\d+$', gateway.stderr(), re.M)
