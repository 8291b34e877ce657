"""Variables, lists and pipelines against a real Redis, with both kinds of gate."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import redis
from conftest import Both
from test_library import Channel

from syncgate import (
    Busy, Changes, Conflict, Exists, Item, NotFound, OutOfRange, Page, PipelineError, Raw, Snapshot, SyncGate, TooLarge, WrongKind,
)  # fmt: skip
from syncgate.errors import Damaged


def test_variable(either: Any) -> None:
    async def test(both: Both) -> None:
        var = both.gate.var("price")
        assert await both(var.get()) is None
        assert await both(var.get(7)) == 7
        assert await both(var.read()) is None
        assert await both(var.delete()) is False
        assert await both(var.set({"usd": 5}, if_revision=0)) == 1
        with pytest.raises(Conflict) as conflict:
            await both(var.set(1, if_revision=0))
        assert (conflict.value.expected, conflict.value.found) == (0, 1)
        assert await both(var.read()) == Snapshot(1, {"usd": 5})
        assert await both(var.set(Raw("5.00"))) == 2
        assert await both(var.get(raw=True)) == "5.00"
        assert await both(var.set(None)) == 3
        assert await both(var.get(5)) is None
        assert await both(var.delete()) is True

    either(test)


def test_update(either: Any) -> None:
    async def test(both: Both) -> None:
        var, calls = both.gate.var("n"), 0
        assert await both(var.update(lambda n: n + 1, default=0)) == (1, 1)

        def disturbed(n: int) -> int:
            nonlocal calls
            calls += 1
            if calls < 3:
                with SyncGate.from_url(str(both.gate.source)) as other:
                    other.var("n").set(10 * calls)
            return n + 1

        assert await both(var.update(disturbed)) == (4, 21)
        with pytest.raises(Conflict):
            calls = -100
            await both(var.update(disturbed, tries=2))

    either(test)


def test_threads_update_one_variable(gate: SyncGate) -> None:
    def work() -> None:
        for _ in range(50):
            gate.var("n").update(lambda n: n + 1, default=0, tries=1000)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gate.var("n").get() == 200


def test_positional_list(either: Any) -> None:
    async def test(both: Both) -> None:
        todo = both.gate.list("todo")
        assert await both(todo.page()) == Page([], 0, 0, 0, 100, 0)
        assert await both(todo.append("7", 1)) == 1
        assert await both(todo.append(7, {"b": 2})) == 2
        assert await both(todo.insert(0, "x", 3)) == 3
        with pytest.raises(Exists):
            await both(todo.append("x", 3))
        with pytest.raises(OutOfRange):
            await both(todo.insert(9, "y", 3))
        with pytest.raises(IndexError):
            await both(todo.move("x", 9))
        with pytest.raises(WrongKind):
            await both(todo.put("a", "z", 3))
        assert await both(todo.move("x", -1)) == 4
        assert await both(todo.read(7)) == Item(7, {"b": 2}, 1, 4)
        assert await both(todo.get("x")) == 3 and await both(todo.get("none", 9)) == 9
        assert await both(todo.read("none")) is None
        assert await both(todo.set(7, None)) == 5
        with pytest.raises(NotFound):
            await both(todo.set("none", 1))
        with pytest.raises(LookupError):
            await both(todo.delete("none"))
        assert await both(todo.discard("none")) is False and await both(todo.discard("7")) is True
        assert await both(todo.page(5, 1)) == Page([Item("x", 3, 1, 6)], 2, 1, 2, 1, 6)
        assert [item.id for item in await both(todo.all())] == [7, "x"]
        assert await both(todo.drop()) is True and await both(todo.drop()) is False

    either(test)


def test_sorted_list_and_since(either: Any) -> None:
    async def test(both: Both) -> None:
        scores = both.gate.list("scores")
        assert await both(scores.put("b", 1, "one", since=0)) == 1
        assert await both(scores.put(b"a\0\1\xff", 2, "two", since=1)) == 2
        assert [item.id for item in await both(scores.all())] == [2, 1]
        with pytest.raises(Conflict) as conflict:
            await both(scores.put("b", 2, "x", since=1))
        assert (conflict.value.expected, conflict.value.found) == (1, 2)
        for change in (lambda: scores.set(2, "x", since=1), lambda: scores.delete(2, since=0)):
            with pytest.raises(Conflict):
                await both(change())
        assert await both(scores.set(2, "two", since=2)) == 2, "equal: nothing happens"
        assert await both(scores.delete(9, since=2)) == 2
        assert await both(scores.delete(2, since=2)) == 3
        with pytest.raises(Conflict):
            await both(scores.put("a", 2, "x", since=2))
        with pytest.raises(WrongKind):
            await both(scores.append(5, 1))

    either(test)


def test_since_of_a_positional_list(either: Any) -> None:
    async def test(both: Both) -> None:
        rows = both.gate.list("rows")
        assert await both(rows.append(1, 1, since=0)) == 1
        for change in (lambda: rows.move(1, 0, since=0), lambda: rows.insert(0, 1, 1, since=0), lambda: rows.append(1, 1, since=0)):
            with pytest.raises(Conflict):
                await both(change())
        assert await both(rows.move(1, 0, since=1)) == 2

    either(test)


def test_set_all(either: Any) -> None:
    async def test(both: Both) -> None:
        items = both.gate.list("items")
        assert await both(items.set_all((number, {"n": number}) for number in range(5))) == 1
        assert [item.value["n"] for item in await both(items.all())] == list(range(5))
        assert await both(items.set_all([])) == 2
        assert await both(items.set_all([("a", 1, "z"), ("b", 2, "a\"\\")])) == 3
        assert [item.id for item in await both(items.all())] == ["b", "a"]
        with pytest.raises(WrongKind):
            await both(items.set_all([("a", 1)]))
        with pytest.raises(TooLarge):
            await both(items.set_all((number, "x" * 8_000_000) for number in range(9)))

    either(test)


def test_iterating(either: Any) -> None:
    async def test(both: Both) -> None:
        rows = both.gate.list("rows")
        await both(rows.set_all((number, number) for number in range(2500)))
        if isinstance(both.gate, SyncGate):
            plain = both.gate.list("rows")
            found = [item.id for item in plain]
            assert len(plain) == 2500 and plain
        else:
            found = [item.id async for item in both.gate.list("rows")]
            assert await both.gate.list("rows").count() == 2500
        assert found == list(range(2500))
        assert await both(rows.all()) == [Item(number, number, number, 1) for number in range(2500)]

    either(test)


def test_no_id_comes_twice(gate: SyncGate) -> None:
    rows = gate.list("rows")
    rows.set_all((number, number) for number in range(1500))
    seen = []
    for item in rows:
        if item.id == 999:
            rows.insert(0, "new", 0)
        seen.append(item.id)
    assert len(seen) == len(set(seen)) and set(range(1500)) <= set(seen)


def test_all_gives_up(gate: SyncGate) -> None:
    gate.list("rows").set_all((number, number) for number in range(10001))

    def decode(text: bytes) -> Any:
        if text == b"5":
            gate.list("rows").set(0, 0)
        return 0

    with SyncGate(redis.Redis(unix_socket_path=str(gate.source)[7:]), decode=decode) as other, pytest.raises(Busy):
        other.list("rows").all()


# --- replace ---


def test_replace_against_random_lists(either: Any) -> None:
    async def test(both: Both) -> None:
        rng = random.Random(1)
        for kind in ("positional", "sorted"):
            rows = both.gate.list(kind)
            for _ in range(60):
                ids = rng.sample(range(30), rng.randrange(30))
                wanted: list[Any] = [(number, rng.randrange(3)) for number in ids]
                if kind == "sorted":
                    wanted = [(number, value, rng.choice(["a", "b", b"c", b"\0", b"\1\1"])) for number, value in wanted]
                before = {item.id: item for item in await both(rows.all())}
                changes = await both(rows.replace(wanted, chunk=rng.choice([1, 7, 1000])))
                after = await both(rows.all())
                if kind == "sorted":
                    wanted.sort(key=lambda item: (item[2] if isinstance(item[2], bytes) else item[2].encode(), str(item[0])))
                assert [(item.id, item.value) for item in after] == [(item[0], item[1]) for item in wanted]
                assert changes.added == len(set(ids) - set(before)) and changes.removed == len(set(before) - set(ids))
                assert changes.added + changes.changed + changes.moved + changes.unchanged == len(wanted)
                assert await both(rows.replace(wanted)) == Changes(0, 0, 0, 0, len(wanted))

    either(test)


def test_replace_by_nearly_the_same(server: Any, gate: SyncGate) -> None:
    """Acceptance 7."""
    rows = [(number, {"n": number}, f"{number:08}") for number in range(100_000)]
    steps: list[tuple[int, int]] = []
    gate.list("rows").replace(rows, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(done, 100_000) for done in range(1000, 100_001, 1000)]
    channel = Channel(server, "sg:{rows}")
    rows[77] = (77, {"n": -1}, "00000077")
    assert gate.list("rows").replace(rows) == Changes(0, 1, 0, 0, 99_999)
    events = channel.take()
    assert len(events) == 1 and events[0].startswith(b"ls 100001 77 100000 ")
    channel.close()


def test_replace_moves_as_little_as_it_can(gate: SyncGate) -> None:
    rows = gate.list("rows")
    rows.set_all((number, 0) for number in range(100))
    order = [99, *range(99)]
    assert rows.replace([(number, 0) for number in order]) == Changes(0, 0, 1, 0, 99)
    order.reverse()
    assert rows.replace([(number, 5) for number in order]) == Changes(0, 1, 99, 0, 0)


def test_replace_while_others_write(gate: SyncGate) -> None:
    """What others change meanwhile does not stay."""
    rows = gate.list("rows")
    wanted = [(number, 0) for number in range(500)]
    left = 3

    def disturb(done: int, total: int) -> None:
        nonlocal left
        if left and done < total:
            left -= 1
            rows.insert(0, f"other {left}", 0)
            rows.move(5, 0)
            rows.discard(7)

    rows.replace(wanted, chunk=100, on_progress=disturb)
    assert [(item.id, item.value) for item in rows.all()] == wanted and left == 0


def test_replace_of_the_other_kind(gate: SyncGate) -> None:
    gate.list("rows").append(1, 1)
    with pytest.raises(WrongKind):
        gate.list("rows").replace([(2, 2, "a")])
    assert len(gate.list("rows")) == 1
    gate.list("scores").put("a", 1, 1)
    with pytest.raises(WrongKind):
        gate.list("scores").replace([(1, 1)])
    assert gate.list("scores").replace([]) == Changes(0, 0, 0, 1, 0)


# --- pipelines ---


async def fill(both: Both, fn: Any, **options: Any) -> Any:
    if isinstance(both.gate, SyncGate):
        with both.gate.pipeline(**options) as pipeline:
            made = fn(pipeline)
    else:
        async with both.gate.pipeline(**options) as pipeline:
            made = fn(pipeline)
    return made


def test_pipeline(either: Any) -> None:
    """Acceptance 5."""

    async def test(both: Both) -> None:
        def work(pipeline: Any) -> Any:
            made = pipeline.var("a").set(1), pipeline.list("b").delete("zz"), pipeline.var("c").set(3)
            with pytest.raises(RuntimeError):
                made[0].result()
            return made

        with pytest.raises(PipelineError) as failure:
            await fill(both, work)
        assert [type(result) for result in failure.value.results] == [int, NotFound, int]
        assert await both(both.gate.var("a").get()) == 1 and await both(both.gate.var("c").get()) == 3
        one, two, three = await fill(both, work, raise_errors=False)
        assert one.result() == three.result() == 2
        with pytest.raises(NotFound):
            two.result()
        reads = await fill(both, lambda pipeline: (pipeline.var("a").get(), pipeline.var("a").read(), pipeline.list("l").page(), pipeline.list("l").count()))
        assert [read.result() for read in reads] == [1, Snapshot(2, 1), Page(size=100), 0]

    either(test)


def test_pipeline_that_is_left_by_an_exception(either: Any) -> None:
    """Acceptance 6."""

    async def test(both: Both) -> None:
        def work(pipeline: Any) -> None:
            pipeline.var("a").set(1)
            raise KeyError("mine")

        with pytest.raises(KeyError):
            await fill(both, work)
        assert await both(both.gate.var("a").get()) is None

    either(test)


def test_large_pipeline(gate: SyncGate, server: Any) -> None:
    """In pieces; beyond 100 000 operations failures alone are kept."""
    with pytest.raises(PipelineError) as failure:
        with gate.pipeline() as pipeline:
            for number in range(100_005):
                pipeline.var("n").set(number, if_revision=None if number != 100_001 else 5)
                if number % 20_000 == 0:
                    pipeline.send()
    results = failure.value.results
    assert isinstance(results, dict) and list(results) == [100_001] and isinstance(results[100_001], Conflict)
    assert gate.var("n").read() == Snapshot(100_004, 100_004)
    with gate.pipeline() as pipeline:
        for number in range(5):
            pipeline.var(f"big{number}").set("x" * 4_000_000)
    assert len(gate.var("big4").get()) == 4_000_000


def test_operations_of_one_name_happen_in_order(gate: SyncGate) -> None:
    with gate.pipeline() as pipeline:
        answers = [pipeline.list("l").append(number, number) for number in range(3000)]
    assert [answer.result() for answer in answers] == list(range(1, 3001))
    assert [item.id for item in gate.list("l").all()] == list(range(3000))


# --- other clients, other servers ---


@pytest.mark.parametrize("decode", [False, True])
def test_an_existing_client(server: Any, url: str, decode: bool) -> None:
    with server.client(decode_responses=decode) as client, SyncGate(client, prefix="acme:") as gate:
        assert gate.var("ü").set("ä") == 1 and gate.var("ü").read() == Snapshot(1, "ä")
        gate.list("l").append("ü", 1)
        assert gate.list("l").all() == [Item("ü", 1, 0, 1)]
        assert client.exists("acme:{ü}:v")
        with pytest.raises(NotFound):
            gate.list("l").delete(5)
        gate.close()
        assert client.ping() and gate.var("ü").get() == "ä"


def test_damage_is_told(gate: SyncGate, server: Any) -> None:
    with server.client() as client:
        client.set("sg:{a}:v", "x")
    with pytest.raises(Damaged):
        gate.var("a").get()
    assert gate.var("a").set(1) == 1
