"""`max_rate`: a subscriber that asks for few updates gets few, always applicable ones, and ends with the newest state."""
import pytest

from peer import dumps


async def subscribe(peer, kind, name, rate, **fields):
    await peer.say(dumps(func="subscribe", type=kind, name=name, max_rate=rate, **fields))


def updates(peer, kind, name):
    return [frame for frame in peer.frames if frame.get("type") == kind and frame.get("name") == name and frame["func"] != "subscribe"]


async def test_a_variable_is_told_rarely_and_ends_right(gateways, peers, db, name):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    fast, slow = await peers(gateway), await peers(gateway)
    await fast.subscribed("var", name)
    await subscribe(slow, "var", name, 5)
    await slow.until(lambda: slow.state.value(name) == "0", "the snapshot")
    for number in range(1, 301):
        await db.fcall("sg_var_set", name, str(number))
    await fast.until(lambda: fast.state.value(name) == "300", "every change")
    await slow.until(lambda: slow.state.value(name) == "300", "the newest")
    assert len({frame.raw["value"] for frame in updates(fast, "var", name)} - {"0"}) == 300
    assert len(updates(slow, "var", name)) < 300
    assert await gateway.metric("syncgate_conflated_total") > 0


async def test_a_list_is_told_rarely_and_ends_right(gateways, peers, db, name):
    gateway = gateways.start()
    for number in range(6):
        await db.fcall("sg_list_insert", name, -1, f"i{number}", str(number))
    peer = await peers(gateway)
    await subscribe(peer, "list", name, 4)
    await peer.until(lambda: name in [key[1] for key in peer.state.subscriptions] and peer.state.list(name).count == 6, "the snapshot")
    for number in range(6, 206):
        await db.fcall("sg_list_insert", name, 0, f"i{number}", str(number))
        await db.fcall("sg_list_delete", name, f"i{number - 6}")
    await peer.until(lambda: [raw for _, raw in peer.state.list(name).items] == [str(n) for n in range(205, 199, -1)], "the newest six")
    assert len(updates(peer, "list", name)) < 200


async def test_an_item_is_told_rarely_and_its_end_at_last(gateways, peers, db, name):
    gateway = gateways.start()
    await db.fcall("sg_list_insert", name, 0, "a", "0")
    peer = await peers(gateway)
    await subscribe(peer, "list", name, 4, id="a")
    await peer.until(lambda: updates(peer, "list", name), "the snapshot")
    for number in range(1, 101):
        await db.fcall("sg_list_set", name, "a", str(number))
    await db.fcall("sg_list_delete", name, "a")
    await peer.until(lambda: updates(peer, "list", name)[-1]["func"] == "delete", "the end")
    assert len(updates(peer, "list", name)) < 100


@pytest.mark.parametrize("rate", [0, -1, "fast", True, [1]])
async def test_anything_else_is_error_6(gateways, peers, db, name, rate):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    peer = await peers(gateway, tolerant=True)
    await subscribe(peer, "var", name, rate)
    await peer.expect_error(6, type="var", name=name)


async def test_subscribing_again_lifts_it(gateways, peers, db, name):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "0")
    peer = await peers(gateway)
    await subscribe(peer, "var", name, 0.001)
    await peer.until(lambda: peer.state.value(name) == "0", "the snapshot")
    await peer.subscribe("var", name)
    await peer.fence()
    for number in range(1, 21):
        await db.fcall("sg_var_set", name, str(number))
    await peer.until(lambda: peer.state.value(name) == "20", "the newest")
    assert {frame.raw["value"] for frame in updates(peer, "var", name)} == {str(number) for number in range(1, 21)}
