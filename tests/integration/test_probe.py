"""Ready is a gateway that reads, writes and hears. A link that answers and hears nothing is rebuilt, and it heals; on a Redis of one's own
and on the private one.
"""
import asyncio
import contextlib
import os
import pathlib
import re

import pytest

from conftest import Database
from gateway import REPOSITORY, until
from redis_proxy import RedisProxy
from redis_server import RedisServer

QUICK = ("--probe-interval", "50ms", "--sweep-interval", "1h")
REDIS_LAG = "syncgate_redis_pubsub_lag_seconds_count"


def is_probe(channel, payload=b""):
    return channel.startswith("sg:@{probe:")


async def says(gateway, status, text):
    async def asked():
        response = await gateway.get_async("/readyz")
        asked.last = response
        return (response.status, response.body.decode().strip()) == (status, text)
    await until(asked, lambda: f"/readyz says {status} {text}, not {asked.last}")


async def risen(gateway, name, beyond):
    async def asked():
        return await gateway.metric(name) > beyond
    await until(asked, f"{name} is more than {beyond}")


def private_socket(folder):
    return next(path for path in pathlib.Path(folder).rglob("*.sock"))


@contextlib.asynccontextmanager
async def proxied(kind, gateways, folder):
    """(gateway behind a proxy, proxy, the socket of Redis itself)"""
    if kind == "its own":
        with RedisServer() as server:
            async with RedisProxy(folder / "proxy.sock", server.socket_path) as proxy:
                gateway = await gateways.new(*QUICK, redis=proxy.path).start_async()
                yield gateway, proxy, server.socket_path
                await gateway.stop_async()
        return
    # The private redis-server listens on its socket under whatever name; the proxy takes the name the gateway knows.
    gateway = await gateways.new(*QUICK, "--data-dir", folder / "data", redis=None).start_async()
    path = private_socket(folder / "data")
    moved = path.with_name("moved.sock")
    os.rename(path, moved)
    async with RedisProxy(path, moved) as proxy:
        db = Database(str(moved))
        before = await gateway.metric("syncgate_redis_link_connects_total")
        await db.cmd("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
        await db.close()
        await risen(gateway, "syncgate_redis_link_connects_total", before)
        yield gateway, proxy, str(moved)
        await gateway.stop_async()


async def test_probes_are_heard(gateways):
    gateway = gateways.start(*QUICK)
    await risen(gateway, REDIS_LAG, 5)
    metrics = gateway.metrics()
    assert metrics["syncgate_redis_pubsub_lag_seconds_sum"] > 0
    assert metrics["syncgate_redis_link_deaf_total"] == metrics["syncgate_redis_probes_refused_total"] == 0
    assert metrics["syncgate_redis_link_losses_total"] == 0


async def test_workers_probe_each_for_itself(gateways, db):
    gateway = gateways.start(*QUICK, "--workers", "2")

    async def heard():
        metrics = gateway.metrics()
        return all(metrics[f'{REDIS_LAG}{{worker="{worker}"}}'] > 2 for worker in (0, 1))
    await until(heard, "both workers hear themselves")
    channels = await db.cmd("PUBSUB", "SHARDCHANNELS", "sg:@{probe:*")
    assert len(channels) == 2, channels


@pytest.mark.parametrize("kind", ["its own", "private"])
async def test_a_deaf_link(gateways, peers, tmp_path, kind):
    """Not ready for as long as nothing is heard, also after the link was rebuilt; what was missed is read again."""
    async with proxied(kind, gateways, tmp_path) as (gateway, proxy, redis):
        db = Database(redis)
        await db.fcall("sg_var_set", "v", "1")
        peer = await peers(gateway)
        await peer.subscribed("var", "v")
        await says(gateway, 200, "ready")
        before = gateway.metrics()
        proxy.swallows = lambda channel, payload: True
        await db.fcall("sg_var_set", "v", "2")
        await says(gateway, 503, "deaf")
        await peer.until(lambda: peer.state.value("v") == "2", "what was missed")
        await risen(gateway, "syncgate_redis_link_deaf_total", before["syncgate_redis_link_deaf_total"] + 1)

        async def up_and_deaf():
            metrics = gateway.metrics()
            return metrics["syncgate_redis_up"] == 1 and metrics["syncgate_ready"] == 0
        await until(up_and_deaf, "the link is up and the gateway not ready")
        proxy.swallows = lambda channel, payload: False
        await says(gateway, 200, "ready")
        lost = await gateway.metric("syncgate_redis_link_losses_total")
        assert lost - before["syncgate_redis_link_losses_total"] >= 2
        await db.fcall("sg_var_set", "v", "3")
        await peer.until(lambda: peer.state.value("v") == "3", "a change on the new link")
        await db.close()
        await peer.close()


async def test_only_probes_are_lost(gateways, tmp_path):
    """What the probe stands for is not looked at: its own channel decides."""
    async with proxied("its own", gateways, tmp_path) as (gateway, proxy, _):
        proxy.swallows = is_probe
        await says(gateway, 503, "deaf")
        proxy.swallows = lambda channel, payload: False
        await says(gateway, 200, "ready")
        assert proxy.swallowed > 3


async def test_single_losses_are_no_deafness(gateways, tmp_path):
    """Two of three probes are lost for a long time."""
    async with proxied("its own", gateways, tmp_path) as (gateway, proxy, _):
        seen = []

        def two_of_three(channel, payload):
            seen.append(channel)
            return is_probe(channel) and len(seen) % 3 > 0
        proxy.swallows = two_of_three
        await until(lambda: len(seen) > 30, "thirty probes")
        assert (await gateway.get_async("/readyz")).status == 200
        assert await gateway.metric("syncgate_redis_link_deaf_total") == 0
        assert await gateway.metric("syncgate_redis_link_losses_total") == 0


async def test_forged_probes_count_for_nothing(gateways, tmp_path):
    """Others may publish on the channel; only what was sent is heard."""
    async with proxied("its own", gateways, tmp_path) as (gateway, proxy, redis):
        db = Database(redis)
        [channel] = await db.cmd("PUBSUB", "SHARDCHANNELS", "sg:@{probe:*")
        await risen(gateway, REDIS_LAG, 1)
        forged = (b"", b" ", b"x", b"1", b"1 1", b"-1 5", b"99999999 1", b"0 0", b"1 x", b"x 1", b"99999999999999999999 1", b"\xff" * 100)
        proxy.swallows = lambda channel, payload: is_probe(channel) and payload not in forged
        deaf = await gateway.metric("syncgate_redis_link_deaf_total")
        for payload in forged:
            await db.cmd("SPUBLISH", channel, payload)

        async def went_deaf():
            await db.cmd("SPUBLISH", channel, b"99999999 1")
            return await gateway.metric("syncgate_redis_link_deaf_total") > deaf + 1
        await until(went_deaf, "deaf, whatever others say")
        assert (await gateway.get_async("/readyz")).status == 503
        proxy.swallows = lambda channel, payload: False
        await says(gateway, 200, "ready")
        assert await gateway.metric("syncgate_bad_changes_total") == 0
        await db.close()


RIGHTS = ("~*", "&*", "+@all")


@pytest.mark.parametrize("taken, given, text", [
    (["-spublish"], ["+spublish"], "no message"), (["-fcall"], ["+fcall"], "no write"), (["-fcall_ro"], ["+fcall_ro"], "no read"),
    (["resetkeys"], ["~*"], "no read, no write"), (["-@hash"], ["+@hash"], "no read, no write"),
    (["-@all", "+@connection", "+ssubscribe"], ["+@all"], "no read, no write, no message"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else value)
async def test_what_is_refused_is_named(gateways, redis_server, db, taken, given, text):
    """Rights that are taken away while the link is up: it stays, /readyz and the metrics say what is missing, and it heals."""
    await db.cmd("ACL", "SETUSER", "mute", "reset", "on", ">mute", *RIGHTS)
    gateway = gateways.new(*QUICK, "--redis", f"redis://mute:mute@127.0.0.1:{redis_server.port}", redis=None)
    await gateway.start_async()
    losses = await gateway.metric("syncgate_redis_link_losses_total")
    await db.cmd("ACL", "SETUSER", "mute", *taken)
    await says(gateway, 503, text)
    metrics = gateway.metrics()
    assert metrics["syncgate_ready"] == 0 and metrics["syncgate_redis_up"] == 1
    for kind, metric in ("read", "read"), ("write", "write"), ("message", "pubsub"):
        assert (metrics[f"syncgate_redis_{metric}_silence_seconds"] > 5) == (kind in text), kind
        assert gateway.stderr().count(f"redis refuses a probe\" probe={kind}") == (kind in text), kind
    await risen(gateway, "syncgate_redis_probes_refused_total", 2)
    await db.cmd("ACL", "SETUSER", "mute", *given)
    await says(gateway, 200, "ready")
    assert await gateway.metric("syncgate_redis_link_losses_total") == losses


async def test_ready_needs_all_three_from_the_start(gateways, redis_server, db):
    await db.cmd("ACL", "SETUSER", "mute", "reset", "on", ">mute", *RIGHTS, "-spublish")
    gateway = gateways.new(*QUICK, "--redis", f"redis://mute:mute@127.0.0.1:{redis_server.port}", redis=None)
    gateway.launch()
    await until(lambda: "listening" in gateway.stderr() or "http://" in gateway.stderr(), "it listens")
    await says(gateway, 503, "no message")
    await db.cmd("ACL", "SETUSER", "mute", "+spublish")
    await says(gateway, 200, "ready")


async def test_a_script_that_does_not_end(gateways, tmp_path):
    """Redis answers everything with BUSY."""
    with RedisServer(args=["--busy-reply-threshold", "50"]) as server:
        db, other = Database(server.socket_path), Database(server.socket_path)
        gateway = await gateways.new(*QUICK, redis=server.socket_path).start_async()
        loop = asyncio.ensure_future(db.cmd("EVAL", "while true do end", "0"))
        await says(gateway, 503, "no read, no write, no message")
        await other.cmd("SCRIPT", "KILL")
        await asyncio.gather(loop, return_exceptions=True)
        await says(gateway, 200, "ready")
        await db.close()
        await other.close()
        await gateway.stop_async()


async def test_a_foreign_library_has_our_function(gateways, tmp_path):
    """The functions cannot be loaded; that is told and not repeated every second."""
    foreign = "#!lua name=foreign\nredis.register_function{function_name='sg_state', callback=function() return 1 end}"
    with RedisServer() as server:
        db = Database(server.socket_path)
        gateway = await gateways.new(*QUICK, redis=server.socket_path).start_async()
        await db.pipeline([("FUNCTION", "DELETE", "syncgate"), ("FUNCTION", "LOAD", foreign)])
        await says(gateway, 503, "no read, no write")
        assert gateway.stderr().count("the function library is gone") == 1
        assert gateway.stderr().count("already exists") == 1
        await db.cmd("FUNCTION", "DELETE", "foreign")
        await says(gateway, 200, "ready")
        await until(lambda: "the function library is there again" in gateway.stderr(), "it says so")
        await db.close()
        await gateway.stop_async()


async def test_answers_are_stuck_and_messages_pass(gateways, tmp_path):
    """Messages keep the link: it is not silent. But nobody is served by it."""
    async with proxied("its own", gateways, tmp_path) as (gateway, proxy, redis):
        db = Database(redis)
        [channel] = await db.cmd("PUBSUB", "SHARDCHANNELS", "sg:@{probe:*")
        proxy.answers = False

        async def stuck():
            await db.cmd("SPUBLISH", channel, "x")
            response = await gateway.get_async("/readyz")
            return response.status == 503 and response.body.decode().strip() == "no read, no write, no message"
        await until(stuck, "not ready")
        assert await gateway.metric("syncgate_redis_up") == 1
        assert await gateway.metric("syncgate_redis_link_losses_total") == 0
        await proxy.cut()
        proxy.answers = True
        proxy.mend()
        await says(gateway, 200, "ready")
        await db.close()


async def test_the_rights_of_the_containers_are_enough(gateways, redis_server, db):
    """The user of docker/redis/users.acl hears its probes; one that may not hear them is told so and is not ready."""
    rights = re.search(r"^user gateway on #GATEWAY_PASSWORD (.*)$", (REPOSITORY / "docker/redis/users.acl").read_text(), re.M)[1].split()
    url = f"redis://{{}}:secret@127.0.0.1:{redis_server.port}"
    await db.cmd("ACL", "SETUSER", "wide", "on", ">secret", *rights)
    await db.cmd("ACL", "SETUSER", "narrow", "on", ">secret", *[word for word in rights if not word.startswith("&")], "&sg:{*", "&sg:@{calls}*")
    wide = gateways.new(*QUICK, "--redis", url.format("wide"), redis=None).start()
    await risen(wide, REDIS_LAG, 2)
    assert await wide.metric("syncgate_redis_probes_refused_total") == await wide.metric("syncgate_redis_link_losses_total") == 0
    narrow = gateways.new(*QUICK, "--redis", url.format("narrow"), redis=None)
    narrow.launch()
    await until(lambda: "NOPERM" in narrow.stderr(), "the log says what is missing")
    await says(narrow, 503, "no message")
    assert await narrow.metric("syncgate_redis_link_losses_total") == 0
