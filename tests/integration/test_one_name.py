"""What Redis refuses for one name is an error for that name: rights of the gateway's user, and slots that a cluster gave away. All other
names go on, and nobody is told what belongs to another.
"""
import contextlib

import pytest

from conftest import Database
from gateway import until
from redis_server import RedisServer

RIGHTS = ("reset", "on", ">secret", "+@all", "~*", "resetchannels", "&sg:@*", "&sg:{a*")


def url(server):
    return "--redis", f"redis://one:secret@127.0.0.1:{server.port}"


async def losses(gateway):
    return await gateway.metric("syncgate_redis_link_losses_total")


async def holds(peer, name, value):
    await peer.until(lambda: peer.state.value(name) == value, f"{name} is {value}")


async def refused(peer, kind, name, word, times=1):
    """The peer was told so, that many times in all."""
    def errors():
        return [frame for frame in peer.state.errors if (frame.get("type"), frame.get("name")) == (kind, name)]
    await peer.until(lambda: len(errors()) >= times, f"{name} is refused")
    assert len(errors()) == times, errors()
    assert all((frame["error_code"], frame["message"]) == (8, f"redis refuses: {word}") for frame in errors()), errors()


async def tolerant(peers, gateway):
    """A peer that may be told of errors; the tests say which."""
    peer = await peers(gateway)
    peer.state.tolerant = True
    return peer


@contextlib.asynccontextmanager
async def limited(gateways, redis_server, db, *rights):
    await db.cmd("ACL", "SETUSER", "one", *RIGHTS, *rights)
    gateway = gateways.new("--sweep-interval", "1h", *url(redis_server), redis=None)
    yield await gateway.start_async()


@pytest.mark.parametrize("kind", ["var", "list"])
async def test_a_channel_without_rights(gateways, redis_server, db, peers, kind):
    async with limited(gateways, redis_server, db) as gateway:
        await db.fcall("sg_var_set", "a1", "1")
        await db.fcall("sg_var_set", "b1", "1")
        await db.fcall("sg_list_set_all", "b1", '[{"id":1,"value":1}]')
        peer, other = await tolerant(peers, gateway), await tolerant(peers, gateway)
        await peer.subscribed("var", "a1")
        before = await losses(gateway)
        for who, times in (peer, 1), (other, 1), (peer, 2):
            await who.subscribe(kind, "b1")
            await refused(who, kind, "b1", "NOPERM", times)
        await db.fcall("sg_var_set", "a1", "2")
        await holds(peer, "a1", "2")
        assert await losses(gateway) == before
        assert await gateway.metric("syncgate_redis_protocol_errors_total") == 0
        assert gateway.stderr().count("NOPERM") == 1 and (await gateway.get_async("/readyz")).status == 200
        await db.cmd("ACL", "SETUSER", "one", "&sg:{b*")

        late = await tolerant(peers, gateway)

        def held():
            return late.state.value("b1") is not None if kind == "var" else late.state.list("b1").page is not None

        async def subscribed():
            before = len(late.state.errors)
            await late.subscribe(kind, "b1")
            await late.until(lambda: held() or len(late.state.errors) > before, "an answer")
            return held()
        await until(subscribed, "the right is there")


async def test_a_right_that_is_taken_away(gateways, redis_server, db, peers):
    """Redis ends the link of a user that loses a channel; all but that name go on, its subscribers hear of it once, and they get what is
    true when the right is back."""
    async with limited(gateways, redis_server, db, "&sg:{b*") as gateway:
        await db.fcall("sg_var_set", "a2", "1")
        await db.fcall("sg_var_set", "b2", "1")
        peer = await tolerant(peers, gateway)
        await peer.subscribed("var", "a2")
        await peer.subscribed("var", "b2")
        await db.cmd("ACL", "SETUSER", "one", "resetchannels", "&sg:@*", "&sg:{a*")
        await refused(peer, "var", "b2", "NOPERM")
        await db.fcall("sg_var_set", "b2", "2")
        for value in "2", "3":
            await db.fcall("sg_var_set", "a2", value)
            await holds(peer, "a2", value)
        assert await losses(gateway) == 1
        await db.cmd("ACL", "SETUSER", "one", "&sg:{b*")
        await holds(peer, "b2", "2")
        await db.fcall("sg_var_set", "b2", "3")
        await holds(peer, "b2", "3")
        await refused(peer, "var", "b2", "NOPERM")
        assert await losses(gateway) == 1


async def test_keys_without_rights(gateways, redis_server, db, peers):
    """The same for what may be followed and not read."""
    await db.cmd("ACL", "SETUSER", "one", *RIGHTS, "allchannels", "resetkeys", "~sg:@*", "~sg:{a*")
    gateway = await gateways.new(*url(redis_server), redis=None).start_async()
    await db.fcall("sg_var_set", "b3", "1")
    peer = await tolerant(peers, gateway)
    await peer.subscribe("var", "b3")
    await refused(peer, "var", "b3", "NOPERM")
    assert await losses(gateway) == 0


# --- a cluster of one node ---


class Cluster:
    def __init__(self, server):
        self.server, self.db = server, Database(server.socket_path)

    async def slot(self, name):
        return str(await self.db.cmd("CLUSTER", "KEYSLOT", f"sg:{{{name}}}"))

    async def give_away(self, *names):
        await self.db.cmd("CLUSTER", "DELSLOTS", *sorted({await self.slot(name) for name in names}))

    async def take_back(self, *names):
        await self.db.cmd("CLUSTER", "ADDSLOTS", *sorted({await self.slot(name) for name in names}))

    async def is_up(self):
        return b"cluster_state:ok" in await self.db.cmd("CLUSTER", "INFO")


@pytest.fixture
def cluster():
    args = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-require-full-coverage", "no"]
    with RedisServer(args=args) as server:
        yield Cluster(server)


async def names_in(cluster, slot_of, count):
    """Names that share the slot of one."""
    found, number, slot = [], 0, await cluster.slot(slot_of)
    while len(found) < count:
        candidates = [f"{slot_of}{number + step}" for step in range(5000)]
        number += 5000
        slots = await cluster.db.pipeline([("CLUSTER", "KEYSLOT", f"sg:{{{name}}}") for name in candidates])
        found += [name for name, at in zip(candidates, slots) if str(at) == slot]
    return found[:count]


def page_of(name, count=5):
    return "[" + ",".join(f'{{"id":"{name}-{n}","value":"{name}"}}' for n in range(count)) + "]"


def holds_page(peer, name, count=None):
    """It shows a page, whose values are all of this list; of so many items."""
    view = peer.state.list(name)
    assert not view or all(value == f'"{name}"' for _, value in view.items), (name, view.items)
    return view and view.page is not None and count in (None, len(view.items))


async def test_slots_come_and_go(gateways, peers, cluster):
    """Lists whose slot is given away and taken back again and again, while others are read: an item of one list never shows up in
    another, the link stays, and everybody holds the truth in the end."""
    await cluster.db.cmd("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    await until(cluster.is_up, "the cluster is up")
    gateway = await gateways.new(redis=cluster.server.socket_path).start_async()
    moved = await names_in(cluster, "moved", 4)
    stays = [f"stays{number}" for number in range(4)]
    for name in moved + stays:
        await cluster.db.fcall("sg_list_set_all", name, page_of(name))
    peer = await tolerant(peers, gateway)
    for name in moved + stays:
        await peer.subscribed("list", name)
    before = await losses(gateway)
    for turn in range(6):
        await cluster.give_away(moved[0])
        busy = await tolerant(peers, gateway)
        for name in stays + moved:
            await busy.subscribe("list", name)
            await cluster.db.cmd("FCALL", "sg_list_insert", 1, stays[0], 0, f"{name}-turn{turn}", f'"{stays[0]}"')
        for name in moved:
            await refused(busy, "list", name, "CLUSTERDOWN")
        for name in stays:
            await busy.until(lambda name=name: holds_page(busy, name), f"the page of {name}")
        await busy.close()
        await cluster.take_back(moved[0])
    for name in moved + stays:
        await cluster.db.fcall("sg_list_set_all", name, page_of(name, 7))
    for name in moved + stays:
        await peer.until(lambda name=name: holds_page(peer, name, 7), f"{name} is what it is")
    assert await losses(gateway) == before
    assert await gateway.metric("syncgate_redis_protocol_errors_total") == 0
    await gateway.stop_async()


async def test_all_slots_of_calls_go(gateways, cluster):
    """Several channels of one slot, and the gateway's own: it is not ready, and it is again when they are back."""
    await cluster.db.cmd("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    await until(cluster.is_up, "the cluster is up")
    gateway = await gateways.new(redis=cluster.server.socket_path).start_async()
    before = await losses(gateway)
    slot = str(await cluster.db.cmd("CLUSTER", "KEYSLOT", "sg:@{calls}"))
    await cluster.db.cmd("CLUSTER", "DELSLOTS", slot)

    async def unready():
        response = await gateway.get_async("/readyz")
        return response.status == 503 and b"no write" in response.body
    await until(unready, "no write")
    await cluster.db.cmd("CLUSTER", "ADDSLOTS", slot)
    await until(gateway.is_ready, "ready")
    assert await losses(gateway) == before
    await gateway.stop_async()
