"""`replace`: makes a list equal to given items by the fewest changes, in pieces, whatever its size and whoever else writes."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Callable, Iterable

from .errors import Busy, Conflict, Exists, InvalidId, NotFound, OutOfRange, WrongKind
from .jsontext import id_text, sort_text
from .ops import Codec, Many, Op, Steps, call, number, split_item
from .results import Changes

ROUNDS = 10
PAGE = 1000
Progress = Callable[[int, int], None]
# id as JSON text -> value as JSON text, sort key (None: positional)
Wanted = dict[bytes, tuple[bytes, "bytes | None"]]


class _Held:
    """A list as it was read: ids in order, values, and the sort keys of a sorted one."""

    def __init__(self) -> None:
        self.revision = 0
        self.values: dict[bytes, bytes] = {}
        self.sorts: dict[bytes, bytes] = {}


def _wanted(codec: Codec, items: Iterable[Any]) -> Wanted:
    wanted: Wanted = {}
    kinds = set()
    for given in items:
        item, value, sort = split_item(given)
        name = id_text(item)
        if name in wanted:
            raise InvalidId(f"two items have the id {item!r}")
        wanted[name] = (codec.encode(value), None if sort is None else sort_text(sort))
        kinds.add(sort is None)
    if len(kinds) > 1:
        raise ValueError("either every item has a sort key or none")
    return wanted


def _stored_id(member: bytes) -> bytes:
    """The JSON text of the id in a member of the list's order."""
    return member[1:] if member[:1] == b"i" else id_text(member[1:].decode())


def _unescape(key: bytes) -> bytes:
    return key.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1") if b"\1" in key else key


def _read(key: bytes, is_sorted: bool | None) -> Steps[_Held]:
    held = _Held()
    page = 0
    while True:
        ops: list[Op[Any]] = [call("sg_list_page", key, (b"%d" % page, b"%d" % PAGE), lambda reply: reply, read=True)]
        if is_sorted:
            first = b"%d" % (page * PAGE)
            ops.append(Op((b"ZRANGE", key + b":l", first, b"%d" % (page * PAGE + PAGE - 1)), key, lambda reply: reply, True))
        if page == 0:
            ops.append(Op((b"HGET", key + b":m", b"k"), key, lambda reply: reply, True))
        answers: list[Any] = yield Many(ops)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        reply = answers[0]
        if reply is None:
            return held
        if page == 0:
            held.revision = int(reply[0])
            kind = None if is_sorted is None or int(reply[1]) == 0 else answers[-1]
            if kind is not None and (kind == b"s") != is_sorted:
                raise WrongKind("the list is sorted: items need sort keys" if kind == b"s" else "the list is positional: items have no sort keys")
        if int(reply[2]) == page:
            for at in range(4, len(reply), 2):
                held.values[bytes(reply[at])] = reply[at + 1]
        if is_sorted:
            for member in answers[1]:
                sort, _, name = member.partition(b"\0")
                held.sorts[_stored_id(name)] = _unescape(sort)
        page += 1
        if page * PAGE >= int(reply[1]):
            return held


def _stay(order: list[int]) -> set[int]:
    """Places in `order` whose numbers form a longest rising sequence."""
    tails: list[int] = []
    ends: list[int] = []
    before = [-1] * len(order)
    for place, value in enumerate(order):
        at = bisect_left(tails, value)
        before[place] = ends[at - 1] if at else -1
        if at == len(tails):
            tails.append(value)
            ends.append(place)
        else:
            tails[at] = value
            ends[at] = place
    chosen: set[int] = set()
    place = ends[-1] if ends else -1
    while place >= 0:
        chosen.add(place)
        place = before[place]
    return chosen


class _Counts:
    """How many items stand in the places before one: a Fenwick tree."""

    def __init__(self, size: int) -> None:
        self.tree = [0] * (size + 1)

    def add(self, place: int, amount: int) -> None:
        place += 1
        while place < len(self.tree):
            self.tree[place] += amount
            place += place & -place

    def through(self, place: int) -> int:
        total = 0
        place += 1
        while place > 0:
            total += self.tree[place]
            place -= place & -place
        return total


class _Plan:
    """The writes of one round, each with what it counts as."""

    def __init__(self, key: bytes, held: _Held) -> None:
        self.key = key
        self.since = b"%d" % held.revision
        self.ops: list[Op[int]] = []
        self.done: list[tuple[str, bytes]] = []

    def write(self, what: str, name: bytes, function: str, *args: bytes) -> None:
        self.ops.append(call(function, self.key, (*args, self.since), number))
        self.done.append((what, name))


def _plan_sorted(plan: _Plan, held: _Held, wanted: Wanted) -> None:
    for name, (value, sort) in wanted.items():
        assert sort is not None
        if name not in held.values:
            plan.write("added", name, "sg_list_put", sort, name, value)
        elif held.sorts.get(name) != sort:
            plan.write("moved", name, "sg_list_put", sort, name, value)
        elif held.values[name] != value:
            plan.write("changed", name, "sg_list_put", sort, name, value)


def _plan_positional(plan: _Plan, held: _Held, wanted: Wanted) -> None:
    target = {name: place for place, name in enumerate(wanted)}
    kept = [name for name in held.values if name in target]
    stay = {kept[place] for place in _stay([target[name] for name in kept])}
    # Slot 0 is the head of the list, slot n + 1 the n-th item that is kept; what is put in place stands in the slot of the item
    # before it.
    slots = {name: place + 1 for place, name in enumerate(kept)}
    counts = _Counts(len(kept) + 1)
    for slot in slots.values():
        counts.add(slot, 1)
    anchor = 0
    for name, (value, _) in wanted.items():
        if name in stay:
            anchor = slots[name]
            if held.values[name] != value:
                plan.write("changed", name, "sg_list_set", name, value)
            continue
        if name in slots:
            counts.add(slots[name], -1)
            plan.write("moved", name, "sg_list_move", name, b"%d" % counts.through(anchor))
            if held.values[name] != value:
                # Its own move came after what was read: no condition for this one.
                plan.ops.append(call("sg_list_set", plan.key, (name, value), number))
                plan.done.append(("moved", name))
        else:
            plan.write("added", name, "sg_list_insert", b"%d" % counts.through(anchor), name, value)
        counts.add(anchor, 1)


def list_replace(codec: Codec, key: bytes, items: Iterable[Any], chunk: int, on_progress: Progress | None) -> Steps[Changes]:
    if chunk < 1:
        raise ValueError("a chunk has at least one item")
    wanted = _wanted(codec, items)
    is_sorted = next(iter(wanted.values()))[1] is not None if wanted else None
    what: dict[bytes, str] = {}
    for _ in range(ROUNDS):
        held: _Held = yield from _read(key, is_sorted)
        plan = _Plan(key, held)
        for name in held.values:
            if name not in wanted:
                plan.write("removed", name, "sg_list_delete", name)
        (_plan_sorted if is_sorted else _plan_positional)(plan, held, wanted)
        alone = True
        last = held.revision
        for first in range(0, len(plan.ops), chunk):
            answers: list[Any] = yield Many(list(plan.ops[first : first + chunk]))
            for (kind, name), answer in zip(plan.done[first : first + chunk], answers):
                if isinstance(answer, (Conflict, NotFound, Exists, OutOfRange)):
                    alone = False
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    alone = alone and answer == last + 1
                    last = answer
                    if what.get(name) != "moved":
                        what[name] = kind
            if on_progress is not None:
                on_progress(min(first + chunk, len(plan.ops)), len(plan.ops))
        if alone:
            return _changes(what, wanted)
    raise Busy("others changed the list all the time while it was replaced")


def _changes(what: dict[bytes, str], wanted: Wanted) -> Changes:
    kinds = list(what.values())
    added, changed, moved = kinds.count("added"), kinds.count("changed"), kinds.count("moved")
    return Changes(added, changed, moved, kinds.count("removed"), len(wanted) - added - changed - moved)
