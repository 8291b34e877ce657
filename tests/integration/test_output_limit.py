"""Redis cuts a link for which too much waits (client-output-buffer-limit pubsub): more data than that is read all the same, and a
single value that cannot pass is an error for its name alone.
"""
import pytest

from conftest import Database, Gateways, write_config
from gateway import until
from redis_server import RedisServer
from resp import fcall

LIMIT = 4 << 20
VALUE = '"' + 30_000 * "x" + '"'
NAMES = [f"n{number}" for number in range(5 * LIMIT // (2 * len(VALUE)))]


class World:
    def __init__(self, folder, server):
        self.server, self.db, self.fleet = server, Database(server.socket_path), Gateways(folder, server.socket_path)

    async def aclose(self, _failed):
        await self.db.close()


@pytest.fixture
def limited(tmp_path):
    """A function that makes a world whose Redis has this limit."""
    made = []

    def make(limit):
        server = RedisServer(args=["--client-output-buffer-limit", "pubsub", str(limit), "0", "0"]).start()
        made.append(World(tmp_path, server))
        return made[-1]

    yield make
    for world in made:
        try:
            world.fleet.stop()
        finally:
            world.server.stop()


async def kill_links(world):
    await world.db.cmd("CLIENT", "KILL", "TYPE", "pubsub")


async def losses(gateway):
    return await gateway.metric("syncgate_redis_link_losses_total")


async def holds(peer, name, value):
    await peer.until(lambda: peer.state.value(name) == value, lambda: f"{name} is {value[:50]}")


async def fill(world):
    for at in range(0, len(NAMES), 50):
        await world.db.pipeline([fcall("sg_var_set", name, VALUE) for name in NAMES[at:at + 50]])
        await world.db.fcall("sg_list_set_all", f"l{at}", '[' + ",".join(f'{{"id":{n},"value":{VALUE}}}' for n in range(30)) + ']')


async def take_all(world, peer):
    for name in NAMES:
        await peer.subscribe("var", name)
    for at in range(0, len(NAMES), 50):
        await peer.subscribe("list", f"l{at}")
    for name in NAMES:
        await holds(peer, name, VALUE)
    for at in range(0, len(NAMES), 50):
        view = peer.state.list(f"l{at}")
        await peer.until(lambda view=view: len(view.items) == 30, f"l{at} has 30 items")


async def test_a_burst_of_subscribes_on_a_fresh_gateway(limited, peers):
    world = limited(LIMIT)
    gateway = world.fleet.start("--subscribe-timeout", "1m", "--queue-budget", "1GiB")
    await fill(world)
    peer = await peers(gateway)
    await take_all(world, peer)
    assert await losses(gateway) == 0
    assert await gateway.metric("syncgate_names_stale") == 0
    await world.db.aclose(False)


async def test_the_link_comes_back_with_more_than_the_limit(limited, peers):
    world = limited(LIMIT)
    gateway = world.fleet.start("--subscribe-timeout", "1m", "--queue-budget", "1GiB")
    await fill(world)
    peer = await peers(gateway)
    await take_all(world, peer)
    await world.db.cmd("ACL", "SETUSER", "other", "on", ">x", "~*", "&*", "+@all")
    await world.db.cmd("AUTH", "other", "x")
    await world.db.cmd("ACL", "SETUSER", "default", "off")
    await world.db.cmd("CLIENT", "KILL", "USER", "default", "SKIPME", "yes")
    await until(lambda: gateway.get("/readyz").status == 503, "the gateway noticed")
    changed = VALUE[:-2] + 'y"'
    await world.db.pipeline([fcall("sg_var_set", name, changed) for name in NAMES])
    for at in range(0, len(NAMES), 50):
        await world.db.fcall("sg_list_set", f"l{at}", 29, '"new"')
    await world.db.cmd("ACL", "SETUSER", "default", "on")
    for name in NAMES:
        await holds(peer, name, changed)
    for at in range(0, len(NAMES), 50):
        view = peer.state.list(f"l{at}")
        await peer.until(lambda view=view: view.items[29][1] == '"new"', f"the last of l{at} is new")
    await until(lambda: stale(gateway, 0), "nothing is stale")
    assert await losses(gateway) == 1
    assert not peer.state.errors
    await world.db.aclose(False)


async def stale(gateway, number):
    return await gateway.metric("syncgate_names_stale") == number


def value_of(size):
    return '"' + size * "x" + '"'


@pytest.mark.parametrize("kind", ["var", "list"])
async def test_one_value_over_the_limit(limited, peers, kind):
    """Its name gets an error, the others live on; when it is smaller it is read again."""
    world = limited(1 << 20)
    gateway = world.fleet.start("--subscribe-timeout", "1m", "--queue-budget", "1GiB")

    async def write(value):
        if kind == "var":
            await world.db.fcall("sg_var_set", "big", value)
        else:
            await world.db.fcall("sg_list_set_all", "big", f'[{{"id":1,"value":{value}}}]')

    await world.db.fcall("sg_var_set", "small", "1")
    await write(value_of(2 << 20))
    peer, unlucky = await peers(gateway), await peers(gateway, tolerant=True)
    await peer.subscribed("var", "small")
    await unlucky.subscribe(kind, "big")
    await unlucky.expect_error(8, type=kind, name="big")
    assert await gateway.metric("syncgate_names_too_large") == 1
    before = await losses(gateway)
    await world.db.fcall("sg_var_set", "small", "2")
    await holds(peer, "small", "2")
    await unlucky.subscribe("var", "nobody")
    await unlucky.expect_error(3, type="var", name="nobody")
    await until(lambda: names(gateway, 2), "what nobody needs is forgotten, but not what was learned of the large one")
    await unlucky.subscribe(kind, "big")
    await unlucky.expect_error(8, type=kind, name="big")
    await world.db.fcall("sg_var_set", "small", "3")
    await holds(peer, "small", "3")
    assert await losses(gateway) == before
    await write(value_of(100))
    await until(lambda: too_large(gateway, 0), "it is read again")
    last = await peers(gateway)
    await last.subscribe(kind, "big")
    await last.until(lambda: last.state.value("big") == value_of(100) if kind == "var" else len(last.state.list("big").items) == 1,
                     "the small value is there")
    assert not peer.state.errors
    await world.db.aclose(False)


async def names(gateway, number):
    return await gateway.metric("syncgate_names") == number


async def too_large(gateway, number):
    return await gateway.metric("syncgate_names_too_large") == number


async def test_a_value_grows_over_the_limit(limited, peers):
    """Its change cuts the link, and so do its reads; then it is left alone. Who follows it is told, and gets the next that passes."""
    world = limited(1 << 20)
    gateway = world.fleet.start()
    await world.db.pipeline([fcall("sg_var_set", "small", "1"), fcall("sg_var_set", "big", "1")])
    peer, unlucky = await peers(gateway), await peers(gateway, tolerant=True)
    await peer.subscribed("var", "small")
    await unlucky.subscribed("var", "big")
    await world.db.fcall("sg_var_set", "big", value_of(2 << 20))
    await unlucky.expect_error(8, type="var", name="big")
    await world.db.fcall("sg_var_set", "small", "2")
    await holds(peer, "small", "2")
    before = await losses(gateway)
    await world.db.fcall("sg_var_set", "big", value_of(3 << 20))
    await world.db.fcall("sg_var_set", "small", "3")
    await holds(peer, "small", "3")
    assert await losses(gateway) == before
    await world.db.fcall("sg_var_set", "big", '"fits"')
    await holds(unlucky, "big", '"fits"')
    assert not peer.state.errors
    await world.db.aclose(False)


async def test_a_list_larger_than_the_limit(limited, peers):
    """It is read in pieces, each of which fits."""
    world = limited(1 << 20)
    gateway = world.fleet.start("--subscribe-timeout", "1m", "--queue-budget", "1GiB")
    for number in range(60):
        await world.db.fcall("sg_list_insert", "l", -1, number, value_of(50_000))
    peer = await peers(gateway)
    await peer.subscribe("list", "l")
    await peer.until(lambda: len(peer.state.list("l").items) == 60, "the list has 60 items")
    await peer.subscribe("list", "l", id=59)
    await peer.until(lambda: peer.state.item("l", 59) == value_of(50_000), "the item is there")
    assert await losses(gateway) == 0
    await world.db.aclose(False)


async def test_more_names_than_commands_in_flight(limited, peers, tmp_path):
    """100 430 names are current again after a loss of the link, the last as well as the first."""
    names, per_peer, edge = 100_430, 9_130, 50
    world = limited(0)
    config = write_config(tmp_path / "names.yaml", 'names:\n  - { pattern: "n*", type: var }\n')
    gateway = world.fleet.start("--config", config, "--subscribe-timeout", "2m", "--queue-budget", "1GiB")
    crowd = [await peers(gateway, strict=False) for _ in range(names // per_peer)]
    for number, peer in enumerate(crowd):
        peer.keep = False
        for name in range(number * per_peer, (number + 1) * per_peer):
            await peer.send_text(f'{{"func":"subscribe","type":"var","name":"n{name}"}}')
    for peer in crowd:
        await peer.until(lambda peer=peer: peer.received >= per_peer, lambda peer=peer: f"{per_peer} states, not {peer.received}")
    assert await gateway.metric("syncgate_names") == names
    await kill_links(world)
    await until(lambda: lost_once(gateway), "the link was lost")
    await until(lambda: stale(gateway, 0), "nothing is stale")
    for peer in crowd:
        peer.keep = True
    firsts = [number * per_peer + at for number in range(len(crowd)) for at in range(edge)]
    await world.db.pipeline([fcall("sg_var_set", f"n{first}", "1") for first in firsts])
    await world.db.pipeline([fcall("sg_var_set", f"n{names - 1 - first}", "1") for first in firsts])
    for peer in crowd:
        await peer.until(lambda peer=peer: told(peer) == 2 * edge, lambda peer=peer: f"told {2 * edge} times, not {told(peer)}")
    await world.db.aclose(False)


def told(peer):
    return len({frame.text for frame in peer.frames if '"value":1' in frame.text})


async def lost_once(gateway):
    return await losses(gateway) == 1

