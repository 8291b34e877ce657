"""No descriptor left: a state with a pause, a metric and a line, and nothing worse."""
import asyncio
import socket
import stat
import sys

import pytest

import gateway as harness
from attacker import Attack
from redis_proxy import RedisProxy
from test_admin import ask
from test_admission import refused_total
from test_endpoints import upgrade_text
from test_socket_activation import LAUNCHER


def few_descriptors(tmp_path, monkeypatch, number=64):
    program = tmp_path / "few-descriptors"
    program.write_text(f'#!/bin/sh\nulimit -n {number}\nexec "{harness.BINARY}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(harness, "BINARY", str(program))


async def fill_up(gateway, peers):
    """Opens WebSockets until one is refused, and says with what."""
    status = 101
    while status == 101:
        peer = await peers.open(gateway.address)
        status = await peer.request(upgrade_text())
    return status


async def test_descriptors_run_out_and_come_back(gateways, peers, db, name, tmp_path, monkeypatch):
    few_descriptors(tmp_path, monkeypatch)
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "1")
    first = await peers(gateway)
    await first.subscribed("var", name)
    await fill_up(gateway, peers)
    # What is left takes less than those who may wait without a request; the kernel's queue has who is not accepted.
    crowd = [await asyncio.open_connection(*gateway.address) for _ in range(20)]

    async def warned():
        return "accepting pauses" in gateway.stderr()

    await harness.until(warned, "the gateway says that descriptors ran out")
    await db.fcall("sg_var_set", name, "2")  # whoever is connected notices nothing
    await first.until(lambda: first.state.value(name) == "2", "the change")
    for _, writer in crowd:
        writer.close()
    for peer in peers.raw:
        peer.close()
    late = await peers(gateway)
    await late.subscribed("var", name)
    assert await gateway.metric("syncgate_accept_failures_total") > 0
    assert len(gateway.stderr().splitlines()) < 200, "the log is not flooded"


@pytest.mark.parametrize("passed", [False, True], ids=["own socket", "passed socket"])
async def test_a_few_are_kept_for_redis_and_for_requests(gateways, peers, db, redis_server, name, tmp_path, monkeypatch, passed):
    """A crowd of WebSockets leaves room for health checks, and a crowd of silent connections room for the Redis link."""
    few_descriptors(tmp_path, monkeypatch)
    async with RedisProxy(tmp_path / "proxy.sock", redis_server.socket_path) as proxy, Crowd() as crowd:
        gateway = gateways.new(redis=proxy.path)
        if passed:
            listener = socket.create_server(("127.0.0.1", 0))
            gateway.port = listener.getsockname()[1]
            gateway.pass_fds = [listener.fileno()]
            gateway.launcher = [sys.executable, "-c", LAUNCHER, "1", str(listener.fileno())]
        await gateway.start_async()
        await db.fcall("sg_var_set", name, "1")
        first = await peers(gateway)
        await first.subscribed("var", name)
        assert await fill_up(gateway, peers) == 503 and len(peers.raw) > 16
        for path in "/healthz", "/readyz", "/metrics", "/admin/stats":
            assert (await asyncio.to_thread(ask, gateway.address, path)).status == 200
        assert await asyncio.to_thread(refused_total, gateway, "descriptors") > 0
        assert gateway.stderr().count("no more connections are taken") == 1

        await crowd.fill(gateway.address, 100)

        async def listeners(number):
            return (await db.cmd("PUBSUB", "SHARDNUMSUB", f"sg:{{{name}}}"))[1] == number

        for _ in range(2):
            await proxy.cut()
            await harness.until(lambda: listeners(0), "Redis knows that the link is cut")
            proxy.mend()
            await harness.until(lambda: listeners(1), "the link is back")
        await db.fcall("sg_var_set", name, "2")
        await first.until(lambda: first.state.value(name) == "2", "the change")

        crowd.leave()
        for peer in peers.raw:
            peer.close()
        late = await peers(gateway)
        await late.subscribed("var", name)
        await harness.until(lambda: "connections are taken again" in gateway.stderr(), "it says so")


class Crowd:
    """Connections that say nothing."""

    def __init__(self):
        self.writers = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.leave()

    async def fill(self, address, number):
        for _ in range(number):
            self.writers.append((await asyncio.open_connection(*address))[1])

    def leave(self):
        for writer in self.writers:
            writer.close()
        self.writers.clear()


async def test_silence_does_not_use_up_descriptors(gateways, peers, db, name, tmp_path, monkeypatch):
    """Who waits without a request has a quarter of them."""
    few_descriptors(tmp_path, monkeypatch)
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "1")
    async with Attack(gateway.address, 200, b"", hosts=20):
        for _ in range(8):
            peer = await peers(gateway)
            await peer.subscribed("var", name)
            await peer.close()
    assert await gateway.metric("syncgate_accept_failures_total") == 0
