"""What the page shows under --dev: there from the start, moving, and never in the way of what somebody wrote."""
import re

import pytest

TIME = re.compile(r'^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"$')
NAMES = [("var", "demo:clock"), ("var", "demo:slider"), ("var", "demo:text"), ("list", "demo:todo")]


@pytest.fixture
def start(gateways, name):
    """Starts gateways that have the names to themselves."""
    return lambda dev=True: gateways.start("--prefix", f"{name}:", dev=dev)


@pytest.fixture
def fcall(db, name):
    return lambda function, key, *args: db.fcall(function, f"{name}:{{{key}}}", *args)


async def open_page(peer):
    for kind, name in NAMES:
        await peer.subscribed(kind, name)


async def test_a_first_visit_sees_something(start, peers):
    gateway = start()
    peer = await peers(gateway)
    await open_page(peer)
    assert not [frame for frame in peer.frames if frame["func"] == "error"]
    await peer.until(lambda: TIME.match(peer.state.value("demo:clock")), "the clock")
    await peer.until(lambda: peer.state.value("demo:slider") == "42" and peer.state.value("demo:text") != "null", "the variables")
    await peer.until(lambda: peer.state.list("demo:todo").count == 12, "the list")
    seen = peer.state.value("demo:clock")
    await peer.until(lambda: peer.state.value("demo:clock") != seen, "the clock moves")


async def test_what_somebody_wrote_stays(start, peers, fcall):
    await fcall("sg_var_set", "demo:clock", '"mine"')
    await fcall("sg_var_set", "demo:text", "1")
    await fcall("sg_var_delete", "demo:text")
    await fcall("sg_list_set_all", "demo:todo", "[]")
    gateway = start()
    peer = await peers(gateway)
    await open_page(peer)
    await peer.until(lambda: peer.state.value("demo:slider") == "42", "the one that was not there")
    await fcall("sg_var_set", "demo:slider", "43")
    await peer.until(lambda: peer.state.value("demo:slider") == "43", "it is theirs from now on")
    assert (await fcall("sg_var_get", "demo:clock"))[1] == b'"mine"'
    assert await fcall("sg_var_get", "demo:text") is None
    assert peer.state.list("demo:todo").count == 0


async def test_nobody_looks_and_nothing_is_made(start, peers, fcall):
    gateway = start()
    peer = await peers(gateway)
    await peer.subscribed("var", "demo:clock")
    await peer.until(lambda: TIME.match(peer.state.value("demo:clock")), "the clock")
    assert await fcall("sg_var_get", "demo:slider") is None
    assert await fcall("sg_list_page", "demo:todo", 0, 10) is None


async def test_several_gateways_make_it_once(start, peers):
    first, second = start(), start()
    one, other = await peers(first), await peers(second)
    await open_page(one)
    await open_page(other)
    for peer in (one, other):
        await peer.until(lambda: peer.state.list("demo:todo").count == 12, "the list")
        seen = peer.state.value("demo:clock")
        await peer.until(lambda: peer.state.value("demo:clock") not in ("null", seen), "the clock")


async def test_in_production_there_is_no_demo(start, peers):
    gateway = start(dev=False)
    peer = await peers(gateway)
    peer.state.excuse("var", "demo:clock", None, 3)
    await peer.subscribe("var", "demo:clock")
    await peer.expect_error(3, type="var", name="demo:clock")
