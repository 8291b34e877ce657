"""Fixtures of the integration tests, and coroutine tests without a plug-in.

A coroutine test runs in a loop of its own under a hang guard. Fixtures with a coroutine method aclose(failed) are closed
inside that loop, so that a frame which breaks the protocol fails the test even when nobody waited for it.
"""
import asyncio
import inspect
import itertools
import signal

import pytest

from gateway import Gateway
from peer import Peer, RawPeer
from redis_server import RedisServer
from resp import Redis

TEST_PATIENCE_S = 120


def pytest_configure():
    """Being told to stop is no reason to leave processes behind: fixtures are torn down."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to stop", returncode=143))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    closing = [value for value in pyfuncitem.funcargs.values() if hasattr(value, "aclose")]

    async def run():
        failed = True
        try:
            await asyncio.wait_for(pyfuncitem.obj(**arguments), TEST_PATIENCE_S)
            failed = False
        finally:
            for value in closing:
                await value.aclose(failed)
            await end_tasks()

    asyncio.run(run())
    return True


async def end_tasks():
    """Ends what a test left running. More than once: wait_for() swallows a cancellation that meets a result."""
    for _ in range(20):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1)


@pytest.fixture(scope="module")
def redis_server():
    """A Redis for the tests of one file; its data does not survive."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def durable():
    """A Redis of one test that keeps its data over a crash."""
    with RedisServer(keep_data=True) as server:
        yield server


class Gateways:
    """Starts gateways on one Redis and stops them all, each stop with its checks."""

    def __init__(self, folder, redis):
        self.folder, self.redis = folder, redis
        self.running = []
        self.numbers = itertools.count(1)

    def new(self, *flags, **options):
        """A gateway that is not started yet. SIGTERM is quick unless a flag says otherwise."""
        options.setdefault("redis", self.redis)
        if "--drain-seconds" not in flags:
            flags += ("--drain-seconds", "0")
        gateway = Gateway(self.folder / f"gateway-{next(self.numbers)}", options.pop("redis"), *flags, **options)
        self.running.append(gateway)
        return gateway

    def start(self, *flags, **options):
        return self.new(*flags, **options).start()

    def stop(self):
        problems = []
        for gateway in self.running:
            try:
                gateway.stop()
            except AssertionError as error:
                problems.append(str(error))
        self.running.clear()
        assert not problems, "\n".join(problems)


@pytest.fixture
def gateways(tmp_path, redis_server):
    """Gateways of one test on the Redis of its file."""
    pool = Gateways(tmp_path, redis_server.socket_path)
    yield pool
    pool.stop()


class Peers:
    """Connects peers and closes them at the end of the test; a violated model fails it."""

    def __init__(self):
        self.all = []
        self.raw = []

    async def __call__(self, where, **options):
        options.setdefault("name", f"peer {len(self.all) + 1}")
        peer = await Peer.connect(where, **options)
        self.all.append(peer)
        return peer

    async def bare(self, address, **options):
        """A RawPeer that is upgraded."""
        peer = await RawPeer.connect(address, **options)
        self.raw.append(peer)
        return peer

    async def open(self, address, **options):
        """A RawPeer that has sent nothing yet."""
        peer = await RawPeer.open(address, **options)
        self.raw.append(peer)
        return peer

    async def aclose(self, failed):
        for peer in self.raw:
            peer.close()
        if failed:
            for peer in self.all:
                peer.abort()
        else:
            await asyncio.gather(*(peer.close() for peer in self.all))


@pytest.fixture
def peers():
    return Peers()


class Database(Redis):
    async def aclose(self, _failed):
        await self.close()


@pytest.fixture
def db(redis_server):
    """Redis as a web application sees it."""
    return Database(redis_server.socket_path)


@pytest.fixture
def name(request, _names=itertools.count(1)):
    """A name that no other test uses."""
    return f"t{next(_names)}"


def write_config(path, text):
    """Writes a configuration file and returns its path as a flag's value."""
    path.write_text(text)
    return str(path)
