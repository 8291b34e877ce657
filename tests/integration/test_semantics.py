"""Sections 5.2 and 5.3 of the protocol sheet and section 7 of the design, as far as they can be seen on the wire.

Every peer here is a strict one: a frame that its held state cannot apply fails the test by itself.
"""
import asyncio
import json

import pytest

from conftest import Gateways, write_config
from gateway import until
from peer import dumps
from resp import RedisError, fcall

CONFIG = """
anonymous: { subscribe: ["*"], call: ["*"], write: ["*"], serve: ["*"] }
names:
  - { pattern: "declared:*", type: var }
  - { pattern: "rows:*", type: list }
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("semantics")
    pool = Gateways(folder, redis_server.socket_path)
    yield pool.start("--config", write_config(folder / "syncgate.yaml", CONFIG), dev=False)
    pool.stop()


def set_all(name, items, total=None, page=0):
    """The text of a set_all; items as {id: raw value} or letters."""
    if isinstance(items, str):
        items = {letter: "0" for letter in items}
    texts = ",".join(f'{{"id":{json.dumps(key)},"value":{value}}}' for key, value in items.items())
    total = len(items) if total is None else total
    return f'{{"func":"set_all","type":"list","name":"{name}","page":{page},"total_item_count":{total},"items":[{texts}]}}'


def insert(name, index, item_id, value="0"):
    return f'{{"func":"insert","type":"list","name":"{name}","index":{index},"id":{json.dumps(item_id)},"value":{value}}}'


def item(name, item_id, value):
    return f'{{"func":"set","type":"list","name":"{name}","id":{json.dumps(item_id)},"value":{value}}}'


def delete(name, item_id, gone=True):
    return f'{{"func":"delete","type":"list","name":"{name}","id":{json.dumps(item_id)}{",%s" % GONE if gone else ""}}}'


GONE = '"gone":true'


def count(name, total):
    return f'{{"func":"set_count","type":"list","name":"{name}","total_item_count":{total}}}'


def var(name, value):
    return f'{{"func":"set","type":"var","name":"{name}","value":{value}}}'


async def fill(db, name, letters):
    """Appends one item per letter, value 0."""
    await db.pipeline([fcall("sg_list_insert", name, -1, letter, "0") for letter in letters])


async def window(gateway, peers, name, page=0, size=2):
    """A peer whose window onto the list is (page, size); the snapshots are taken."""
    peer = await peers(gateway)
    await peer.subscribed("list", name)
    await peer.get("list", name, page=page, page_size=size)
    await peer.recv()
    return peer


# --- variables ---


async def test_snapshot_then_changes(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, '"10:00"')
    peer = await peers(gateway)
    await peer.subscribe("var", name)
    await peer.expect(var(name, '"10:00"'))
    await db.fcall("sg_var_set", name, '"10:01"')
    await peer.expect(var(name, '"10:01"'))
    await peer.get("var", name)
    await peer.expect(var(name, '"10:01"'))


async def test_an_equal_value_again_is_an_event(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway)
    await peer.subscribed("var", name)
    await db.fcall("sg_var_set", name, "1")
    await peer.expect(var(name, "1"))
    await fill(db, name, "a")
    await peer.subscribed("list", name)
    await db.fcall("sg_list_set", name, "a", "0")
    await peer.expect(item(name, "a", "0"))


async def test_a_declared_variable_is_null_until_it_is_set(gateway, peers, db):
    peer = await peers(gateway)
    await peer.subscribe("var", "declared:x")
    await peer.expect(var("declared:x", "null"))
    await db.fcall("sg_var_set", "declared:x", "5")
    await peer.expect(var("declared:x", "5"))


async def test_a_declared_list_is_empty_until_it_is_filled(gateway, peers, db):
    peer = await peers(gateway)
    await peer.subscribe("list", "rows:x")
    await peer.expect(set_all("rows:x", ""))
    await fill(db, "rows:x", "a")
    await peer.expect(insert("rows:x", 0, "a"))


async def test_a_deleted_variable_is_null_and_stays_subscribed(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway)
    await peer.subscribed("var", name)
    assert await db.fcall("sg_var_delete", name) == 1
    await peer.expect(var(name, "null"))
    await peer.get("var", name)
    await peer.expect(var(name, "null"))
    await db.fcall("sg_var_set", name, "2")
    await peer.expect(var(name, "2"))


async def test_a_deleted_variable_is_unknown_to_others(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    await db.fcall("sg_var_delete", name)
    peer = await peers(gateway, tolerant=True)
    await peer.subscribe("var", name)
    await peer.expect_error(3, type="var", name=name)


async def test_an_unknown_name_becomes_known(gateway, peers, db, name):
    peer = await peers(gateway, tolerant=True)
    for kind in ("var", "list"):
        await peer.subscribe(kind, name)
        await peer.expect_error(3, type=kind, name=name)
    await db.fcall("sg_var_set", name, "1")
    await peer.subscribed("var", name)
    await fill(db, name, "a")
    await peer.subscribed("list", name)


VALUES = [
    "1.10", "12345678901234567890", "-0", "-0.0", "1E400", "1e-400", "0.1000000000000000055511151231257827", "1e5", "1E+05",
    '"\\u0041\\/\\ud83d\\ude00\\b\\f\\n\\r\\t\\"\\\\"', '"\\u0000"', '"é€😀"', '"\u007f\u0080\u2028"', '""', "true", "false", "null",
    "[]", "{}", '{ "a" : [ 1 , 2.50 ] }', '{"a":1,"a":2}', '{"":{"":[]}}', "[\n\t1,\r\n 2 ]", "[" * 60 + "]" * 60,
    '{"a":' * 59 + "[]" + "}" * 59, '"' + "x" * 70000 + '"', "[" + ",".join(["1.0"] * 2000) + "]", "0", "-1", "9007199254740993",
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: v[:24].encode("unicode_escape").decode())
async def test_values_are_the_same_bytes_everywhere(gateway, peers, db, name, value):
    """Set by a web application and by a peer; seen as snapshot, as change, as answer, by the writer and by others."""
    await db.fcall("sg_var_set", name, value)
    await db.fcall("sg_list_insert", name, 0, "a", value)
    reader, writer = await peers(gateway), await peers(gateway)
    for peer in (reader, writer):
        await peer.subscribe("var", name)
        await peer.expect(var(name, value))
        await peer.subscribe("list", name)
        await peer.expect(set_all(name, {"a": value}))
    for frame in (var(name, value), item(name, "a", value), insert(name, 1, "b", value)):
        await writer.say(frame)
        for peer in (reader, writer):  # one by one: what does not fit into a socket together is conflated
            await peer.expect(frame)
    await writer.say(set_all(name, {"c": value, "d": value}))
    for peer in (reader, writer):
        frame = await peer.recv()
        while frame["func"] != "insert" or frame["id"] != "d":  # two deletes and two inserts, or one set_all
            if frame["func"] == "set_all":
                break
            frame = await peer.recv()
        assert [held for _, held in peer.state.list(name).items] == [value, value]
    assert (await db.fcall("sg_var_get", name))[1].decode() == value


async def test_whitespace_around_a_value_is_not_part_of_it(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "0")
    peer = await peers(gateway)
    await peer.subscribed("var", name)
    await peer.say(f' {{ "func" : "set" ,\n"type":"var", "value" : \t[ 1 ]\r\n , "name" : "{name}" }} ')
    await peer.expect(var(name, "[ 1 ]"))


async def test_values_nest_at_most_60(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway, tolerant=True)
    await peer.subscribed("var", name)
    await peer.send_text(var(name, "[" * 61 + "]" * 61))
    frame = await peer.recv()
    assert frame["func"] == "error" and frame["error_code"] in (6, 7), frame
    await peer.get("var", name)
    await peer.expect(var(name, "1"))


@pytest.mark.parametrize("name", ["ä€😀", "a b", 'q"uo\\te', "per%cent", "a/b?c#d", "*", "\u0080", "😀" * 128, "<b>", ":", "@calls"])
async def test_names_of_every_kind(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    await db.fcall("sg_list_insert", name, 0, "a", "1")
    peer = await peers(gateway)
    assert (await peer.subscribed("var", name))["name"] == name
    assert (await peer.subscribed("list", name))["name"] == name
    await peer.send(func="set", type="var", name=name, value=2)
    frame = await peer.recv()
    assert (frame["name"], frame["value"]) == (name, 2)
    await db.fcall("sg_list_set", name, "a", "2")
    frame = await peer.recv()
    assert (frame["name"], frame["value"]) == (name, 2)


async def test_an_escaped_name_is_the_same_name(gateway, peers, db):
    await db.fcall("sg_var_set", "naïve", "1")
    peer = await peers(gateway)
    await peer.say('{"func":"subscribe","type":"var","name":"na\\u00efve"}')
    assert (await peer.recv())["name"] == "naïve"


async def test_the_writer_is_told_too_in_the_order_of_redis(gateways, gateway, peers, db, name):
    """Two writers on two gateways: both end with what Redis applied last, and saw the same order."""
    await db.fcall("sg_var_set", name, "0")
    other = gateways.start()
    one, two = await peers(gateway), await peers(other)
    for peer in (one, two):
        await peer.subscribed("var", name)
    for turn in range(50):
        await asyncio.gather(*(peer.send(func="set", type="var", name=name, value=f"{peer.name} {turn}") for peer in (one, two)))
    seen = []
    for peer in (one, two):
        seen.append([(await peer.recv())["value"] for _ in range(100)])
    assert seen[0] == seen[1], "two subscribers saw two orders"
    assert json.loads((await db.fcall("sg_var_get", name))[1]) == seen[0][-1]
    for peer in (one, two):
        own = [value for value in seen[0] if value.startswith(peer.name)]
        assert own == [f"{peer.name} {turn}" for turn in range(50)], "the writes of one connection changed places"


async def test_no_change_before_the_snapshot(gateway, peers, db, name):
    """Subscribes while somebody writes all the time: the first frame is a state and nothing is missed after it."""
    await db.fcall("sg_var_set", name, "0")
    await db.fcall("sg_list_insert", name, 0, "a", "0")
    writing = True

    async def write():
        number = 0
        while writing:
            number += 1
            await db.pipeline([fcall("sg_var_set", name, number), fcall("sg_list_set", name, "a", number)])
        return number

    task = asyncio.ensure_future(write())
    many = await asyncio.gather(*(peers(gateway) for _ in range(10)))
    for peer in many:
        await peer.subscribe("var", name)
        await peer.subscribe("list", name)
    for peer in many:
        await peer.until(lambda peer=peer: len(peer.frames) > 20, "20 frames")
    writing = False
    last = str(await task)
    for peer in many:
        await peer.until(lambda peer=peer: peer.state.value(name) == last and peer.state.list(name).items[0][1] == last, "the end")
        for kind in ("var", "list"):
            numbers = [f["value"] if f["func"] == "set" else f["items"][0]["value"] for f in peer.frames if f["type"] == kind]
            assert numbers == list(range(numbers[0], int(last) + 1)), "a change was lost, repeated or came early"


# --- subscribing and unsubscribing ---


async def test_subscribe_twice_answers_again_and_resets_the_window(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 1)
    await peer.subscribe("list", name)
    await peer.expect(set_all(name, "abc"))
    await fill(db, name, "d")
    await peer.expect(insert(name, 3, "d"))
    await db.fcall("sg_var_set", name, "1")
    await peer.subscribed("var", name)
    await peer.subscribe("var", name)
    await peer.expect(var(name, "1"))
    await db.fcall("sg_var_set", name, "2")
    await peer.expect(var(name, "2"))
    await peer.unsubscribe("var", name)
    assert await peer.fence() == [], "two subscribes are one subscription: one set per change"
    await peer.unsubscribe("list", name)
    assert await peer.fence() == []


async def test_id_is_ignored_for_variables(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway)
    for item_id in ('"x"', "{}", "1.5", '""'):
        await peer.say(f'{{"func":"subscribe","type":"var","name":"{name}","id":{item_id}}}')
        await peer.expect(var(name, "1"))
        await peer.say(f'{{"func":"get","type":"var","name":"{name}","id":{item_id}}}')
        await peer.expect(var(name, "1"))
        await peer.say(f'{{"func":"unsubscribe","type":"var","name":"{name}","id":{item_id}}}')
    assert await peer.fence() == []


async def test_nothing_comes_after_unsubscribe(gateway, peers, db, name):
    """A second peer of the same gateway is the witness that the change went out."""
    await db.fcall("sg_var_set", name, "1")
    await fill(db, name, "a")
    peer, witness = await peers(gateway), await peers(gateway)
    for kind in ("var", "list"):
        await peer.subscribed(kind, name)
        await witness.subscribed(kind, name)
        await peer.unsubscribe(kind, name)
    assert await peer.fence() == []
    await db.fcall("sg_var_set", name, "2")
    await db.fcall("sg_list_set", name, "a", "2")
    await witness.expect(var(name, "2"))
    await witness.expect(item(name, "a", "2"))
    assert await peer.fence() == []


async def test_unsubscribe_all_ends_everything_the_sender_had(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    await fill(db, name, "ab")
    peer, witness = await peers(gateway, quiet=True), await peers(gateway, quiet=True)
    await peer.subscribed("var", name)
    await peer.subscribed("list", name)
    await peer.subscribe("list", name, id="a")
    await peer.expect(item(name, "a", "0"))
    await peer.serve(name)
    await witness.subscribed("var", name)
    await witness.offered(name)
    await peer.send(func="unsubscribe_all")
    await witness.offered(name, False)
    await db.fcall("sg_list_set", name, "a", "2")
    await db.fcall("sg_var_set", name, "2")
    await witness.expect(var(name, "2"))
    assert await peer.fence() == []
    peer.state.excuse("list", name, "a", 1)
    peer.state.excuse("list", name, None, 1)
    await peer.send_text(dumps(func="get", type="list", name=name, id="a"))
    await peer.expect_error(1)


async def test_a_subscription_does_not_survive_its_connection(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    first = await peers(gateway)
    await first.subscribed("var", name)
    await first.close()
    second = await peers(gateway, tolerant=True)
    await second.get("var", name)
    await second.expect_error(1, type="var", name=name)


async def test_a_name_without_subscribers_is_current_when_somebody_comes_back(gateways, peers, db, name):
    """Within the linger the cache is kept current by events, after it the name is read again; both are right."""
    gateway = gateways.start("--linger", "100ms")
    await db.fcall("sg_var_set", name, "0")
    for turn in range(1, 6):
        peer = await peers(gateway)
        await peer.subscribe("var", name)
        await peer.until(lambda peer=peer, turn=turn: peer.state.value(name) == str(turn - 1), f"the value {turn - 1}")
        await peer.close()
        await db.fcall("sg_var_set", name, turn)
        if turn % 2:  # let go of the name
            async def forgotten():
                channels = await db.cmd("PUBSUB", "SHARDCHANNELS", f"sg:{{{name}}}")
                return not channels
            await until(forgotten, "the gateway leaves the channel of a name without subscribers")


async def test_many_subscribers_cost_redis_one_read(gateways, peers, db, name):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "1")
    many = await asyncio.gather(*(peers(gateway) for _ in range(30)))
    for peer in many:
        await peer.subscribe("var", name)
    for peer in many:
        await peer.expect(var(name, "1"))
    assert await gateway.metric("syncgate_redis_reads_total") == 1
    assert (await db.cmd("PUBSUB", "SHARDNUMSUB", f"sg:{{{name}}}"))[1] == 1


# --- windows of a list: the examples of the sheet ---


async def test_change_on_the_page(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name)
    await db.fcall("sg_list_set", name, "c", "1")  # off the page: nothing
    await db.fcall("sg_list_set", name, "b", "20")
    await peer.expect(item(name, "b", "20"))


async def test_insert_on_a_full_page(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name)
    await db.fcall("sg_list_insert", name, 0, "e", "5")
    await peer.expect(delete(name, "b", gone=False))
    await peer.expect(insert(name, 0, "e", "5"))
    await peer.expect(count(name, 4))


async def test_insert_in_the_middle_of_a_full_page(gateway, peers, db, name):
    await fill(db, name, "abcde")
    peer = await window(gateway, peers, name, 0, 4)
    await db.fcall("sg_list_insert", name, 2, "x", "5")
    await peer.expect(delete(name, "d", gone=False))
    await peer.expect(insert(name, 2, "x", "5"))
    await peer.expect(count(name, 6))


async def test_insert_before_the_page(gateway, peers, db, name):
    await fill(db, name, "abcdef")
    peer = await window(gateway, peers, name, 1)
    await db.fcall("sg_list_insert", name, 0, "x", "0")
    await peer.expect(delete(name, "d", gone=False))
    await peer.expect(insert(name, 0, "b"))
    await peer.expect(count(name, 7))


async def test_insert_before_a_page_that_is_not_full(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 1)
    await db.fcall("sg_list_insert", name, 1, "x", "0")
    await peer.expect(insert(name, 0, "b"))


async def test_insert_behind_the_page(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name)
    await db.fcall("sg_list_insert", name, -1, "d", "4")
    await peer.expect(count(name, 4))
    await db.fcall("sg_list_insert", name, 2, "e", "4")
    await peer.expect(count(name, 5))


async def test_insert_on_a_page_that_is_not_full(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 1, 2)
    await db.fcall("sg_list_insert", name, 3, "d", "0")
    await peer.expect(insert(name, 1, "d"))
    await db.fcall("sg_list_insert", name, 4, "e", "0")
    await peer.expect(count(name, 5))


async def test_insert_into_an_empty_list(gateway, peers, db, name):
    await fill(db, name, "a")
    await db.fcall("sg_list_delete", name, "a")
    peer = await peers(gateway)
    await peer.subscribe("list", name)
    await peer.expect(set_all(name, ""))
    await fill(db, name, "ab")
    await peer.expect(insert(name, 0, "a"))
    await peer.expect(insert(name, 1, "b"))


async def test_delete_on_the_page_with_more_behind(gateway, peers, db, name):
    await fill(db, name, "abcd")
    peer = await window(gateway, peers, name)
    await db.fcall("sg_list_delete", name, "a")
    await peer.expect(delete(name, "a"))
    await peer.expect(insert(name, 1, "c"))
    await peer.expect(count(name, 3))


async def test_delete_on_the_page_with_nothing_behind(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 0, 3)
    await db.fcall("sg_list_delete", name, "b")
    await peer.expect(delete(name, "b"))
    await db.fcall("sg_list_delete", name, "c")
    await peer.expect(delete(name, "c"))


async def test_delete_before_the_page(gateway, peers, db, name):
    await fill(db, name, "abcdefg")
    peer = await window(gateway, peers, name, 1)
    await db.fcall("sg_list_delete", name, "a")
    await peer.expect(delete(name, "c", gone=False))
    await peer.expect(insert(name, 1, "e"))
    await peer.expect(count(name, 6))


async def test_delete_behind_the_page(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name)
    await db.fcall("sg_list_delete", name, "c")
    await peer.expect(count(name, 2))


async def test_a_page_that_vanishes_clamps(gateway, peers, db, name):
    await fill(db, name, "eabcd")
    peer = await window(gateway, peers, name, 2)
    await db.fcall("sg_list_delete", name, "e")
    await peer.expect(set_all(name, "cd", total=4, page=1))
    await db.fcall("sg_list_insert", name, 0, "z", "0")  # the window is page 1 now, and stays there
    await peer.expect(delete(name, "d", gone=False))
    await peer.expect(insert(name, 0, "b"))
    await peer.expect(count(name, 5))


async def test_all_pages_vanish(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 1)
    await db.fcall("sg_list_set_all", name, "[]")
    await peer.expect(set_all(name, ""))
    await fill(db, name, "xyz")
    for frame in (insert(name, 0, "x"), insert(name, 1, "y"), count(name, 3)):
        await peer.expect(frame)


async def test_a_move_is_delete_and_insert(gateway, peers, db, name):
    await fill(db, name, "abcd")
    peer = await window(gateway, peers, name, 0, 4)
    await db.fcall("sg_list_move", name, "a", 2)
    first, second = await peer.recv(), await peer.recv()
    assert (first["func"], second["func"]) == ("delete", "insert") and "gone" not in first
    assert [key for _, key in peer.state.list(name).ids()] == list("bcad")


async def test_a_move_into_and_out_of_the_page(gateway, peers, db, name):
    await fill(db, name, "abcdef")
    peer = await window(gateway, peers, name, 0, 3)
    await db.fcall("sg_list_move", name, "e", 1)
    await peer.expect(delete(name, "c", gone=False))
    await peer.expect(insert(name, 1, "e"))
    await db.fcall("sg_list_move", name, "a", -1)
    await peer.expect(delete(name, "a", gone=False))
    await peer.expect(insert(name, 2, "c"))
    await db.fcall("sg_list_move", name, "d", 4)  # behind the page: nothing is seen
    await db.fcall("sg_list_set", name, "e", "9")
    await peer.expect(item(name, "e", "9"))


async def test_a_move_across_the_page(gateway, peers, db, name):
    await fill(db, name, "abcdefgh")
    peer = await window(gateway, peers, name, 1, 3)  # d e f
    await db.fcall("sg_list_move", name, "a", -1)
    await peer.expect(delete(name, "d", gone=False))
    await peer.expect(insert(name, 2, "g"))
    await db.fcall("sg_list_move", name, "a", 0)
    await peer.expect(delete(name, "g", gone=False))
    await peer.expect(insert(name, 0, "d"))


async def test_put_moves_and_changes_a_sorted_list(gateway, peers, db, name):
    for letter in "abc":
        await db.fcall("sg_list_put", name, letter, letter, "0")
    peer = await window(gateway, peers, name, 0, 5)
    await db.fcall("sg_list_put", name, "bb", "x", "1")
    await peer.expect(insert(name, 2, "x", "1"))
    await db.fcall("sg_list_put", name, "bb", "x", "2")
    await peer.expect(item(name, "x", "2"))
    await db.fcall("sg_list_put", name, "z", "x", "3")
    await peer.expect(delete(name, "x", gone=False))
    await peer.expect(insert(name, 3, "x", "3"))
    with pytest.raises(RedisError, match="SGARG"):
        await db.fcall("sg_list_insert", name, 0, "y", "1")
    await db.fcall("sg_list_delete", name, "x")
    await peer.expect(delete(name, "x"))


async def test_more_than_half_of_a_page_is_one_set_all(gateway, peers, db, name):
    await fill(db, name, "abcd")
    peer = await window(gateway, peers, name, 0, 4)
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": i, "value": 0} for i in "axyz"]))
    await peer.expect(set_all(name, "axyz"))


async def test_bulk_replace_reaches_each_window_with_its_own_page(gateway, peers, db, name):
    await fill(db, name, "abcdef")
    first, last = await window(gateway, peers, name, 0, 2), await window(gateway, peers, name, 2, 2)
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": i, "value": 0} for i in "xyz"]))
    await first.expect(set_all(name, "xy", total=3))
    await last.expect(set_all(name, "z", total=3, page=1))


async def test_a_dropped_list_is_empty_and_stays_subscribed(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 1)
    await peer.subscribe("list", name, id="a")
    await peer.expect(item(name, "a", "0"))
    assert await db.fcall("sg_list_drop", name) == 1
    await peer.until(lambda: peer.state.list(name).count == 0 and not peer.state.list(name).items, "the list is empty")
    await peer.until(lambda: peer.state.item(name, "a") is None, "the item subscription ends")
    peer.take()
    await fill(db, name, "a")
    await peer.expect(insert(name, 0, "a"))


async def test_change_page(gateway, peers, db, name):
    await fill(db, name, "abcde")
    peer = await window(gateway, peers, name, 0, 2)
    await peer.get("list", name, page=1, page_size=2)
    await peer.expect(set_all(name, "cd", total=5, page=1))
    await peer.get("list", name, page=9, page_size=3)
    await peer.expect(set_all(name, "de", total=5, page=1))
    await peer.get("list", name, page=1)  # without a size: the owner's maximum
    await peer.expect(set_all(name, "abcde"))
    await peer.get("list", name)
    await peer.expect(set_all(name, "abcde"))


async def test_every_question_gets_its_answer(gateway, peers, db, name):
    """Questions that are asked before the first one is answered: as many answers, in their order."""
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": i, "value": i} for i in range(1000)]))
    peer = await peers(gateway)
    await peer.subscribe("list", name)
    await peer.get("list", name, page=50, page_size=2)
    await peer.get("list", name, page=60, page_size=3)
    await peer.subscribe("list", name)
    await peer.get("list", name, page=70, page_size=4)
    for page, size in ((0, 100), (50, 2), (60, 3), (0, 100), (70, 4)):
        frame = await peer.recv(f"page {page} of {size}")
        assert (frame["page"], len(frame["items"])) == (page, size), frame
    await peer.get("list", name, page=80, page_size=5)
    await peer.subscribe("list", name)  # this one needs no read
    await peer.get("list", name, page=90, page_size=6)
    for page, size in ((80, 5), (0, 100), (90, 6)):
        frame = await peer.recv(f"page {page} of {size}")
        assert (frame["page"], len(frame["items"])) == (page, size), frame
    await db.fcall("sg_list_set", name, "540", "7")
    await peer.expect(item(name, 540, "7"))


async def test_two_windows_of_one_list(gateway, peers, db, name):
    """The same change means something else to each window."""
    await fill(db, name, "abcdef")
    head, middle, tail = [await window(gateway, peers, name, page, 2) for page in (0, 1, 2)]
    await db.fcall("sg_list_delete", name, "a")
    for frame in (delete(name, "a"), insert(name, 1, "c"), count(name, 5)):
        await head.expect(frame)
    for frame in (delete(name, "c", gone=False), insert(name, 1, "e"), count(name, 5)):
        await middle.expect(frame)
    await tail.expect(delete(name, "e", gone=False))
    # a client counts what it is told: tail took one for the delete, which is the truth


async def test_one_window_seen_by_many(gateway, peers, db, name):
    await fill(db, name, "abcdef")
    many = [await window(gateway, peers, name, 1, 2) for _ in range(8)]
    await db.fcall("sg_list_insert", name, 0, "x", "0")
    for peer in many:
        for frame in (delete(name, "d", gone=False), insert(name, 0, "b"), count(name, 7)):
            await peer.expect(frame)


async def test_index_mode_absolute(gateways, peers, db, name):
    gateway = gateways.start("--index-mode", "absolute")
    await fill(db, name, "abc")
    peer = await peers(gateway, strict=False)
    await peer.send_text(dumps(func="subscribe", type="list", name=name))
    await peer.recv()
    await peer.send_text(dumps(func="get", type="list", name=name, page=1, page_size=2))
    await peer.recv()
    await db.fcall("sg_list_insert", name, 3, "d", "0")
    assert (await peer.recv()).text == insert(name, 3, "d")


async def test_a_large_list_is_paged_from_afar(gateway, peers, db, name):
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": i, "value": i} for i in range(20000)]))
    peer = await peers(gateway)
    await peer.subscribed("list", name)
    await peer.get("list", name, page=199)
    frame = await peer.recv()
    assert frame["total_item_count"] == 20000 and [i["id"] for i in frame["items"]] == list(range(19900, 20000))
    await db.fcall("sg_list_insert", name, 0, "x", "0")
    for expected in (delete(name, 19999, gone=False), insert(name, 0, 19899, "19899"), count(name, 20001)):
        await peer.expect(expected)


# --- items ---


async def test_item_subscription(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await peers(gateway)
    await peer.subscribe("list", name, id="c")
    await peer.expect(item(name, "c", "0"))
    await db.fcall("sg_list_set", name, "a", "1")
    await db.fcall("sg_list_insert", name, 0, "x", "1")
    await db.fcall("sg_list_set", name, "c", "2")
    await peer.expect(item(name, "c", "2"))
    await db.fcall("sg_list_move", name, "c", 0)
    await db.fcall("sg_list_delete", name, "c")
    await peer.expect(delete(name, "c"))
    await db.fcall("sg_list_insert", name, 0, "c", "3")
    assert await peer.fence() == []
    peer.state.excuse("list", name, "c", 1)
    await peer.send_text(dumps(func="unsubscribe", type="list", name=name, id="c"))
    await peer.expect_error(1, type="list", name=name)


async def test_one_set_for_a_listed_item_with_its_own_subscription(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name)
    for item_id in "ac":
        await peer.subscribe("list", name, id=item_id)
        await peer.expect(item(name, item_id, "0"))
    await db.fcall("sg_list_set", name, "a", "1")
    await db.fcall("sg_list_set", name, "c", "2")
    await db.fcall("sg_list_set", name, "b", "3")
    for item_id, value in (("a", 1), ("c", 2), ("b", 3)):
        await peer.expect(item(name, item_id, value))


async def test_a_listed_item_with_its_own_subscription_goes(gateway, peers, db, name):
    """One delete for both; with gone it ends the item subscription."""
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 0, 3)
    await peer.subscribe("list", name, id="a")
    await peer.expect(item(name, "a", "0"))
    await db.fcall("sg_list_delete", name, "a")
    await peer.expect(delete(name, "a"))
    await db.fcall("sg_list_insert", name, 0, "a", "5")
    await peer.expect(insert(name, 0, "a", "5"))
    assert not peer.state.active("item", name, ("str", "a"))


async def test_an_item_that_leaves_the_page_keeps_its_subscription(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name)
    await peer.subscribe("list", name, id="b")
    await peer.expect(item(name, "b", "0"))
    await db.fcall("sg_list_insert", name, 0, "x", "0")
    for frame in (delete(name, "b", gone=False), insert(name, 0, "x"), count(name, 4)):
        await peer.expect(frame)
    await db.fcall("sg_list_set", name, "b", "7")
    await peer.expect(item(name, "b", "7"))


async def test_an_item_that_leaves_the_page_with_a_new_value(gateway, peers, db, name):
    """A put moves it off the page and changes it: the page says delete, the item subscription must still be told the value."""
    for letter in "abcd":
        await db.fcall("sg_list_put", name, letter, letter, "0")
    peer = await window(gateway, peers, name)
    await peer.subscribe("list", name, id="a")
    await peer.expect(item(name, "a", "0"))
    await db.fcall("sg_list_put", name, "z", "a", "9")
    await peer.until(lambda: peer.state.item(name, "a") == "9", "the item is 9")
    assert [key for _, key in peer.state.list(name).ids()] == ["b", "c"]


async def test_an_off_page_item_with_its_own_subscription_goes(gateway, peers, db, name):
    """The delete may or may not count for a client, so set_count follows it and is right for both."""
    await fill(db, name, "abcd")
    peer = await window(gateway, peers, name)
    await peer.subscribe("list", name, id="d")
    await peer.expect(item(name, "d", "0"))
    await db.fcall("sg_list_delete", name, "d")
    await peer.until(lambda: peer.state.list(name).count == 3 and peer.state.item(name, "d") is None, "3 items, d is gone")


async def test_unsubscribe_of_the_list_keeps_its_items(gateway, peers, db, name):
    await fill(db, name, "ab")
    peer = await peers(gateway)
    await peer.subscribed("list", name)
    await peer.subscribe("list", name, id="b")
    await peer.expect(item(name, "b", "0"))
    await peer.unsubscribe("list", name)
    assert await peer.fence() == []
    await db.fcall("sg_list_set", name, "a", "1")
    await db.fcall("sg_list_set", name, "b", "2")
    await peer.expect(item(name, "b", "2"))


async def test_unsubscribe_of_an_item_keeps_the_list_and_other_items(gateway, peers, db, name):
    await fill(db, name, "abc")
    peer = await window(gateway, peers, name, 0, 1)
    for item_id in "abc":
        await peer.subscribe("list", name, id=item_id)
        await peer.expect(item(name, item_id, "0"))
    await peer.unsubscribe("list", name, id="a")
    await peer.unsubscribe("list", name, id="b")
    assert await peer.fence() == []
    for item_id in "bac":
        await db.fcall("sg_list_set", name, item_id, "1")
    await peer.expect(item(name, "a", "1"))
    await peer.expect(item(name, "c", "1"))


async def test_get_with_id(gateway, peers, db, name):
    """Answers with the item wherever it stands, and does not move the window."""
    await fill(db, name, "abcdef")
    peer = await window(gateway, peers, name, 1)
    for item_id in "cfa":
        await peer.get("list", name, id=item_id)
        await peer.expect(item(name, item_id, "0"))
    await peer.say(f'{{"func":"get","type":"list","name":"{name}","id":"b","page":0,"page_size":1}}')
    await peer.expect(item(name, "b", "0"))
    await db.fcall("sg_list_set", name, "a", "1")  # off the page, not subscribed
    await db.fcall("sg_list_insert", name, 0, "x", "0")
    for frame in (delete(name, "d", gone=False), insert(name, 0, "b"), count(name, 7)):
        await peer.expect(frame)


async def test_get_with_id_is_as_new_as_what_was_told(gateway, peers, db, name):
    """A writer changes an item all the time; no answer is older or newer than the frames around it."""
    await fill(db, name, "abc")
    held, far = await window(gateway, peers, name, 0, 1), await peers(gateway)
    await far.subscribe("list", name, id="a")
    await far.recv()
    writing = True

    async def write():
        number = 0
        while writing:
            number += 1
            await db.fcall("sg_list_set", name, "a", number)
            await db.fcall("sg_list_set", name, "b", number)
        return number

    task = asyncio.ensure_future(write())
    for _ in range(100):
        for peer in (held, far):
            await peer.get("list", name, id="a")
        await held.get("list", name, id="b")
        await asyncio.sleep(0)
    for peer in (held, far):
        await peer.until(lambda peer=peer: not peer.state.answers_due(), "all answers")
    writing = False
    last = await task
    for peer in (held, far):
        await peer.until(lambda peer=peer: any(f["value"] == last for f in peer.frames if f["id"] == "a"), "the last value")
        numbers = [frame["value"] for frame in peer.frames if frame["id"] == "a"]
        assert numbers == sorted(numbers), "an older value after a newer one"
        assert set(range(numbers[0], last + 1)) <= set(numbers), "a change was lost"


ITEM_IDS = ['"a"', "1", '"1"', "-1", "0", '"é😀"', '"with \\"quotes\\" and \\\\"', '"\\u0001\\n"', "9007199254740993", '" "', '"null"',
            "123456789012345678901234567890", '"\u007f\u0085"']


async def test_item_ids_are_kept(gateway, peers, name, db):
    """Strings and integers, compared by value: 1 and "1" are two items."""
    await fill(db, name, "first")
    reader, peer = await peers(gateway), await peers(gateway)
    await reader.subscribed("list", name)
    await peer.subscribed("list", name)
    for number, item_id in enumerate(ITEM_IDS):
        await peer.say(f'{{"func":"insert","type":"list","name":"{name}","index":{number},"id":{item_id},"value":{number}}}')
    for each in (reader, peer):  # the writer's own echoes too: later frames are answers
        for number, item_id in enumerate(ITEM_IDS):
            frame = await each.recv()
            assert frame["func"] == "insert" and frame["id"] == json.loads(item_id) and frame["value"] == number
            assert type(frame["id"]) is type(json.loads(item_id))
    for number, item_id in enumerate(ITEM_IDS):
        await peer.say(f'{{"func":"get","type":"list","name":"{name}","id":{item_id}}}')
        assert (await peer.recv())["value"] == number
        await peer.say(f'{{"func":"subscribe","type":"list","name":"{name}","id":{item_id}}}')
        assert (await peer.recv())["id"] == json.loads(item_id)
        await peer.say(f'{{"func":"delete","type":"list","name":"{name}","id":{item_id}}}')
        frame = await peer.recv()
        assert frame["func"] == "delete" and frame["id"] == json.loads(item_id) and frame["gone"] is True


# --- writes of granted peers ---


async def test_writes_reach_everybody_in_the_order_of_redis(gateway, gateways, peers, db, name):
    await fill(db, name, "abc")
    writer, near, far = await peers(gateway), await peers(gateway), await peers(gateways.start())
    everybody = (writer, near, far)
    for peer in everybody:
        await peer.subscribed("list", name)
    for text in (insert(name, 3, "d", "4"), item(name, "a", "9"), delete(name, "b", gone=False), insert(name, 0, "e", "5")):
        await writer.say(text)
    for peer in everybody:
        for text in (insert(name, 3, "d", "4"), item(name, "a", "9"), delete(name, "b"), insert(name, 0, "e", "5")):
            await peer.expect(text)


async def test_insert_of_a_peer_is_absolute(gateway, peers, db, name):
    await fill(db, name, "abcd")
    peer = await window(gateway, peers, name, 1)
    await peer.say(insert(name, 3, "x"))
    for frame in (delete(name, "d", gone=False), insert(name, 1, "x"), count(name, 5)):
        await peer.expect(frame)
    await peer.say(insert(name, 5, "y"))
    await peer.expect(count(name, 6))
    page = await db.fcall("sg_list_page", name, 0, 10)
    assert [json.loads(item_id) for item_id in page[4::2]] == list("abcxdy")


async def test_set_all_of_a_peer_replaces_the_list(gateway, peers, db, name):
    await fill(db, name, "abc")
    writer, reader = await peers(gateway), await window(gateway, peers, name, 1)
    await writer.say(set_all(name, "vwxyz"))
    await reader.until(lambda: [key for _, key in reader.state.list(name).ids()] == ["x", "y"]
                       and reader.state.list(name).count == 5, "page 1 is x, y of 5")
    await writer.say(set_all(name, ""))
    await reader.until(lambda: reader.state.list(name).count == 0, "the list is empty")


async def test_operations_of_the_other_kind_are_refused(gateway, peers, db, name):
    await db.fcall("sg_list_put", name, "k", "a", "0")
    peer = await peers(gateway, tolerant=True)
    await peer.subscribed("list", name)
    await peer.send_text(insert(name, 0, "b"))
    frame = await peer.recv()
    assert frame["func"] == "error" and frame["error_code"] in (6, 8), frame
    await peer.say(item(name, "a", "1"))
    await peer.expect(item(name, "a", "1"))


async def test_a_refused_write_says_nothing_to_others(gateway, peers, db, name):
    await fill(db, name, "abc")
    writer, reader = await peers(gateway, tolerant=True), await peers(gateway)
    await reader.subscribed("list", name)
    for text, code in ((insert(name, 9, "x"), 6), (insert(name, 0, "a"), 4), (delete(name, "zz"), 4), (item(name, "zz", "1"), 4)):
        await writer.send_text(text)
        await writer.expect_error(code, type="list", name=name)
    await writer.say(item(name, "a", "1"))
    await reader.expect(item(name, "a", "1"))
    assert not await reader.fence()


async def test_a_granted_peer_gets_the_frames_of_everyone(gateway, peers, db, name):
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway)
    await peer.subscribed("var", name)
    await peer.say(var(name, "2"))
    await peer.expect(var(name, "2"))
    await db.fcall("sg_var_set", name, "3")
    await peer.expect(var(name, "3"))


async def test_bursts_arrive_whole_or_newest(gateway, peers, db, name):
    """A pipelined burst: every frame applies, and the end is the truth."""
    await db.fcall("sg_var_set", name, "0")
    await fill(db, name, "abcdef")
    views = [await window(gateway, peers, name, page, size) for page, size in ((0, 2), (1, 2), (2, 1), (0, 100), (5, 1))]
    for peer in views:
        await peer.subscribed("var", name)
    commands = []
    for turn in range(200):
        commands += [fcall("sg_list_insert", name, turn % 5, f"n{turn}", turn), fcall("sg_list_set", name, f"n{turn}", -turn),
                     fcall("sg_list_move", name, f"n{turn}", turn % 3)]
        if turn % 2:
            commands.append(fcall("sg_list_delete", name, f"n{turn - 1}"))
    replies = await db.pipeline(commands + [fcall("sg_var_set", name, '"end"')])
    assert not [reply for reply in replies if isinstance(reply, RedisError)]
    total = len(await db.cmd("HKEYS", f"sg:{{{name}}}:h"))
    for peer in views:
        await peer.until(lambda peer=peer: peer.state.value(name) == '"end"', "the end of the burst")
        view = peer.state.list(name)
        size = view.sizes[-1]

        async def slice_():
            page = await db.fcall("sg_list_page", name, view.page, size)
            return [json.loads(item_id) for item_id in page[4::2]]
        wanted = await slice_()
        await peer.until(lambda: [key for _, key in view.ids()] == wanted and view.count == total, f"page {view.page} is {wanted}")
