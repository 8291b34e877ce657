"""SockSync v1 and v2 over the same names at once."""
import asyncio
import json
import random

import pytest

from conftest import write_config

ITEMS = [{"id": "a", "value": 1}, {"id": 7, "value": 2}, {"id": "c", "value": 3}]


@pytest.fixture
def gateway(gateways, tmp_path):
    everything = {verb: ["*"] for verb in ("subscribe", "call", "write", "serve")}
    return gateways.start("--config", write_config(tmp_path / "config.yaml", f"anonymous: {json.dumps(everything)}\n"))


class Version2:
    """What a client of v2 holds of one list, by the book: places only."""

    def __init__(self, raw, name):
        self.raw, self.name, self.items, self.total, self.values = raw, name, None, None, []

    async def follow(self, page_size):
        await self.raw.send(func="subscribe", type="list", name=self.name)
        await self.raw.send(func="get", type="list", name=self.name, page=0, page_size=page_size)
        await self.until(lambda: self.items is not None)

    def apply(self, frame):
        assert frame["type"] == "list" and frame["name"] == self.name and "id" not in frame, frame
        func, index = frame["func"], frame.get("index")
        if func == "set_all":
            self.items, self.total = frame["items"], frame["total_item_count"]
        elif func == "set_count":
            assert frame["total_item_count"] != self.total, "a count that is no news"
            self.total = frame["total_item_count"]
        elif func == "set":
            assert 0 <= index < len(self.items)
            self.items[index] = frame["value"]
        elif func == "delete":
            assert 0 <= index < len(self.items)
            del self.items[index]
        else:
            assert func == "insert" and 0 <= index <= len(self.items), frame
            self.items.insert(index, frame["value"])

    async def until(self, condition):
        while not condition():
            self.apply(json.loads(await self.raw.recv_text()))


async def test_both_on_one_list(gateway, peers, db, name):
    await db.fcall("sg_list_set_all", name, json.dumps(ITEMS))
    one = await peers(gateway)
    two = Version2(await peers.bare(gateway.address, headers={"Sec-WebSocket-Protocol": "socksync.v2"}), name)
    await one.subscribe("list", name)
    await two.follow(100)
    assert two.items == [1, 2, 3]
    # Each writes in its own way, and both hold the same.
    await one.send(func="insert", type="list", name=name, index=0, id="z", value=0)
    await two.until(lambda: two.items == [0, 1, 2, 3])
    await two.raw.send(func="insert", type="list", name=name, index=4, value={"n": 4})
    await two.until(lambda: len(two.items) == 5 and two.total == 5)
    await two.raw.send(func="delete", type="list", name=name, index=1)
    await two.raw.send(func="delete", type="list", name=name, index=1)
    await two.raw.send(func="set", type="list", name=name, index=0, value="first")
    await two.until(lambda: two.items == ["first", 3, {"n": 4}])
    await one.until(lambda: [json.loads(value) for _, value in one.state.list(name).items] == ["first", 3, {"n": 4}], "the writes of the other")
    held = (await db.fcall("sg_list_page", name, 0, 10))[4:]
    ids = [json.loads(item) for item in held[::2]]
    assert ids[:2] == ["z", "c"] and len(set(ids)) == 3, "what came without an id has one of its own"
    await two.raw.send(func="set_all", type="list", name=name, items=[1, 2])
    await two.until(lambda: two.items == [1, 2])
    await one.until(lambda: [value for _, value in one.state.list(name).items] == ["1", "2"], "the new list")


async def test_many_changes_at_once(gateway, peers, db, name):
    """A window of three, random changes in bursts: its places are those of the list."""
    rng, held, fresh = random.Random(5), [], 0
    await db.fcall("sg_list_set_all", name, "[]")
    await db.fcall("sg_list_insert", name, 0, "i0", 0)
    held = [("i0", 0)]
    two = Version2(await peers.bare(gateway.address, headers={"Sec-WebSocket-Protocol": "socksync.v2"}), name)
    await two.follow(3)
    for _ in range(60):
        calls = []
        for _ in range(rng.randrange(1, 6)):
            fresh += 1
            kind = rng.choice(["insert", "insert", "set", "delete"]) if held else "insert"
            at = rng.randrange(len(held) + (kind == "insert"))
            if kind == "insert":
                held.insert(at, (f"i{fresh}", fresh))
                calls.append(("FCALL", "sg_list_insert", 1, name, at, f"i{fresh}", fresh))
            elif kind == "set":
                held[at] = (held[at][0], fresh)
                calls.append(("FCALL", "sg_list_set", 1, name, held[at][0], fresh))
            else:
                calls.append(("FCALL", "sg_list_delete", 1, name, held[at][0]))
                del held[at]
        await db.pipeline(calls)
        await two.until(lambda: two.total == len(held) and two.items == [value for _, value in held[:3]])


async def test_both_call_and_execute(gateway, peers, name):
    two = await peers.bare(gateway.address, headers={"Sec-WebSocket-Protocol": "socksync.v2"})
    await two.send(func="subscribe", type="function", name=name)
    assert json.loads(await two.recv_text()) == {"func": "subscribe", "type": "function", "name": name}
    one = await peers.bare(gateway.address)
    assert json.loads(await one.recv_text()) == {"func": "subscribe", "type": "function", "name": name}
    await one.send(func="call", type="function", name=name, id="x", args={"a": 1})
    call = json.loads(await two.recv_text())
    assert (call["func"], call["args"]) == ("call", {"a": 1})
    await two.send(func="error", type="function", name=name, id=call["id"], error_code=4, message="a field")
    failed = json.loads(await one.recv_text())
    assert (failed["error_code"], failed["message"], failed["id"]) == (5, "a field", "x"), "a missing field is 5 in v1"


async def test_metrics_tell_them_apart(gateway, peers):
    await peers.bare(gateway.address)
    for _ in range(2):
        await peers.bare(gateway.address, path="/ws/socksync/v2")
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics['syncgate_connections{protocol="socksync",state="open"}'] == 1
    assert metrics['syncgate_connections{protocol="socksync2",state="open"}'] == 2
