"""What happens within one turn of the gateway's loop: changes are told together, in one write, and still in the order in which
Redis applied them. MULTI makes sure that they arrive together.
"""
import pytest

from peer import Closed, dumps, raw_dumps
from resp import fcall


async def at_once(db, *commands):
    replies = await db.pipeline([("MULTI",), *commands, ("EXEC",)])
    assert len(replies[-1]) == len(commands), replies


def told(peer):
    """(name, text of the value) of every variable frame that was not taken, in order."""
    return [(frame["name"], frame.raw["value"]) for frame in peer.take("set") if frame["type"] == "var"]


async def test_every_change_of_a_turn_arrives_in_order(gateways, peers, db, name):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    all_of_them = [await peers(gateway) for _ in range(3)]
    for peer in all_of_them:
        await peer.subscribed("var", name)
    before = await gateway.metric("syncgate_writes_total")
    changes = [fcall("sg_var_set", name, n) for n in range(1, 200)]
    changes[100:100] = [fcall("sg_var_delete", name)]
    await at_once(db, *changes)
    wanted = [(name, str(n)) for n in range(1, 101)] + [(name, "null")] + [(name, str(n)) for n in range(101, 200)]
    for peer in all_of_them:
        await peer.until(lambda peer=peer: len(peer.frames) == 200, "all of it")
        assert told(peer) == wanted
    assert await gateway.metric("syncgate_writes_total") - before < 200 * 3


@pytest.mark.parametrize("size, count", [(10, 30), (3000, 30), (40000, 3)])
async def test_long_values_of_a_turn(gateways, peers, db, name, size, count):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    peer = await peers(gateway)
    await peer.subscribed("var", name)
    values = [f'"{n}{"x" * size}"' for n in range(count)]
    await at_once(db, *(fcall("sg_var_set", name, value) for value in values))
    await peer.until(lambda: len(peer.frames) == count, "all of it")
    assert told(peer) == [(name, value) for value in values]


async def test_changes_of_several_names_keep_their_order(gateways, peers, db, name):
    gateway = gateways.start()
    names = [f"{name}a", f"{name}b"]
    peer = await peers(gateway)
    for one in names:
        await db.fcall("sg_var_set", one, "0")
        await peer.subscribed("var", one)
    await db.fcall("sg_list_insert", f"{name}l", 0, "x", "0")
    await peer.subscribed("list", f"{name}l")
    order = [0, 0, 1, 0, 1, 1, 1, 0, 0]
    await at_once(db, *(fcall("sg_var_set", names[which], number) for number, which in enumerate(order)),
                  fcall("sg_list_set", f"{name}l", "x", "9"), fcall("sg_var_set", names[0], "9"))
    await peer.until(lambda: len(peer.frames) == len(order) + 2, "all of it")
    assert [frame["type"] for frame in peer.frames][-2:] == ["list", "var"]
    assert told(peer) == [(names[which], str(number)) for number, which in enumerate(order)] + [(names[0], "9")]


async def test_an_answer_comes_after_what_happened_before(gateways, peers, db, name):
    """An executor writes and then returns: the caller sees the change first."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    executor, caller = await peers(gateway), await peers(gateway)
    await caller.subscribed("var", name)

    async def work(peer, frame):
        for number in range(1, 6):
            await peer.say(raw_dumps(func='"set"', type='"var"', name=f'"{name}"', value=str(number)))
        await peer.say(raw_dumps(func='"return"', type='"function"', name=frame.raw["name"], id=frame.raw["id"], value="1"))

    await executor.serve(f"{name}.work", work)
    await caller.offered(f"{name}.work")
    for number in range(20):
        caller.take()
        await caller.call(f"{name}.work", str(number))
        frames = [frame["func"] for frame in caller.frames]
        assert frames == ["set"] * 5 + ["return"], frames


async def test_who_joins_gets_the_newest_and_then_nothing_older(gateways, peers, db, name):
    """The gateway stands still while both the changes and the subscription arrive, so that it finds them in one turn."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    first = await peers(gateway)
    await first.subscribed("var", name)
    joining = [await peers(gateway) for _ in range(5)]
    for number, peer in enumerate(joining, 1):
        gateway.freeze()
        await at_once(db, *(fcall("sg_var_set", name, 40 * number - n) for n in range(39, -1, -1)))
        await peer.subscribe("var", name)
        gateway.thaw()
        await peer.until(lambda peer=peer: peer.frames, "the snapshot")
        await first.until(lambda newest=str(40 * number): first.state.value(name) == newest, "the last one")
    await db.fcall("sg_var_set", name, "201")
    for number, peer in enumerate(joining, 1):
        await peer.until(lambda peer=peer: peer.state.value(name) == "201", "the last one")
        assert [int(value) for _, value in told(peer)] == list(range(40 * number, 202))
    assert [int(value) for _, value in told(first)] == list(range(1, 202))


async def test_a_limited_subscriber_is_told_the_newest_of_a_turn(gateways, peers, db, name):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    every, few = await peers(gateway), await peers(gateway)
    await every.subscribed("var", name)
    await few.say(dumps(func="subscribe", type="var", name=name, max_rate=1000))
    await few.until(lambda: few.frames, "the snapshot")
    few.take()
    await at_once(db, *(fcall("sg_var_set", name, n) for n in range(1, 51)))
    await every.until(lambda: len(every.frames) == 50, "every change")
    await few.until(lambda: few.state.value(name) == "50", "the newest")
    assert len(told(few)) < 50
    assert await gateway.metric("syncgate_conflated_total") > 0


async def test_nothing_follows_a_close_frame(gateways, peers, db, name):
    """libwebsockets closes by itself when a frame is malformed, and waits for the peer's answer: changes go on meanwhile."""
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    broken, witness = await peers.bare(gateway.address), await peers(gateway)
    await broken.send(func="subscribe", type="var", name=name)
    while '"value":0' not in await broken.recv_text():
        pass
    await witness.subscribed("var", name)
    await broken.send_frame(3)  # no such opcode
    with pytest.raises(Closed) as closed:
        while True:
            await broken.recv_text()
    assert closed.value.code == 1002
    for number in range(1, 11):
        await db.fcall("sg_var_set", name, number)
        await witness.until(lambda number=number: witness.state.value(name) == str(number), "the change")
    await broken.send_frame(broken.CLOSE, b"\x03\xea")
    with pytest.raises(Closed) as ended:
        await broken.recv_frame()
    assert ended.value.code == 1006  # the end, and no frame before it
