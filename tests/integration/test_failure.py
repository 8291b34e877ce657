"""Things go away under load and come back: Redis, a gateway, the connection between them, single messages.

Clients stay connected, readiness tells the truth meanwhile, and afterwards everybody holds what Redis holds.
"""
import asyncio
import json
import pathlib
import shutil

import pytest

from conftest import Database, Gateways
from crowd import Crowd, load_silent_library
from gateway import until
from peer import dumps
from redis_server import LIBRARY, RedisServer
from resp import RedisError, fcall


# A timeout that a test waits for, and that what is answered beside it never reaches.
SHORT = "3s"


class World:
    """One Redis of its own, a client of it and gateways on it."""

    def __init__(self, folder, server):
        self.server = server
        self.db = Database(server.socket_path)
        self.fleet = Gateways(folder, server.socket_path)

    def start(self, *flags):
        return self.fleet.start(*flags)

    async def aclose(self, _failed):
        await self.db.close()


@pytest.fixture
def world(tmp_path, durable):
    made = World(tmp_path, durable)
    yield made
    made.fleet.stop()


@pytest.fixture
def forgetful(tmp_path):
    """A world whose Redis loses everything when it is restarted."""
    with RedisServer() as server:
        made = World(tmp_path, server)
        yield made
        made.fleet.stop()


async def ready(gateway, status=200):
    async def says():
        return (await gateway.get_async("/readyz")).status == status
    await until(says, f"/readyz says {status}")


async def restart(server, *gateways):
    """Kills Redis, sees that the gateways noticed, and starts it again."""
    server.kill()
    for gateway in gateways:
        await ready(gateway, 503)
        assert (await gateway.get_async("/healthz")).status == 200
    await asyncio.to_thread(server.start)
    for gateway in gateways:
        await ready(gateway)


def var(name, value):
    return f'{{"func":"set","type":"var","name":"{name}","value":{value}}}'


async def at_last(peer, name, value):
    await peer.until(lambda: peer.state.value(name) == value, lambda: f"{name} is {value}, not {peer.state.value(name)}")


# --- Redis goes away and comes back ---


async def test_redis_is_killed_under_load(world):
    """Clients stay connected, readiness tells, and all is right after its return."""
    fleet = [world.start("--subscribe-timeout", "1m") for _ in range(2)]
    crowd = Crowd(lambda: fleet, world.db, 11, 24, outage=True)
    try:
        await crowd.writers.fill()
        await crowd.gather()

        async def trouble():
            for number in (300, 700):
                await crowd.progress.reach(number)
                await restart(world.server, *fleet)

        await asyncio.gather(crowd.bustle(1000, 20), trouble())
        await crowd.converged()
        await crowd.leave()
    except BaseException:
        crowd.abandon()
        raise
    for gateway in fleet:
        assert await gateway.metric("syncgate_redis_link_losses_total") >= 2
        assert await gateway.metric("syncgate_redis_up") == 1


async def test_changes_while_away_are_seen_after_the_return(world, peers):
    """Redis is written to by others before the gateway is back: all that counts is what is there now."""
    gateway = world.start()
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.pipeline([fcall("sg_list_insert", "l", -1, letter, "0") for letter in "abc"])
    peer, item = await peers(gateway), await peers(gateway)
    await peer.subscribed("var", "v")
    await peer.subscribed("list", "l")
    for item_id in "ab":
        await item.subscribe("list", "l", id=item_id)
        await item.recv()
    await world.db.cmd("ACL", "SETUSER", "other", "on", ">x", "~*", "&*", "+@all")
    await world.db.cmd("AUTH", "other", "x")
    await world.db.cmd("ACL", "SETUSER", "default", "off")
    await world.db.cmd("CLIENT", "KILL", "USER", "default", "SKIPME", "yes")
    await ready(gateway, 503)
    await world.db.pipeline([fcall("sg_var_set", "v", "2"), fcall("sg_list_delete", "l", "a"), fcall("sg_list_set", "l", "b", "7"),
                             fcall("sg_list_insert", "l", 0, "x", "8"), fcall("sg_list_move", "l", "c", 0)])
    await world.db.cmd("ACL", "SETUSER", "default", "on")
    await ready(gateway)
    await at_last(peer, "v", "2")
    view = peer.state.list("l")
    await peer.until(lambda: [key for _, key in view.ids()] == ["c", "x", "b"] and view.count == 3, "the list is c, x, b")
    assert dict(view.items)["str", "b"] == "7"
    await item.until(lambda: item.state.item("l", "b") == "7" and item.state.item("l", "a") is None, "b is 7, a is gone")


async def test_redis_comes_back_with_nothing(forgetful, peers):
    """Names that vanished are null or empty, without an error; what is written then counts, low revisions or not."""
    gateway, db = forgetful.start(), forgetful.db
    for number in range(5):
        await db.fcall("sg_var_set", "v", number)
    await db.pipeline([fcall("sg_list_insert", "l", -1, letter, "0") for letter in "abc"])
    peer, item = await peers(gateway), await peers(gateway)
    await peer.subscribed("var", "v")
    await peer.subscribed("list", "l")
    await item.subscribe("list", "l", id="b")
    await item.recv()
    await restart(forgetful.server, gateway)
    await at_last(peer, "v", "null")
    await peer.until(lambda: peer.state.list("l").count == 0 and peer.state.list("l").items == [], "the list is empty")
    await item.until(lambda: item.state.item("l", "b") is None, "the item is gone")
    await db.fcall("sg_var_set", "v", '"new"')
    await db.fcall("sg_list_insert", "l", 0, "z", "1")
    await at_last(peer, "v", '"new"')
    await peer.until(lambda: [key for _, key in peer.state.list("l").ids()] == ["z"], "the list is z")
    assert not peer.state.errors and not item.state.errors


async def test_redis_goes_back_to_an_older_state(world, peers):
    """A restored backup: the older state is the truth and is sent, and so is what happens after it."""
    gateway, db, server = world.start(), world.db, world.server
    await db.fcall("sg_var_set", "v", '"old"')
    await db.pipeline([fcall("sg_list_insert", "l", -1, letter, "0") for letter in "abc"])
    backup = pathlib.Path(server.folder) / "backup"
    shutil.copytree(pathlib.Path(server.folder) / "appendonlydir", backup)
    for number in range(5):
        await db.pipeline([fcall("sg_var_set", "v", number), fcall("sg_list_insert", "l", 0, number, number)])
    peer = await peers(gateway)
    assert (await peer.subscribed("var", "v"))["value"] == 4
    assert (await peer.subscribed("list", "l"))["total_item_count"] == 8
    server.kill()
    await ready(gateway, 503)
    shutil.rmtree(pathlib.Path(server.folder) / "appendonlydir")
    shutil.move(backup, pathlib.Path(server.folder) / "appendonlydir")
    await asyncio.to_thread(server.start)
    await at_last(peer, "v", '"old"')
    await peer.until(lambda: [key for _, key in peer.state.list("l").ids()] == list("abc"), "the list is a, b, c")
    await db.fcall("sg_var_set", "v", '"after"')
    await db.fcall("sg_list_insert", "l", 3, "d", "1")
    await at_last(peer, "v", '"after"')
    await peer.until(lambda: [key for _, key in peer.state.list("l").ids()] == list("abcd"), "the list is a, b, c, d")


async def test_redis_is_frozen(world, peers):
    """A link that does not answer is away; nobody is disconnected, and what was written meanwhile arrives."""
    gateway = world.start()
    await world.db.fcall("sg_var_set", "v", "1")
    peer = await peers(gateway)
    await peer.subscribed("var", "v")
    world.server.pause()
    try:
        await ready(gateway, 503)
        await peer.get("var", "v")
        await peer.expect(var("v", "1"))
    finally:
        world.server.resume()
    await ready(gateway)
    await world.db.fcall("sg_var_set", "v", "2")
    await at_last(peer, "v", "2")


async def test_a_gateway_that_starts_before_redis(tmp_path, peers):
    """It lives, is not ready, and serves as soon as Redis is there, with the library loaded."""
    with RedisServer() as server:
        server.kill()
        fleet = Gateways(tmp_path, server.socket_path)
        try:
            gateway = fleet.new()
            gateway.launch()

            async def lives():
                try:
                    return (await gateway.get_async("/healthz")).status == 200
                except OSError:
                    return False
            await until(lives, "/healthz says 200 without Redis")
            assert gateway.get("/readyz").status == 503
            peer = await peers(gateway)
            await asyncio.to_thread(server.start)
            await ready(gateway)
            db = Database(server.socket_path)
            await db.fcall("sg_var_set", "v", "1")
            await peer.subscribed("var", "v")
            await db.close()
        finally:
            await asyncio.to_thread(fleet.stop)  # the peer answers the close meanwhile


# --- asking while Redis is away ---


async def test_a_cached_name_can_be_subscribed_while_redis_is_away(world, peers):
    gateway = world.start()
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.pipeline([fcall("sg_list_insert", "l", -1, letter, "0") for letter in "abc"])
    first = await peers(gateway)
    await first.subscribed("var", "v")
    await first.subscribed("list", "l")
    world.server.kill()
    await ready(gateway, 503)
    second = await peers(gateway)
    assert (await second.subscribed("var", "v"))["value"] == 1
    assert [item["id"] for item in (await second.subscribed("list", "l"))["items"]] == list("abc")
    await first.get("var", "v")
    await first.recv()
    await asyncio.to_thread(world.server.start)
    await ready(gateway)
    await world.db.fcall("sg_var_set", "v", "2")
    await world.db.fcall("sg_list_set", "l", "b", "2")
    for peer in (first, second):
        await at_last(peer, "v", "2")
        await peer.until(lambda peer=peer: dict(peer.state.list("l").items)["str", "b"] == "2", "b is 2")


async def test_another_name_waits_for_redis(world, peers):
    """Within the subscribe timeout: the answer comes with Redis."""
    gateway = world.start("--subscribe-timeout", "1m")
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.fcall("sg_list_insert", "l", 0, "a", "1")
    world.server.kill()
    await ready(gateway, 503)
    peer = await peers(gateway)
    await peer.subscribe("var", "v")
    await peer.subscribe("list", "l")
    await peer.subscribe("list", "l", id="a")
    assert await peer.fence() == []
    await asyncio.to_thread(world.server.start)
    await peer.until(lambda: not peer.state.answers_due(), "the snapshots")
    await world.db.fcall("sg_var_set", "v", "2")
    await at_last(peer, "v", "2")
    await world.db.fcall("sg_list_set", "l", "a", "2")
    await peer.until(lambda: peer.state.item("l", "a") == "2", "the item is 2")


async def test_another_name_is_error_8_after_the_subscribe_timeout(world, peers):
    gateway = world.start("--subscribe-timeout", SHORT)
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.fcall("sg_list_insert", "l", 0, "a", "1")
    world.server.kill()
    await ready(gateway, 503)
    peer = await peers(gateway, tolerant=True)
    questions = [{"type": "var", "name": "v"}, {"type": "list", "name": "l"}, {"type": "list", "name": "l", "id": "a"},
                 {"type": "var", "name": "nobody knows"}]
    for question in questions:
        await peer.send_text(dumps(func="subscribe", **question))
    errors = [await peer.expect_error(8) for _ in questions]
    told = [{field: error[field] for field in ("type", "name", "id") if field in error} for error in errors]
    assert sorted(told, key=str) == sorted(questions, key=str)
    await asyncio.to_thread(world.server.start)
    await ready(gateway)
    await world.db.fcall("sg_var_set", "v", "2")
    assert await peer.fence() == [], "a subscription that failed is none"
    assert (await peer.subscribed("var", "v"))["value"] == 2
    await peer.subscribed("list", "l")


async def test_writes_and_calls_while_redis_is_away_are_answered(world, peers):
    gateway = world.start("--call-timeout", SHORT, "--subscribe-timeout", SHORT)
    await world.db.fcall("sg_var_set", "v", "1")
    peer, executor = await peers(gateway, tolerant=True), await peers(gateway)

    async def echo(who, frame):
        await who.send(func="return", type="function", name="f", id=frame["id"], value=1)

    executor.handlers["f"] = echo
    await executor.serve("f")
    await peer.offered("f")
    await peer.subscribe("var", "v")
    await at_last(peer, "v", "1")
    peer.take()
    world.server.kill()
    await ready(gateway, 503)
    await peer.send_text(var("v", "2"))
    await peer.expect_error(8, type="var", name="v")
    frame = await peer.call("f", "1")
    assert frame["func"] == "error" and frame["error_code"] == 8 and frame["id"] == "1"
    await asyncio.to_thread(world.server.start)
    await ready(gateway)
    await until(lambda: "f" in peer.state.callable, "the function is offered")
    await peer.say(var("v", "3"))
    await at_last(peer, "v", "3")
    assert (await peer.call("f", "2"))["func"] == "return"


async def test_executors_are_registered_again(forgetful, peers):
    """Redis forgot the catalogue: the gateways know their executors and say so again."""
    gateways = [forgetful.start() for _ in range(2)]
    executor, caller = await peers(gateways[0]), await peers(gateways[1])

    async def echo(who, frame):
        await who.send(func="return", type="function", name="f", id=frame["id"], value=1)

    executor.handlers["f"] = echo
    await executor.serve("f")
    await caller.offered("f")
    await restart(forgetful.server, *gateways)

    async def returned():
        number = len(caller.state.errors)
        return (await caller.call("f", f"c{number}"))["func"] == "return"
    await until(returned, "a call works again")
    await caller.offered("f")


async def test_a_call_whose_result_cannot_travel_ends(world, peers):
    """Redis goes away between call and return: the caller is told by the deadline at the latest, once."""
    gateways = [world.start("--call-timeout", "2s") for _ in range(2)]
    executor, caller = await peers(gateways[0]), await peers(gateways[1])
    calls = []

    async def hold(_, frame):
        calls.append(frame)

    executor.handlers["f"] = hold
    await executor.serve("f")
    await caller.offered("f")
    await caller.send(func="call", type="function", name="f", id="1")
    await executor.until(lambda: calls, "the call")
    world.server.kill()
    for gateway in gateways:
        await ready(gateway, 503)
    await executor.send(func="return", type="function", name="f", id=calls[0]["id"], value=1)
    frame = await caller.settled("1")
    assert frame["func"] == "error" and frame["error_code"] == 8
    await asyncio.to_thread(world.server.start)
    for gateway in gateways:
        await ready(gateway)


# --- gateways and connections ---


async def test_a_gateway_is_killed_under_load(world):
    """Its clients connect elsewhere and everybody converges; clients of the others notice nothing."""
    fleet = [world.start() for _ in range(3)]
    living = list(fleet)
    crowd = Crowd(lambda: living, world.db, 12, 30, closing_is_fine=True)
    try:
        await crowd.writers.fill()
        await crowd.gather()

        async def trouble():
            await crowd.progress.reach(400)
            living.remove(fleet[0])
            fleet[0].kill()

        await asyncio.gather(crowd.bustle(1000, 20), trouble())
        for member in crowd.members:
            assert member.gateway is fleet[0] or member.peer.broken is None, f"{member.peer.name}: {member.peer.broken}"
        await crowd.revive()
        await crowd.converged()
        await crowd.leave()
    except BaseException:
        crowd.abandon()
        raise


async def test_the_links_are_cut_under_load(world):
    """CLIENT KILL, again and again: what was published meanwhile was missed, and is read again."""
    fleet = [world.start("--subscribe-timeout", "1m") for _ in range(2)]
    crowd = Crowd(lambda: fleet, world.db, 13, 24, outage=True)
    try:
        await crowd.writers.fill()
        await crowd.gather()

        async def trouble():
            for number in range(50, 1000, 50):
                await crowd.progress.reach(number)
                await world.db.cmd("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
                await world.db.cmd("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        await asyncio.gather(crowd.bustle(1000, 20), trouble())
        await crowd.converged()
        await crowd.leave()
    except BaseException:
        crowd.abandon()
        raise
    assert await fleet[0].metric("syncgate_redis_link_losses_total") > 0, "no link was cut"


# --- single messages get lost ---


async def lossy(world):
    """The silent_… functions change without telling anybody."""
    await load_silent_library(world.db, LIBRARY)


async def test_a_lost_variable_message_heals_at_the_next_one(world, peers):
    gateway = world.start("--sweep-interval", "1h")
    await lossy(world)
    await world.db.fcall("sg_var_set", "v", "1")
    peer = await peers(gateway)
    await peer.subscribed("var", "v")
    await world.db.fcall("silent_var_set", "v", "2")
    await world.db.fcall("sg_var_set", "v", "3")
    await at_last(peer, "v", "3")
    await world.db.fcall("sg_var_set", "v", "4")
    await at_last(peer, "v", "4")
    assert await gateway.metric("syncgate_gaps_total") == 1
    values = [frame["value"] for frame in peer.frames]
    assert values == sorted(values), "an older value after a newer one"


@pytest.mark.parametrize("lost", [
    ("silent_list_insert", "l", 0, "x", "9"), ("silent_list_delete", "l", "a"), ("silent_list_move", "l", "a", 2),
    ("silent_list_set", "l", "b", "9"), ("silent_list_set_all", "l", '[{"id":"q","value":1},{"id":"b","value":0}]'),
    ("silent_list_drop", "l"),
], ids=lambda lost: lost[0])
async def test_a_lost_list_message_heals_at_the_next_one(world, peers, lost):
    gateway = world.start("--sweep-interval", "1h")
    await lossy(world)
    await world.db.pipeline([fcall("sg_list_insert", "l", -1, letter, "0") for letter in "abcdef"])
    whole, tail = await peers(gateway), await peers(gateway)
    for peer in (whole, tail):
        await peer.subscribed("list", "l")
    await tail.get("list", "l", page=1, page_size=2)
    await tail.recv()
    await whole.subscribe("list", "l", id="a")
    await whole.recv()
    await world.db.fcall(*lost)
    await world.db.fcall("sg_list_insert", "l", 0, "last", "1")
    await holds(world, whole, 100)
    await holds(world, tail, 2)
    assert await gateway.metric("syncgate_gaps_total") >= 1
    in_redis = await world.db.fcall("sg_list_get", "l", "a")
    await whole.until(lambda: (whole.state.item("l", "a") is None) == (in_redis is None), "the item subscription is right")


async def holds(world, peer, size):
    """The peer's page of list l is that of Redis."""
    async def equal():
        view = peer.state.list("l")
        peer.check()
        page = await world.db.fcall("sg_list_page", "l", view.page, size)
        items = [(json.loads(i), v.decode()) for i, v in zip(page[4::2], page[5::2])]
        held = [(key[1], value) for key, value in view.items]
        return (page[1], page[2], items) == (view.count, view.page, held)
    await until(equal, lambda: f"{peer.name} holds page {peer.state.list('l').page} of l, not {peer.state.list('l').held()}")


async def test_the_sweep_heals_a_silent_loss(world, peers):
    """No later message shows the gap: the comparison of revisions does."""
    gateway = world.start("--sweep-interval", "200ms")
    await lossy(world)
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.fcall("sg_var_set", "w", "1")
    await world.db.pipeline([fcall("sg_list_insert", "l", -1, letter, "0") for letter in "abc"])
    peer = await peers(gateway)
    for kind, name in (("var", "v"), ("var", "w"), ("list", "l")):
        await peer.subscribed(kind, name)
    await world.db.fcall("silent_var_set", "v", "2")
    await world.db.fcall("silent_var_delete", "w")
    await world.db.fcall("silent_list_move", "l", "c", 0)
    await at_last(peer, "v", "2")
    await at_last(peer, "w", "null")
    await holds(world, peer, 100)


async def test_messages_get_lost_under_load(world):
    fleet = [world.start("--sweep-interval", "200ms") for _ in range(2)]
    await lossy(world)
    crowd = Crowd(lambda: fleet, world.db, 14, 24)
    crowd.writers.silent = 0.05
    try:
        await crowd.writers.fill()
        await crowd.gather()
        await crowd.bustle(1000, 20)
        await crowd.converged()
        await crowd.leave()
    except BaseException:
        crowd.abandon()
        raise
    assert await fleet[0].metric("syncgate_gaps_total") > 0, "no message was lost"


async def test_a_forged_event_from_the_future(world, peers):
    """A revision that never was: the name is read again, and later real revisions still count."""
    gateway = world.start("--sweep-interval", "200ms")
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.fcall("sg_list_insert", "l", 0, "a", "0")
    peer = await peers(gateway)
    await peer.subscribed("var", "v")
    await peer.subscribed("list", "l")
    await world.db.cmd("SPUBLISH", "sg:{v}", 'vs 99 "forged"')
    await world.db.cmd("SPUBLISH", "sg:{l}", 'li 99 0 2 3 "z" 1')
    await world.db.fcall("sg_var_set", "v", "2")
    await world.db.fcall("sg_list_insert", "l", 1, "b", "0")
    await at_last(peer, "v", "2")
    await holds(world, peer, 100)


async def test_an_old_event_again_changes_nothing(world, peers):
    gateway = world.start("--sweep-interval", "1h")
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.fcall("sg_var_set", "v", "2")
    peer = await peers(gateway)
    await peer.subscribed("var", "v")
    await world.db.cmd("SPUBLISH", "sg:{v}", "vs 1 1")
    await world.db.cmd("SPUBLISH", "sg:{v}", "vs 2 2")
    await world.db.fcall("sg_var_set", "v", "3")
    await peer.expect(var("v", "3"))


GARBAGE = [
    b"", b" ", b"x", b"vs", b"vs ", b"vs 2", b"vs 2 ", b"vs x 1", b"vs -1 1", b"vs 0 1", b"vs 2 {'a':1}", b"vs 2 NaN", b"vs 2 [1", b"vs 2 \xff",
    b'vs 2 "\xed\xa0\x80"', b"vs 2 1 2", b"vs 99999999999999999999 1", b"vs 2 " + b"[" * 70 + b"]" * 70, b"vd", b"vd x", b"vd 2 3",
    b"li 2", b"li 2 0 2 3", b'li 2 0 2 3 "x"', b'li 2 5 2 3 "x" 1', b'li 2 -1 2 3 "x" 1', b'li 2 0 2 999999 "x" 1', b'li 2 0 2 2 "x" 1',
    b"li 2 0 2 3 {} 1", b"li 2 0 2 3 1.5 1", b'li 2 0 2 -3 "x" 1', b'li 2 0 2 3 "x" NaN', b'ls 2 9 1 3 "a" 1', b'ls 2 0 1 3 "a" ', b"lx 2", b"lx 2 0",
    b'lx 2 0 0 4 "a"', b"lm 2 0 0", b'lm 2 0 9 1 3 "a" 1', b"la", b"la 2", b"la 2 -5", b"la 2 x", b"lz", b"lz x", b"qq 2 1", b"\x00" * 50,
    b"vs 2 \x00", b"x" * 100000,
]


async def test_garbage_on_a_channel_is_dropped_and_counted(world, peers):
    """Bytes from Redis are checked like bytes from a client."""
    gateway = world.start("--sweep-interval", "1h")
    await world.db.fcall("sg_var_set", "n", "1")
    await world.db.fcall("sg_list_insert", "n", 0, "a", "0")
    peer = await peers(gateway)
    await peer.subscribed("var", "n")
    await peer.subscribed("list", "n")

    async def all_read():
        return await gateway.metric("syncgate_names_stale") == 0

    for number, payload in enumerate(GARBAGE, 1):
        await until(all_read, "what the last one made doubtful is read again: until then nobody looks at changes")
        assert await world.db.cmd("SPUBLISH", "sg:{n}", payload) == 1

        async def counted(number=number):
            return await gateway.metric("syncgate_bad_changes_total") == number
        await until(counted, f"{payload[:60]!r} is counted")
    await world.db.fcall("sg_var_set", "n", "2")
    await world.db.fcall("sg_list_set", "n", "a", "3")
    await at_last(peer, "n", "2")
    await peer.until(lambda: peer.state.list("n").items == [[("str", "a"), "3"]], "the item is 3")
    assert {frame.raw.get("value") for frame in peer.frames if frame["func"] == "set"} == {"2", "3"}


async def test_garbage_for_the_calls_is_dropped_and_counted(world, peers):
    gateway = world.start()
    executor, caller = await peers(gateway), await peers(gateway)

    async def echo(who, frame):
        await who.say(f'{{"func":"return","type":"function","name":"f","id":{frame.raw["id"]},"value":{frame.raw["args"]}}}')

    executor.handlers["f"] = echo
    await executor.serve("f")
    await caller.offered("f")
    channels = [channel.decode() for channel in await world.db.cmd("PUBSUB", "SHARDCHANNELS", "sg:@{calls}*")]
    assert len(channels) == 2, f"a catalogue and a mailbox: {channels}"
    for channel in channels:
        for payload in (b"", b"c", b"c x", b"c 1 2 3 4 5 6", b"r", b"r x", b"r x q", b"r x v {", b"r x e 9 y", b"f+", b"f+ x y", b"f+ 1 ", b"f- -1 f",
                        b"g-", b"g- x", b"zz 1 2", b"\xff\xfe", b"c a b c -1 1 f ", b"c a b c 10 999 f {}", b"c a b nobody 10 1 f [1]"):
            await world.db.cmd("SPUBLISH", channel, payload)
    assert (await caller.call("f", "1", '{"a":1.0}')).raw["value"] == '{"a":1.0}'
    assert await gateway.metric("syncgate_bad_changes_total") > 20


@pytest.mark.parametrize("stored", [b"NaN", b"{'a':1}", b"", b"\xff", b"[1", b"[" * 80 + b"]" * 80])
async def test_a_value_in_redis_that_is_not_json(world, peers, stored):
    """Somebody wrote into the keys by hand. Nobody is sent such bytes, and a good value heals it."""
    gateway = world.start()
    await world.db.fcall("sg_var_set", "v", "1")
    await world.db.cmd("HSET", "sg:{v}:v", "v", stored)
    peer = await peers(gateway, tolerant=True)
    await peer.subscribe("var", "v")
    frame = await peer.recv()
    assert frame["func"] in ("error", "set")
    assert await gateway.metric("syncgate_bad_changes_total") >= 1
    await world.db.fcall("sg_var_set", "v", "2")
    if frame["func"] == "error":
        await peer.subscribe("var", "v")
    await at_last(peer, "v", "2")


async def test_wrong_types_in_redis(world, peers):
    """Keys of ours that are something else: an error for who asks, nothing for the others."""
    gateway = world.start("--subscribe-timeout", SHORT)
    await world.db.cmd("SET", "sg:{v}:v", "a string")
    await world.db.cmd("SET", "sg:{l}:m", "a string")
    await world.db.fcall("sg_var_set", "good", "1")
    peer = await peers(gateway, tolerant=True)
    for kind, name in (("var", "v"), ("list", "l")):
        await peer.send_text(dumps(func="subscribe", type=kind, name=name))
        frame = await peer.recv()
        assert frame["func"] == "error" and frame["error_code"] in (3, 8), frame
    await peer.subscribed("var", "good")


async def test_the_library_is_replaced_under_load(world, peers):
    """A newer gateway loads its library while others work: nothing is lost, nobody notices."""
    gateway = world.start()
    await world.db.fcall("sg_var_set", "v", "0")
    peer = await peers(gateway)
    await peer.subscribed("var", "v")
    source = LIBRARY
    for number in range(1, 21):
        await world.db.cmd("FUNCTION", "LOAD", "REPLACE", source)
        await world.db.fcall("sg_var_set", "v", number)
        await peer.expect(var("v", number))


async def test_an_old_library_is_replaced_at_the_start(world, peers):
    await world.db.cmd("FUNCTION", "LOAD", "#!lua name=syncgate\n"
                       "redis.register_function{function_name='sg_version', callback=function() return 0 end, flags={'no-writes'}}")
    gateway = world.start()
    assert await world.db.cmd("FCALL", "sg_version", 0) >= 1
    await world.db.fcall("sg_var_set", "v", "1")
    peer = await peers(gateway)
    await peer.subscribed("var", "v")


async def test_redis_refuses_writes(world, peers):
    """Out of memory by its own limit: the writer is told with error 8, reading goes on."""
    gateway = world.start()
    await world.db.fcall("sg_var_set", "v", "1")
    peer = await peers(gateway, tolerant=True)
    await peer.subscribed("var", "v")
    await world.db.cmd("CONFIG", "SET", "maxmemory", "1")
    await peer.send_text(var("v", "2"))
    await peer.expect_error(8, type="var", name="v")
    with pytest.raises(RedisError):
        await world.db.fcall("sg_var_set", "v", "2")
    await peer.get("var", "v")
    await peer.expect(var("v", "1"))
    await world.db.cmd("CONFIG", "SET", "maxmemory", "0")
    await peer.say(var("v", "3"))
    await peer.expect(var("v", "3"))


async def test_what_is_no_fault_of_a_client_does_not_close_it(gateways, peers, redis_server, db, name):
    """Requests and writes that fail because data is damaged or Redis is away are no bad messages, however many they are."""
    gateway = gateways.start("--errors-per-minute", "3", "--subscribe-timeout", "50ms")
    peer = await peers(gateway, tolerant=True)

    async def failed(number):
        await peer.until(lambda: sum(error["error_code"] == 8 for error in peer.state.errors) == number, f"{number} are told so")

    await db.cmd("SET", f"sg:{{{name}}}:v", "x")
    await db.cmd("SET", f"sg:{{{name}}}:m", "x")
    for _ in range(10):
        await peer.send_text(dumps(func="subscribe", type="var", name=name))
        await peer.send_text(dumps(func="set", type="list", name=name, id="a", value=1))
    await failed(20)
    redis_server.pause()
    try:
        for number in range(10):
            await peer.send_text(dumps(func="subscribe", type="var", name=f"{name}.{number}"))
        await failed(30)
    finally:
        redis_server.resume()
    await peer.fence()
