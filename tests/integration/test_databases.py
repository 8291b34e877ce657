"""Several databases of one Redis: pub/sub has none, names, calls, probes and the fleet have."""
import subprocess

import pytest

from conftest import Database, Gateways
from gateway import until
from redis_server import RedisServer
from test_library import Channel, Library
from test_inspect import see

CALLS = "sg:@{calls}"


class World:
    """One Redis, and gateways on databases of it."""

    def __init__(self, folder, server):
        self.server = server
        self.fleet = Gateways(folder, server.socket_path)
        self.clients = {}

    def start(self, number, *flags):
        return self.fleet.start("--redis", f"{self.server.url}/{number}", *flags, redis=None)

    async def db(self, number):
        client = Database(self.server.socket_path)
        await client.cmd("SELECT", number)
        return self.clients.setdefault(number, client)

    async def aclose(self, _failed):
        for client in self.clients.values():
            await client.close()

    def command(self, number, *words):
        """As a person at a shell would write."""
        done = subprocess.run(["redis-cli", "-s", self.server.socket_path, "-n", str(number), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()


@pytest.fixture
def world(tmp_path):
    with RedisServer() as server:
        made = World(tmp_path, server)
        yield made
        made.fleet.stop()


# --- what functions publish ---


@pytest.fixture
def sg():
    with RedisServer() as server:
        server.load_library()
        yield server


def client(server, number):
    return Library(server.client(db=number))


@pytest.mark.parametrize("number", [0, 1, 2, 3, 15])
def test_the_channel_has_the_number_of_the_database(sg, number):
    """At once: the first thing that ever happens in that database, and back and forth."""
    channels = {other: Channel(sg, "sg:{n}" + (f"@{other}" if other else "")) for other in (0, 1, 2, 3, 15)}
    there, elsewhere = client(sg, number), client(sg, (number + 1) % 16)
    there("sg_var_set", "n", "1")
    there("sg_list_insert", "n", 0, "a", "1")
    elsewhere("sg_var_set", "other", "1")
    there("sg_list_set", "n", "a", "2")
    there("sg_list_set_all", "n", "[]")
    there("sg_list_drop", "n")
    there("sg_var_delete", "n")
    heard = {other: channel.take() for other, channel in channels.items()}
    assert [event.split()[0] for event in heard.pop(number)] == [b"vs", b"li", b"ls", b"la", b"lz", b"vd"]
    assert not any(heard.values()), heard
    assert set(there.client.keys("*")) == {b"sg:{n}:v", b"sg:{n}:m", b"sg:@{db}"}
    assert 0 < there.client.ttl("sg:@{db}") <= 10, "the note of the database must not outlive a SWAPDB for long"
    for channel in channels.values():
        channel.close()


def test_data_that_moves_is_told_where_it_is(sg):
    """Nothing is remembered with the data, and what is noted beside it is noted for a moment only."""
    zero, three = client(sg, 0), client(sg, 3)
    zero("sg_var_set", "n", "1")
    zero.client.execute_command("COPY", "sg:{n}:v", "sg:{n}:v", "DB", 3)
    channels = [Channel(sg, "sg:{n}"), Channel(sg, "sg:{n}@3")]
    three("sg_var_set", "n", "2")
    assert [channel.take() for channel in channels] == [[], [b"vs 2 2"]]
    zero.client.execute_command("SWAPDB", 0, 3)
    for moved in (zero, three):
        moved.client.delete("sg:@{db}")  # its time is over
    three("sg_var_set", "n", "3")
    zero("sg_var_set", "n", "3")
    assert [channel.take() for channel in channels] == [[b"vs 3 3"], [b"vs 2 3"]]
    for channel in channels:
        channel.close()


def test_calls_have_channels_of_their_database(sg):
    three = client(sg, 3)
    channels = [Channel(sg, CALLS), Channel(sg, CALLS + "@3"), Channel(sg, CALLS + ":g"), Channel(sg, CALLS + "@3:g")]
    three("sg_fn_serve", CALLS, "g", "e", "f", 10000)
    assert three("sg_fn_call", CALLS, "f", "c", "g", 1000, "") == [b"g", b"e"]
    three("sg_fn_done", CALLS, "g", "e", "c", "g", "n")
    catalogue, own_catalogue, mailbox, own_mailbox = [[event.split()[0] for event in channel.take()] for channel in channels]
    assert (catalogue, own_catalogue, mailbox, own_mailbox) == ([], [b"f+"], [], [b"c", b"r"])
    for channel in channels:
        channel.close()


@pytest.mark.parametrize("args", [("--databases", "1"), ("--databases", "2")])
def test_few_databases(args):
    with RedisServer(args=args) as server:
        server.load_library()
        for number in range(int(args[1])):
            channel = Channel(server, "sg:{n}" + (f"@{number}" if number else ""))
            assert client(server, number)("sg_var_set", "n", "1") == 1
            assert client(server, number)("sg_var_set", "n", "1") == 2
            assert channel.take() == [b"vs 1 1", b"vs 2 1"]
            channel.close()


def test_the_answer_is_noted(sg):
    """Redis counts each question among its errors, and who watches those must not see one with every change."""
    three = client(sg, 3)
    for _ in range(10):
        three("sg_var_set", "n", "1")
    asked = three.client.info("commandstats")["cmdstat_copy"]
    three("sg_var_set", "n", "1")
    assert three.client.info("commandstats")["cmdstat_copy"] == asked


@pytest.mark.parametrize("note", ["SET", "garbage", "forbidden"])
def test_a_note_that_cannot_be_used_is_not(sg, note):
    three = client(sg, 3)
    channel = Channel(sg, "sg:{n}@3")
    if note == "SET":
        three.client.set("sg:@{db}", "0")
    elif note == "garbage":
        three.client.hset("sg:@{db}", "n", "x")
    else:
        rights = "on nopass resetkeys resetchannels ~sg:{n}* &sg:{n}* -@all +@connection +fcall +spublish +@hash +copy +expire +persist"
        three.client.execute_command("ACL", "SETUSER", "narrow", *rights.split())
        three.client.execute_command("AUTH", "narrow", "")
    three("sg_var_set", "sg:{n}", "1")
    three("sg_var_set", "sg:{n}", "2")
    assert channel.take() == [b"vs 1 1", b"vs 2 2"]
    channel.close()


def test_with_one_database_nothing_is_asked():
    """Then the question costs a refusal once, and not with every change."""
    with RedisServer(args=("--databases", "1")) as server:
        server.load_library()
        sg = client(server, 0)
        for _ in range(10):
            sg("sg_var_set", "n", "1")
        assert sg.client.info("commandstats")["cmdstat_copy"]["calls"] == 1
        assert not sg.client.exists("sg:@{db}")


def test_with_one_database_nobody_is_refused_the_note():
    """Who may not look at it would be in Redis' log of refusals."""
    with RedisServer(args=("--databases", "1")) as server:
        server.load_library()
        sg = client(server, 0)
        rights = "on nopass resetkeys resetchannels ~sg:{n}* &sg:{n}* -@all +@connection +fcall +spublish +@hash +copy +expire +persist"
        sg.client.execute_command("ACL", "SETUSER", "narrow", *rights.split())
        narrow = client(server, 0)
        narrow.client.execute_command("AUTH", "narrow", "")
        narrow("sg_var_set", "sg:{n}", "1")
        assert sg.client.execute_command("ACL", "LOG") == []


def test_who_may_not_ask_changes_nothing(sg):
    three = client(sg, 3)
    three.client.execute_command("ACL", "SETUSER", "w", "on", ">x", "~*", "&*", "+@all", "-copy")
    narrow = Library(sg.client(db=3, username="w", password="x"))
    channel = Channel(sg, "sg:{n}")
    with pytest.raises(Exception, match="can't run this command|no permissions|NOPERM"):
        narrow("sg_var_set", "n", "1")
    assert three.keys() == set() and channel.take() == []
    channel.close()


# --- gateways ---


async def at_last(peer, name, value):
    await peer.until(lambda: peer.state.value(name) == value, lambda: f"{name} is {value}, not {peer.state.value(name)}")


async def test_nothing_is_mixed(world, peers):
    """Two gateways with the same names: what is written in one database is told by its gateway alone."""
    gateways = {number: world.start(number, "--sweep-interval", "1h") for number in (0, 3)}
    there = {}
    for number, gateway in gateways.items():
        db = await world.db(number)
        await db.fcall("sg_var_set", "n", "0")
        await db.fcall("sg_list_insert", "n", 0, "a", "0")
        there[number] = peer = await peers(gateway)
        await peer.subscribed("var", "n")
        await peer.subscribed("list", "n")
    for number, peer in there.items():
        for step in range(1, 4):
            await world.clients[number].fcall("sg_var_set", "n", str(step * 10 + number))
            await world.clients[number].fcall("sg_list_set", "n", "a", str(step * 10 + number))
    for number, peer in there.items():
        await at_last(peer, "n", str(30 + number))
        await peer.until(lambda peer=peer, number=number: peer.state.list("n").items == [[("str", "a"), str(30 + number)]], "the last value")
        told = [frame.raw["value"] for frame in peer.frames if frame["func"] == "set"]
        assert sorted(set(told)) == [str(step * 10 + number) for step in (1, 2, 3)], told
        assert await gateways[number].metric("syncgate_gaps_total") == 0
        assert await gateways[number].metric("syncgate_bad_changes_total") == 0


async def test_a_writer_that_came_before_any_gateway(world, peers):
    """A database that nobody knows of yet is no reason to tell its values elsewhere."""
    zero = world.start(0)
    await (await world.db(0)).fcall("sg_var_set", "n", "0")
    peer = await peers(zero)
    await peer.subscribed("var", "n")
    assert world.command(3, "FCALL", "sg_var_set", "1", "n", "3") == "1"
    assert world.command(3, "FCALL", "sg_var_set", "1", "n", "33") == "2"
    assert world.command(3, "FCALL", "sg_var_set", "1", "n", "333") == "3"
    other = await peers(world.start(3))
    await other.subscribed("var", "n")
    assert other.state.value("n") == "333"
    assert world.command(3, "FCALL", "sg_var_set", "1", "n", "3333") == "4"
    await at_last(other, "n", "3333")
    assert world.command(0, "FCALL", "sg_var_set", "1", "n", "1") == "2"
    await at_last(peer, "n", "1")
    assert [frame.raw["value"] for frame in peer.take("set")] == ["1"]


async def test_calls_go_to_executors_of_the_same_database(world, peers):
    gateways = {number: world.start(number) for number in (0, 3)}
    callers = {}
    for number, gateway in gateways.items():
        executor, callers[number] = await peers(gateway), await peers(gateway)

        async def answer(who, frame, number=number):
            await who.say(f'{{"func":"return","type":"function","name":"f","id":{frame.raw["id"]},"value":{number}}}')

        await executor.serve("f", answer)
    for number, caller in callers.items():
        await caller.offered("f")
        for call in range(5):
            assert (await caller.call("f", f"{call}")).raw["value"] == str(number)
    lone = await peers(gateways[3])
    await lone.serve("only three", answer)
    await callers[3].offered("only three")
    assert "only three" not in callers[0].state.callable


async def test_fleets_and_probes_are_apart(world):
    gateways = {number: world.start(number, "--probe-interval", "50ms") for number in (0, 3)}
    for number, gateway in gateways.items():
        async def heard(gateway=gateway):
            return await gateway.metric("syncgate_redis_pubsub_lag_seconds_count") >= 3
        await until(heard, "its probes come back")
        assert (await gateway.get_async("/readyz")).status == 200
    channels = {channel.decode() for channel in await (await world.db(0)).cmd("PUBSUB", "SHARDCHANNELS", "sg:@{probe:*")}
    assert sorted(channel.endswith("}@3") for channel in channels) == [False, True], channels
    for number, gateway in gateways.items():
        async def alone(gateway=gateway):
            return len((await see(gateway, "/admin/fleet"))["gateways"]) == 1
        await until(alone, "the fleet of a database")
