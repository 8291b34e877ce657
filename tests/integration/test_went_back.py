"""Redis forgets names while the link stays up (FLUSHALL, DEL, eviction, a tombstone that expired) and gets new writes, whose
revisions begin anew: everybody holds the new state as soon as the first of them is heard, whatever the revisions are.

The sweep is far away in all of these.
"""
import pytest

from gateway import until
from resp import fcall

CALM = ("--sweep-interval", "1h")


@pytest.fixture
def gateway(gateways):
    return gateways.start(*CALM)


def ids(peer, name):
    return [key for _, key in peer.state.list(name).ids()]


async def holds(peer, name, *expected):
    await peer.until(lambda: ids(peer, name) == list(expected), lambda: f"{name} is {expected}, not {ids(peer, name)}")


async def at_last(peer, name, value):
    await peer.until(lambda: peer.state.value(name) == value, lambda: f"{name} is {value}, not {peer.state.value(name)}")


async def newcomer_holds(peers, gateway, list_name, items, var_name, value):
    peer = await peers(gateway)
    await peer.subscribed("list", list_name)
    await holds(peer, list_name, *items)
    assert (await peer.subscribed("var", var_name))["value"] == value


def reads_back(gateway):
    return gateway.metrics()['syncgate_redis_reads_total{reason="back"}']


async def flush(db, _name):
    await db.cmd("FLUSHALL")


async def delete(db, name):
    """At once: what has half of its keys is damaged, which is another story."""
    await db.cmd("DEL", *(f"sg:{{{name}}}:{part}" for part in ("l", "h", "m", "v")))


async def expire(db, name):
    """It is deleted by its functions, and a day goes by."""
    await db.fcall("sg_list_drop", name)
    await db.fcall("sg_var_delete", name)
    for part in ("m", "v"):
        assert await db.cmd("TTL", f"sg:{{{name}}}:{part}") > 0
        await db.cmd("PEXPIRE", f"sg:{{{name}}}:{part}", 1)
        await until(lambda part=part: no_key(db, f"sg:{{{name}}}:{part}"), "the tombstone expired")


async def no_key(db, key):
    return await db.cmd("EXISTS", key) == 0


FORGET = pytest.mark.parametrize("forget", [flush, delete, expire])


@FORGET
@pytest.mark.parametrize("more", [0, 1, 2, 5], ids=lambda more: f"{more} more")
async def test_new_writes_count(gateway, peers, db, name, forget, more):
    """Old revisions are 2 of the list and 1 of the variable (3 and 2 after their end); new ones are lower, equal and higher."""
    await db.fcall("sg_list_insert", name, -1, "a", "1")
    await db.fcall("sg_list_insert", name, -1, "b", "1")
    await db.fcall("sg_var_set", name, '"old"')
    peer, item = await peers(gateway), await peers(gateway)
    await peer.subscribed("list", name)
    await peer.subscribed("var", name)
    await item.subscribe("list", name, id="b")
    await item.recv()
    await forget(db, name)
    new = ["x"] + [f"y{number}" for number in range(more)]
    await db.pipeline([fcall("sg_list_insert", name, -1, letter, "2") for letter in new]
                      + [fcall("sg_var_set", name, f'"new {number}"') for number in range(more + 1)])
    await holds(peer, name, *new)
    await at_last(peer, name, f'"new {more}"')
    await item.until(lambda: item.state.item(name, "b") is None, "b is gone")
    await newcomer_holds(peers, gateway, name, new, name, f"new {more}")
    await db.fcall("sg_list_insert", name, 0, "z", "3")
    await db.fcall("sg_var_set", name, '"last"')
    await holds(peer, name, "z", *new)
    await at_last(peer, name, '"last"')
    await newcomer_holds(peers, gateway, name, ["z", *new], name, "last")
    assert not peer.state.errors and not item.state.errors
    reads = reads_back(gateway)
    assert 1 <= reads <= 2, f"{reads} reads for one list and one variable"


async def test_the_same_item_with_another_value(gateway, peers, db, name):
    """An item that is watched lives on in the new life, at the revision of the old one."""
    await db.fcall("sg_list_insert", name, 0, "a", "1")
    await db.fcall("sg_list_set", name, "a", "2")
    item = await peers(gateway)
    await item.subscribe("list", name, id="a")
    await item.recv()
    await db.cmd("FLUSHALL")
    await db.pipeline([fcall("sg_list_insert", name, 0, "b", "3"), fcall("sg_list_insert", name, 0, "a", "4")])
    await item.until(lambda: item.state.item(name, "a") == "4", "a is 4")
    await db.fcall("sg_list_set", name, "a", "5")
    await item.until(lambda: item.state.item(name, "a") == "5", "a is 5")
    await db.fcall("sg_list_delete", name, "a")
    await item.until(lambda: item.state.item(name, "a") is None, "a is gone")


async def test_again_and_again(gateway, peers, db, name):
    """Redis goes back time after time, and nobody passes through a state that never was."""
    peer = await peers(gateway)
    await db.fcall("sg_list_insert", name, -1, "first", "1")
    await peer.subscribed("list", name)
    for turn in range(30):
        await delete(db, name)
        await db.pipeline([fcall("sg_list_insert", name, -1, f"{turn}.{number}", "1") for number in range(turn % 4 + 1)])
        if turn % 3 == 0:
            await holds(peer, name, *(f"{turn}.{number}" for number in range(turn % 4 + 1)))
    await holds(peer, name, "29.0", "29.1")


async def test_made_up_events_cost_little(gateway, peers, db, name):
    """Whoever may publish can claim that Redis went back as often as he likes: reads are paced, and real changes arrive."""
    await db.pipeline([fcall("sg_var_set", name, number) for number in range(5)])
    peer = await peers(gateway)
    await peer.subscribed("var", name)
    times = 200
    for _ in range(times):
        await db.pipeline([("SPUBLISH", f"sg:{{{name}}}", "vs 1 0")] * 10)
        reads_back(gateway)  # the gateway has had its turn
    await db.fcall("sg_var_set", name, '"true"')
    await at_last(peer, name, '"true"')
    assert 1 <= reads_back(gateway) < times / 2, "as many reads as lies"
