"""`wait`: who subscribed to a name that is not there is told when it comes, whatever happens in between, and without a question to
Redis. (What is said in which order: tests/vectors/socksync/wait.txt.)
"""
import pytest

from gateway import until
from peer import dumps
from redis_server import RedisServer
from test_failure import World, ready
from test_reload import reloaded  # noqa: F401  a fixture


@pytest.fixture
def world(tmp_path):
    with RedisServer() as server:
        made = World(tmp_path, server)
        yield made
        made.fleet.stop()


async def waits(peer, kind, name, **fields):
    await peer.subscribe(kind, name, wait=True, **fields)
    frame = await peer.expect_error(3, type=kind, name=name)
    assert frame["waiting"] is True


async def test_a_name_that_comes_while_redis_is_away(world, peers):
    gateway = world.start()
    peer = await peers(gateway)
    await waits(peer, "var", "v")
    await waits(peer, "list", "l")
    await world.db.cmd("ACL", "SETUSER", "other", "on", ">x", "~*", "&*", "+@all")
    await world.db.cmd("AUTH", "other", "x")
    await world.db.cmd("ACL", "SETUSER", "default", "off")
    await world.db.cmd("CLIENT", "KILL", "USER", "default", "SKIPME", "yes")
    await ready(gateway, 503)
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.fcall("sg_list_insert", "l", 0, "a", "2")
    await world.db.cmd("ACL", "SETUSER", "default", "on")
    await peer.until(lambda: peer.state.value("v") == "1", "the variable")
    await peer.until(lambda: peer.state.list("l").count == 1, "the list")


async def test_a_name_that_comes_damaged(gateways, peers, db, name):
    gateway = gateways.start()
    peer = await peers(gateway)
    await waits(peer, "var", name)
    await waits(peer, "list", name, id="a")
    peer.state.excuse("var", name, None, 8)
    peer.state.excuse("list", name, "a", 8)
    await db.cmd("SET", f"sg:{{{name}}}:v", "x")
    await db.cmd("SET", f"sg:{{{name}}}:m", "x")
    await db.cmd("SPUBLISH", f"sg:{{{name}}}", "vs x")  # nobody says so by himself
    await db.cmd("SPUBLISH", f"sg:{{{name}}}", "vs 7 {")
    await db.cmd("SPUBLISH", f"sg:{{{name}}}", "lx 9 0 0 1 1")
    kinds = {(await peer.expect_error(8))["type"] for _ in range(2)}
    assert kinds == {"var", "list"}
    await db.cmd("DEL", f"sg:{{{name}}}:v", f"sg:{{{name}}}:m")
    peer.state.excuse("var", name, None, 3)
    await peer.subscribe("var", name)
    while (await peer.recv())["error_code"] != 3:  # the repair takes a moment to be seen
        peer.state.excuse("var", name, None, 3)
        await peer.subscribe("var", name)


async def test_a_thousand_who_wait_cost_one_read(gateways, peers, db, name):
    gateway = gateways.start()
    crowd = [await peers(gateway) for _ in range(20)]
    for peer in crowd:
        for number in range(50):
            await waits(peer, "list", name, id=f"i{number}")
        await waits(peer, "list", name)
        await waits(peer, "var", name)
    before = await gateway.metric("syncgate_redis_reads_total")
    for peer in crowd:
        for number in range(1, 50):
            peer.state.excuse("list", name, f"i{number}", 4)
    await db.fcall("sg_var_set", name, "1")
    await db.fcall("sg_list_set_all", name, '[{"id":"i0","value":1}]')
    for peer in crowd:
        await peer.until(lambda peer=peer: len(peer.frames) == 52, "every answer")
        frames = peer.take()
        assert sum(frame["func"] == "error" for frame in frames) == 49
    assert 1 <= await gateway.metric("syncgate_redis_reads_total") - before <= 3


async def test_waiting_is_free_for_names_and_limits(gateways, peers, name):
    """It counts for no error, and leaves nothing behind."""
    gateway = gateways.start("--errors-per-minute", "1", "--linger", "0s")
    peer = await peers(gateway)
    for number in range(30):
        await waits(peer, "var", f"{name}.{number}")
    assert await gateway.metric("syncgate_names") == 30
    await peer.say(dumps(func="unsubscribe_all"))

    async def none_left():
        return await gateway.metric("syncgate_names") == 0
    await until(none_left, "the names are forgotten")


async def test_a_reload_that_declares_the_names(reloaded, peers, db, name):  # noqa: F811
    it = reloaded('anonymous: {subscribe: ["*"]}')
    peer = await peers(it.gateway)
    for kind in ("var", "list"):
        await waits(peer, kind, name)
        await waits(peer, kind, f"{name}.other")
    await waits(peer, "list", name, id="a")
    peer.state.excuse("list", name, "a", 4)
    await it.load('anonymous: {subscribe: ["*"]}\n'
                  f'names: [{{pattern: "{name}", type: var}}, {{pattern: "{name}", type: list, max_page_size: 7}}]')
    by_func = {frame["func"]: frame for frame in [await peer.recv() for _ in range(3)]}
    assert by_func["set"]["value"] is None
    assert by_func["set_all"]["items"] == [] and by_func["set_all"]["total_item_count"] == 0
    assert by_func["error"]["error_code"] == 4
    await db.fcall("sg_list_insert", name, 0, "a", "2")
    await db.fcall("sg_var_set", name, "1")
    await db.fcall("sg_var_set", f"{name}.other", "3")
    await peer.until(lambda: peer.state.list(name).count == 1 and peer.state.value(name) == "1", "what follows")
    await peer.until(lambda: peer.state.value(f"{name}.other") == "3", "and the name that still had to wait")


async def test_a_reload_that_declares_a_name_and_takes_the_grant(reloaded, peers, name):  # noqa: F811
    it = reloaded('anonymous: {subscribe: ["*"]}')
    peer = await peers(it.gateway)
    await waits(peer, "var", name)
    peer.state.excuse("var", name, None, 3)
    await it.load(f'anonymous: {{subscribe: ["other"]}}\nnames: [{{pattern: "{name}", type: var}}]')
    assert "waiting" not in await peer.expect_error(3, type="var", name=name)
    assert await peer.fence() == []


async def test_waiting_ends_with_the_grant(reloaded, peers, db, name):  # noqa: F811
    it = reloaded('anonymous: {subscribe: ["*"]}')
    peer = await peers(it.gateway)
    await waits(peer, "var", name)
    peer.state.excuse("var", name, None, 3)
    await it.load('anonymous: {subscribe: ["other"]}')
    frame = await peer.expect_error(3, type="var", name=name)
    assert "waiting" not in frame
    await db.fcall("sg_var_set", name, "1")
    await db.fcall("sg_var_set", "other", "1")
    await peer.subscribe("var", "other")
    assert (await peer.recv())["name"] == "other"
