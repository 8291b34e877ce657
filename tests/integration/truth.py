"""What really happened to a name, reconstructed from what Redis published: every state it had, by revision.

A subscriber is right when what it held after each group of frames is one of these states, seen through its window, in
the order in which they happened.
"""
import bisect

from jsontext import decode
from strict import key_of


class Wrong(AssertionError):
    """A subscriber saw something that never was, or that was over already."""


def parse(payload):
    """One change event as (operation, revision, numbers, id key or None, raw value or None)."""
    text = payload.decode()
    operation, _, rest = text.partition(" ")
    numbers = {"vs": 0, "vd": 0, "li": 2, "ls": 2, "lx": 2, "lm": 3, "la": 1, "lz": 0}[operation]
    fields = rest.split(" ", 1 + numbers)
    revision, values = int(fields[0]), [int(field) for field in fields[1 : 1 + numbers]]
    tail = fields[1 + numbers] if len(fields) > 1 + numbers else ""
    if operation == "vs":
        return operation, revision, values, None, tail
    if operation in ("li", "ls", "lx", "lm"):
        length, _, tail = tail.partition(" ")
        data = tail.encode()
        item_id, value = data[: int(length)].decode(), data[int(length) + 1 :].decode()
        return operation, revision, values, key_of(decode(item_id)), None if operation == "lx" else value
    return operation, revision, values, None, None


class VarHistory:
    """The values of one variable, by revision. Every value was set only once."""

    def __init__(self):
        self.revisions = {}  # raw value -> revision
        self.deletes = []
        self.last = None

    def apply(self, operation, revision, value):
        if operation == "vd":
            self.deletes.append(revision)
            self.last = "null"
        else:
            assert value not in self.revisions, f"{value} was set twice: the test is wrong"
            self.revisions[value] = revision
            self.last = value

    def check(self, seen):
        """`seen`: the raw values that one connection was told, in order."""
        at = 0
        for value in seen:
            if value == "null":
                later = bisect.bisect_left(self.deletes, at)
                if later == len(self.deletes) and at > 0:
                    raise Wrong(f"null after revision {at}, but nobody deleted it later")
                at = self.deletes[later] if later < len(self.deletes) else at
                continue
            revision = self.revisions.get(value)
            if revision is None:
                raise Wrong(f"the value {value} never was")
            if revision < at:
                raise Wrong(f"the value of revision {revision} ({value}) came after that of revision {at}")
            at = revision


class ListHistory:
    """All states of one list: state k is what it was after event k."""

    def __init__(self):
        self.states = [()]
        self.revision = 0
        self._windows = {}

    def apply(self, operation, revision, numbers, key, value, whole=None):
        """`whole` is the content after a replacement of everything, which its event does not tell."""
        items = list(self.states[-1])
        if operation == "la":
            items = list(whole)
            assert len(items) == numbers[0], f"revision {revision} says {numbers[0]} items, not {len(items)}"
        elif operation == "lz":
            items = []
        elif operation == "li":
            items.insert(numbers[0], (key, value))
        elif operation == "lm":
            assert items[numbers[0]][0] == key, f"revision {revision}: {key} was not at {numbers[0]}"
            del items[numbers[0]]
            items.insert(numbers[1], (key, value))
        else:
            assert items[numbers[0]][0] == key, f"revision {revision}: {key} is not at {numbers[0]}"
            if operation == "ls":
                items[numbers[0]] = (key, value)
            else:
                del items[numbers[0]]
        assert revision == self.revision + 1, f"revision {revision} after {self.revision}"
        assert operation in ("la", "lz") or len(items) == numbers[-1], (
            f"revision {revision} says {numbers[-1]} items, not {len(items)}")
        self.revision = revision
        self.states.append(tuple(items))

    def _when(self, page, size):
        """{(count, slice): [numbers of the states that look so]}."""
        if (page, size) not in self._windows:
            found = {}
            for number, state in enumerate(self.states):
                if page == clamp(page, size, len(state)):
                    found.setdefault((len(state), state[page * size : (page + 1) * size]), []).append(number)
            self._windows[page, size] = found
        return self._windows[page, size]

    def check(self, held, cut=False):
        """`held`: ListView.held() after each frame of one connection, None where it left the list. Frames of one group lead
        from one state to the next, so not every entry is a state, but no group is longer than its page allows. `cut`: the
        connection was ended by its client, perhaps in the middle of a group."""
        at, between = 0, 0
        for entry in held:
            if entry is None:
                between = 0
                continue
            page, sizes, counts, items = entry
            later = [self._next(page, size, counts, items, at) for size in set(sizes)]
            later = [number for number in later if number is not None]
            if later:
                at, between = min(later), 0
                continue
            between += 1
            if between > 2 * max(sizes) + 2:
                raise Wrong(f"after state {at}: {between} frames without reaching a state of the list; "
                            f"page {page} of {sizes} holds {len(items)} items, counts {set(counts)}")
        if between and not cut:
            raise Wrong(f"the last frames lead to no state of the list: page {page} of {sizes}, "
                        f"counts {set(counts)}, {items[:8]}")

    def _next(self, page, size, counts, items, at):
        if len(counts) != 1:
            return None
        numbers = self._when(page, size).get((next(iter(counts)), items), [])
        where = bisect.bisect_left(numbers, at)
        return numbers[where] if where < len(numbers) else None


def clamp(page, size, total):
    """The effective page of a list with that many items."""
    return max(0, min(page, (total - 1) // size)) if total else 0
