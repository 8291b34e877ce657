"""Keys of ours that are not what the functions left there: one word from Redis, nothing half done, and clients that are told."""
import re

import pytest
import redis

from gateway import until
from jsontext import Frame
from peer import dumps
from redis_server import RedisServer
from resp import fcall
from test_library import Channel, Library

V, M, L, H = "sg:{n}:v", "sg:{n}:m", "sg:{n}:l", "sg:{n}:h"
REVISIONS = ["", "x", "-1", "0", "1.5", "1e3", "0x10", "inf", "nan", "9007199254740991", "9" * 40, "7 ", "+7"]


@pytest.fixture(scope="module")
def server():
    with RedisServer() as started:
        started.load_library()
        yield started


@pytest.fixture
def sg(server):
    with server.client() as client:
        client.flushall()
        yield Library(client)


@pytest.fixture
def events(server):
    channel = Channel(server, "sg:{n}")
    yield channel
    channel.close()


def attempt(sg, function, *args):
    """The answer, or the text of the error; only ours may come, and whoever is refused has changed nothing."""
    before = sg.contents()
    try:
        return sg(function, "n", *args)
    except redis.exceptions.ResponseError as error:
        text = str(error)
        assert re.match("SG[A-Z]+ [a-z0-9]", text) and "script" not in text and "user_function" not in text, text
        assert sg.contents() == before, f"{function} {args} was refused half done"
        return text


def is_damage(answer):
    return isinstance(answer, str) and answer.startswith("SGDATA ")


# --- variables ---

VAR_DAMAGES = {
    "a string": [("SET", V, "x")],
    "a list": [("DEL", V), ("LPUSH", V, "x")],
    "no revision": [("HDEL", V, "r")],
    **{f"revision {text!r}": [("HSET", V, "r", text)] for text in REVISIONS},
}


@pytest.fixture(params=VAR_DAMAGES, ids=lambda name: name.replace(" ", "-"))
def bad_var(sg, request):
    sg("sg_var_set", "n", "1")
    for command in VAR_DAMAGES[request.param]:
        sg.client.execute_command(*command)
    return sg


@pytest.mark.parametrize("call", [("sg_var_get",), ("sg_var_read",), ("sg_var_set", "2", 1), ("sg_var_set", "2", 0)], ids=lambda call: "-".join(map(str, call)))
def test_a_damaged_variable_is_refused(bad_var, events, call):
    assert is_damage(attempt(bad_var, *call))
    assert events.take() == []
    assert bad_var("sg_state", "n") == [-1, 0, 0, 0]


def test_a_damaged_variable_is_mended_by_a_set(bad_var, events):
    assert bad_var("sg_var_set", "n", "2") == 1
    assert events.take() == [b"vs 1 2"]
    assert bad_var("sg_var_get", "n") == [1, b"2"]
    assert bad_var.client.ttl(V) == -1
    assert bad_var("sg_var_set", "n", "3", 1) == 2


def test_a_damaged_variable_is_mended_by_a_delete(bad_var, events):
    assert bad_var("sg_var_delete", "n") == 1
    assert events.take() == [b"vd 1"]
    assert bad_var("sg_var_get", "n") is None
    assert 0 < bad_var.client.ttl(V) <= 86400
    assert bad_var("sg_var_set", "n", "3") == 2


def test_a_damaged_tombstone_is_mended_too(sg):
    sg.client.hset(V, "r", "x")
    sg.client.expire(V, 100)
    assert is_damage(attempt(sg, "sg_var_get"))
    assert sg("sg_var_set", "n", "1") == 1
    assert sg.client.ttl(V) == -1


# --- lists ---


def member(sg, item_id):
    """The member of the order that belongs to an item."""
    return sg.client.hget(H, item_id).split(b"\0")[0] + b"\0" + item_id


def swap_member(sg, item_id, member_made):
    """Another member stands where this item's was, or nearly."""
    old = member(sg, item_id)
    sg.client.zrem(L, old)
    sg.client.zadd(L, {member_made(old): 0})


def commands(*given):
    return lambda sg: [sg.client.execute_command(*command) for command in given]


LIST_DAMAGES = {
    **{f"{key[-1]} is gone": commands(("DEL", key)) for key in (M, L, H)},
    **{f"{key[-1]} is a string": commands(("SET", key, "x")) for key in (M, L, H)},
    **{f"{key[-1]} is a set": commands(("DEL", key), ("SADD", key, "x", "y", "z")) for key in (M, L, H)},
    **{f"revision {text!r}": commands(("HSET", M, "r", text)) for text in REVISIONS},
    **{f"known {text!r}": commands(("HSET", M, "x", text)) for text in REVISIONS if text != "0"},
    "more is not known than there was": commands(("HSET", M, "x", "99")),
    "no revision": commands(("HDEL", M, "r")),
    "no kind": commands(("HDEL", M, "k")),
    "a strange kind": commands(("HSET", M, "k", "q")),
    "one member too many": commands(("ZADD", L, 0, b"\x80\x80\0sx")),
    "one field too many": commands(("HSET", H, "sx", b"\x80\x80\x000")),
    "one member less": lambda sg: sg.client.zrem(L, member(sg, b"sb")),
    "one field less": commands(("HDEL", H, "sb")),
    "other ids": lambda sg: swap_member(sg, b"sb", lambda old: old + b"x"),
    "no zero in a member": lambda sg: swap_member(sg, b"sb", lambda old: old.replace(b"\0", b"\1")),
    "no zero in a value": commands(("HSET", H, "sb", "x")),
    "an empty value": commands(("HSET", H, "sb", "")),
    "other order keys": commands(("HSET", H, "sb", b"\x80\x80\x80\x80\x80\x80\x80\x80\x000")),
}
SCORES = {
    "the first has a score": lambda sg: sg.client.zadd(L, {member(sg, b"sa"): 5}),
    "the last has a score": lambda sg: sg.client.zadd(L, {member(sg, b"sc"): -5}),
}
READS = [("sg_list_page", 0, 10), ("sg_list_read", 1, 0, 10, 0), ("sg_list_read", 0, 1, "b"), ("sg_list_get", "b"), ("sg_list_get", "a"),
         ("sg_list_get", "nobody")]
WRITES = [("sg_list_set", "a", "1"), ("sg_list_set", "b", "1"), ("sg_list_set", "nobody", "1"), ("sg_list_delete", "a"), ("sg_list_delete", "b"),
          ("sg_list_insert", 0, "new", "1"), ("sg_list_insert", 1, "new", "1"), ("sg_list_insert", 2, "new", "1"), ("sg_list_insert", -1, "new", "1"),
          ("sg_list_move", "a", 1), ("sg_list_move", "b", 0), ("sg_list_move", "c", 1), ("sg_list_move", "a", -1),
          ("sg_list_put", "k2", "b", "1"), ("sg_list_put", "z", "a", "1"), ("sg_list_put", "k15", "new", "1")]


def fill(sg, kind):
    for place, letter in enumerate("abc", 1):
        if kind == "positional":
            sg("sg_list_insert", "n", -1, letter, "0")
        else:
            sg("sg_list_put", "n", f"k{place}", letter, "0")


@pytest.fixture(params=["positional", "sorted"])
def kind(request):
    return request.param


def damaged(sg, kind, damage):
    sg.client.flushall()
    fill(sg, kind)
    (LIST_DAMAGES | SCORES)[damage](sg)


def counts(client):
    return client.zcard(L), client.hlen(H)


@pytest.mark.parametrize("damage", LIST_DAMAGES, ids=lambda name: name.replace(" ", "-"))
def test_reading_a_damaged_list(sg, kind, damage):
    """Whoever reads the damaged place is refused; whoever reads others is refused or gets what is true."""
    damaged(sg, kind, damage)
    answers = {call: attempt(sg, *call) for call in READS}
    whole = answers["sg_list_page", 0, 10]
    if damage == "other order keys":
        assert is_damage(answers["sg_list_get", "b"])
    else:
        assert is_damage(whole) and is_damage(answers["sg_list_read", 1, 0, 10, 0])
    assert is_damage(answers["sg_list_get", "a"]) or answers["sg_list_get", "a"] == [3, 0, b"0"]
    state = sg("sg_state", "n")
    assert state[:2] == [0, 0] and state[2:] in ([-1, 0], [3, 1])


@pytest.mark.parametrize("damage", LIST_DAMAGES | SCORES, ids=lambda name: name.replace(" ", "-"))
def test_writing_to_a_damaged_list(sg, events, kind, damage):
    """A change is refused whole, or it is a change of sound places whose event says what it did."""
    for call in WRITES:
        damaged(sg, kind, damage)
        events.take()
        before = None if damage.endswith(("string", "set")) else counts(sg.client)
        answer = attempt(sg, *call)
        told = events.take()
        if isinstance(answer, str):
            assert told == [], call
            continue
        assert len(told) == 1 and answer == 4 and told[0].split()[1] == b"4", (call, told)
        operation, total = told[0].split()[0], int(told[0].split()[4 if told[0].startswith(b"lm") else 3])
        grown = {b"li": 1, b"lx": -1}.get(operation, 0)
        assert counts(sg.client) == (before[0] + grown, before[1] + grown) == (total, total), (call, told)
        item_id = b"s" + str(call[1] if call[0] in ("sg_list_set", "sg_list_delete", "sg_list_move") else call[2]).encode()
        if operation != b"lx":
            place = 3 if operation == b"lm" else 2
            assert sg.client.zrank(L, member(sg, item_id)) == int(told[0].split()[place]), (call, told)


@pytest.mark.parametrize("damage", LIST_DAMAGES | SCORES, ids=lambda name: name.replace(" ", "-"))
def test_what_mends_a_damaged_list(sg, events, kind, damage):
    damaged(sg, kind, damage)
    events.take()
    sort = ',"sort":"x"' if kind == "sorted" else ""
    revision = sg("sg_list_set_all", "n", '[{"id":1,"value":2%s}]' % sort)
    assert events.take() == [b"la %d 1" % revision]
    assert sg("sg_list_page", "n", 0, 10) == [revision, 1, 0, 10, b"1", b"2"]
    assert {sg.client.ttl(key) for key in (M, L, H)} == {-1}
    damaged(sg, kind, damage)
    events.take()
    assert sg("sg_list_drop", "n") == 1
    (told,) = events.take()
    assert told.startswith(b"lz ") and sg("sg_list_page", "n", 0, 10) is None
    assert sg.keys() == {M.encode()} and sg.client.ttl(M) > 0
    fill(sg, kind)
    assert sg("sg_list_page", "n", 0, 10)[1] == 3


def test_the_order_key_of_a_neighbour_is_none(sg):
    """Two items with one order key, or one that ends in a zero digit: there is no place between them."""
    for low, high in ((b"\x80", b"\x80"), (b"\x80", b"\x80\1"), (b"", b"")):
        sg.client.flushall()
        sg.client.hset(M, mapping={"r": "1", "k": "p"})
        for item_id, key in ((b"sa", low), (b"sb", high)):
            sg.client.zadd(L, {key + b"\0" + item_id: 0})
            sg.client.hset(H, item_id, key + b"\x000")
        assert is_damage(attempt(sg, "sg_list_insert", 1, "new", "1")), (low, high)


def test_room_is_made_among_sound_items_only(sg, events):
    """Where keys run out, items around are moved: not before all of them are known to be whole."""
    fill(sg, "positional")
    for number in range(1000):  # the same spot for ever: at last there is no short key left
        near = sg.client.zrange(L, 5, 5)
        item_id = near[0].split(b"\0", 1)[1] if near else b"sa"
        whole = sg.client.hget(H, item_id)
        sg.client.hset(H, item_id, "torn")
        events.take()
        if is_damage(attempt(sg, "sg_list_insert", 1, number, "0")):
            assert events.take() == []
            break
        sg.client.hset(H, item_id, whole)
    assert 20 < number < 999, "no insert had to make room"
    sg.client.hset(H, item_id, whole)
    assert sg("sg_list_insert", "n", 1, number, "0") == number + 4
    assert [found for found, _ in sg.items("n")][1] == b"%d" % number


def test_an_empty_list_and_no_list_are_no_damage(sg):
    fill(sg, "positional")
    for letter in "abc":
        sg("sg_list_delete", "n", letter)
    assert sg("sg_list_page", "n", 0, 10) == [6, 0, 0, 10]
    sg("sg_list_drop", "n")
    assert sg("sg_list_page", "n", 0, 10) is None
    assert sg("sg_state", "n") == [0, 0, 7, 0]


# --- what clients see ---


@pytest.fixture
def gateway(gateways):
    return gateways.start("--sweep-interval", "100ms")


def damage_told(kind, name):
    return dict(type=kind, name=name)


async def damaged_total(gateway, number):
    async def says():
        return await gateway.metric("syncgate_damaged_total") == number
    await until(says, f"{number} damaged names are counted")


async def test_subscribers_of_a_damaged_variable(gateway, peers, db, name):
    """They are told once, whoever comes is refused, and all are told the value when it is mended, even the same one."""
    await db.fcall("sg_var_set", name, "1")
    held, other = await peers(gateway, tolerant=True), await peers(gateway, tolerant=True)
    await held.subscribed("var", name)
    held.take()
    await db.cmd("SET", f"sg:{{{name}}}:v", "x")
    await held.expect_error(8, **damage_told("var", name))
    await damaged_total(gateway, 1)
    await other.send_text(dumps(func="subscribe", type="var", name=name))
    await other.expect_error(8, **damage_told("var", name))
    assert await held.fence() == [], "told more than once"
    assert await db.fcall("sg_var_set", name, "1") == 1
    await held.expect(f'{{"func":"set","type":"var","name":"{name}","value":1}}')
    await other.subscribed("var", name)
    assert await gateway.metric("syncgate_damaged_total") == 1


async def test_subscribers_of_a_damaged_list(gateway, peers, db, name):
    for letter in "ab":
        await db.fcall("sg_list_insert", name, -1, letter, "0")
    held, watcher, other = [await peers(gateway, tolerant=True) for _ in range(3)]
    await held.subscribed("list", name)
    await watcher.subscribe("list", name, id="a")
    await watcher.recv()
    held.take()
    await db.cmd("DEL", f"sg:{{{name}}}:h")
    await held.expect_error(8, **damage_told("list", name))
    await watcher.expect_error(8, **damage_told("list", name), id="a")
    await other.send_text(dumps(func="subscribe", type="list", name=name))
    await other.expect_error(8, **damage_told("list", name))
    await held.send_text(dumps(func="insert", type="list", name=name, index=0, id="c", value=1))
    await held.expect_error(8, **damage_told("list", name))
    await db.fcall("sg_list_set_all", name, '[{"id":"a","value":0},{"id":"b","value":0}]')
    await held.until(lambda: held.state.list(name).items == [[("str", "a"), "0"], [("str", "b"), "0"]] and held.take("set_all"),
                     "the whole page is told")
    assert (await watcher.recv()).raw["value"] == "0"
    await other.subscribed("list", name)
    await db.fcall("sg_list_set", name, "a", "2")
    await held.until(lambda: held.state.list(name).items[0][1] == "2", "changes are told again")


async def test_what_is_mended_by_going_away(gateway, peers, db, name):
    """A drop and a delete are a way out too: empty, and null."""
    await db.fcall("sg_var_set", name, "1")
    await db.fcall("sg_list_insert", name, 0, "a", "1")
    peer = await peers(gateway, tolerant=True)
    await peer.subscribed("var", name)
    await peer.subscribed("list", name)
    peer.take()
    await db.cmd("HDEL", f"sg:{{{name}}}:v", "r")
    await peer.expect_error(8, **damage_told("var", name))
    await db.cmd("HSET", f"sg:{{{name}}}:m", "r", "x")
    await peer.expect_error(8, **damage_told("list", name))
    assert await db.fcall("sg_var_delete", name) == 1
    await peer.until(lambda: peer.state.value(name) == "null", "null")
    assert await db.fcall("sg_list_drop", name) == 1
    await peer.until(lambda: peer.state.list(name).items == [], "the list is empty")


async def test_a_damaged_list_of_a_name_leaves_the_variable_alone(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    await db.cmd("SET", f"sg:{{{name}}}:l", "x")
    peer = await peers(gateway)
    await peer.subscribed("var", name)
    assert await db.fcall("sg_var_set", name, "2") == 2
    await peer.until(lambda: peer.state.value(name) == "2", "changes go on")
    assert await gateway.metric("syncgate_damaged_total") == 0


@pytest.mark.parametrize("kind", ["var", "list"])
async def test_who_waits_for_room_is_not_told_what_is_void(gateway, peers, db, name, kind):
    """The answer to a request had to wait because its client does not read. When there is room the name is damaged."""
    fillings = [f"{name}.{number}" for number in range(120)]
    await db.pipeline([fcall("sg_var_set", one, f'"{"x" * 10_000}"') for one in fillings])
    await db.fcall("sg_var_set", name, '"void"')
    await db.fcall("sg_list_insert", name, -1, "a", '"void"')
    held = await peers(gateway, tolerant=True)
    await held.subscribed(kind, name)
    slow = await peers.bare(gateway.address, receive_buffer=4096)
    for one in fillings:
        await slow.send(func="subscribe", type="var", name=one)

    async def says(metric, number):
        async def so():
            return await gateway.metric(metric) == number
        await until(so, f"{metric} is {number}")

    async def full():
        """All are asked for, and the last ones wait for room; or it is not even read from any more."""
        unread = await gateway.metric("syncgate_connections_unread")
        return unread or await gateway.metric("syncgate_subscriptions") == len(fillings) + 1

    await until(full, "its socket is full")
    await says("syncgate_names_stale", 0)
    await slow.send(func="subscribe", type=kind, name=name)
    if not await gateway.metric("syncgate_connections_unread"):
        await says("syncgate_subscriptions", len(fillings) + 2)
    await db.cmd("SET", f"sg:{{{name}}}:{kind[0]}", "x")
    await held.expect_error(8, **damage_told(kind, name))
    about = []
    while not about:
        frame = Frame(await slow.recv_text())
        about += [frame] if frame.get("name") == name else []
    assert (about[0]["func"], about[0].get("message")) == ("error", "damaged data"), about


@pytest.mark.parametrize("damage", ["a string", "no revision"])
def test_damaged_deletions_concern_what_needs_them_alone(sg, events, damage):
    sg("sg_list_put", "n", "a", "a", "1")
    if damage == "a string":
        sg.client.set("sg:{n}:x", "x")
    else:
        sg.client.zadd("sg:{n}:x", {f"i{number}": 0.5 for number in range(1000)})
        assert is_damage(attempt(sg, "sg_list_put", "b", 7, "1", 1))
    assert is_damage(attempt(sg, "sg_list_delete", "a"))
    assert events.take() == [b"li 1 0 1 3 \"a\" 1"]
    assert sg("sg_list_put", "n", "a", "a", "2", 1) == 2
    assert sg("sg_list_set_all", "n", "[]") == 3
    assert sg.client.keys("sg:{n}:*") == [b"sg:{n}:m"]
    assert sg("sg_list_put", "n", "a", "a", "2", 3) == 4


def test_an_item_whose_revision_is_cut_off(sg, events):
    sg("sg_list_put", "n", "a", "a", "1")
    whole = sg.client.hget(H, "sa")
    sg.client.hset(H, "sa", whole[:5])
    for call in (("sg_list_get", "a"), ("sg_list_page", 0, 10), ("sg_list_put", "a", "a", "2"), ("sg_list_set", "a", "2"), ("sg_list_delete", "a")):
        assert is_damage(attempt(sg, *call))
