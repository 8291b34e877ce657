"""Calls while a link to Redis is cut for a moment, or Redis refuses to write: no work is thrown away, no executor haunts."""
import asyncio

import pytest

from conftest import Gateways
from gateway import until
from redis_proxy import RedisProxy
from test_functions import Held, answer, begin, echo, received


@pytest.fixture
def fleet(tmp_path, redis_server):
    pool = Gateways(tmp_path, redis_server.socket_path)
    yield pool
    pool.stop()


async def down(gateway):
    await until_metric(gateway, 0)


async def until_metric(gateway, value):
    async def says():
        return await gateway.metric("syncgate_redis_up") == value
    await until(says, f"syncgate_redis_up is {value}")


async def swallowed(proxy, what):
    async def some():
        return proxy.swallowed > 0
    await until(some, what)


async def through(fleet, proxy):
    """A gateway behind a proxy. Starting one blocks, and the proxy lives in this loop."""
    return await asyncio.to_thread(fleet.start, "--call-timeout", "10m", redis=proxy.path)


@pytest.mark.parametrize("cut", ["executor", "caller", "both are one"])
async def test_a_cut_link_ends_no_call(fleet, peers, redis_server, tmp_path, name, cut):
    """What ran goes on and its result arrives, also one that was ready while nobody could hear it; nothing runs twice."""
    async with RedisProxy(tmp_path / "proxy.sock", redis_server.socket_path) as proxy:
        weak = await through(fleet, proxy)
        strong = weak if cut == "both are one" else await asyncio.to_thread(fleet.start, "--call-timeout", "10m")
        executor = await peers(strong if cut == "caller" else weak)
        caller = await peers(strong if cut == "executor" else weak)
        held = Held()
        await executor.serve(name, held)
        await caller.offered(name)
        for call_id in ("1", "2"):
            await begin(caller, name, call_id)
        await received(held, executor, 2)
        await proxy.cut()
        await down(weak)
        await answer(held.calls[0], 1)
        await executor.fence()
        proxy.mend()
        frame = await caller.settled("1")
        assert frame["func"] == "return" and frame["value"] == 1
        await answer(held.calls[1], 2)
        frame = await caller.settled("2")
        assert frame["func"] == "return" and frame["value"] == 2
        await until_metric(weak, 1)
        await begin(caller, name, "3")
        await received(held, executor, 3)
        await answer(held.calls[2], 3)
        assert (await caller.settled("3"))["value"] == 3
        assert len(held.calls) == 3


async def test_a_result_that_went_into_a_dying_link(fleet, peers, redis_server, tmp_path, name):
    """Redis handed it to a connection that was half dead. The caller asks for it when it is back."""
    async with RedisProxy(tmp_path / "proxy.sock", redis_server.socket_path) as proxy:
        weak = await through(fleet, proxy)
        strong = await asyncio.to_thread(fleet.start, "--call-timeout", "10m")
        executor, caller = await peers(strong), await peers(weak)
        await executor.serve(name, echo)
        await caller.offered(name)
        proxy.swallows = lambda channel, payload: payload.startswith(b"r ")
        await begin(caller, name, "1", args={"a": 1})
        await swallowed(proxy, "the result is lost")
        proxy.swallows = lambda channel, payload: False
        await proxy.cut()
        proxy.mend()
        frame = await caller.settled("1")
        assert frame["func"] == "return" and frame["value"] == {"a": 1}
        assert sum(f["func"] == "call" for f in executor.frames) == 1


async def test_a_call_that_went_into_a_dying_link(fleet, peers, redis_server, tmp_path, name):
    """Its executor never got it and never will: the caller need not wait for its deadline."""
    async with RedisProxy(tmp_path / "proxy.sock", redis_server.socket_path) as proxy:
        weak = await through(fleet, proxy)
        strong = await asyncio.to_thread(fleet.start, "--call-timeout", "10m")
        executor, caller = await peers(weak), await peers(strong)
        await executor.serve(name, echo)
        await caller.offered(name)
        proxy.swallows = lambda channel, payload: payload.startswith(b"c ")
        await begin(caller, name, "1")
        await swallowed(proxy, "the call is lost")
        proxy.swallows = lambda channel, payload: False
        await proxy.cut()
        proxy.mend()
        frame = await caller.settled("1")
        assert frame["func"] == "error" and frame["error_code"] == 8
        assert (await caller.call(name, "2"))["func"] == "return"
        assert sum(f["func"] == "call" for f in executor.frames) == 1


async def test_an_executor_that_left_while_redis_refused_to_write(fleet, peers, db, name):
    gateway = await asyncio.to_thread(fleet.start)
    executor, other, caller = await peers(gateway), await peers(gateway), await peers(gateway)
    await executor.serve(name, echo)
    await other.serve(name + "b", echo)
    for offered in (name, name + "b"):
        await caller.offered(offered)
    await db.cmd("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        await executor.close()
        await other.send(func="unsubscribe", type="function", name=name + "b")
        await other.fence()
    finally:
        await db.cmd("CONFIG", "SET", "min-replicas-to-write", 0)
    for offered in (name, name + "b"):
        await caller.offered(offered, False)
    assert (await caller.call(name, "1"))["error_code"] == 3
