"""Handles: variables and lists by name. They are cheap, hold nothing, and may be made anew for each use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Iterable, Iterator

from . import ops
from .replace import Progress, list_replace
from .results import Changes, Item, Page, Snapshot

if TYPE_CHECKING:
    from .gate import AsyncSyncGate, SyncGate

ITERATED = 1000


class Var:
    """One variable. Errors of all methods: `Unavailable`, `Refused`, `FunctionsMissing`, `Damaged`."""

    def __init__(self, gate: SyncGate, name: str) -> None:
        self._gate, self.name, self._key = gate, name, gate.key(name)

    def __repr__(self) -> str:
        return f"Var({self.name!r})"

    def get(self, default: Any = None, *, raw: bool = False) -> Any:
        """The value; `default` when there is none. `raw`: its JSON text."""
        return self._gate.run(ops.var_get(self._gate.codec, self._key, default, raw))

    def read(self, *, raw: bool = False) -> Snapshot | None:
        """Revision and value, or `None` when there is none."""
        return self._gate.run(ops.var_read(self._gate.codec, self._key, raw))

    def set(self, value: Any, *, if_revision: int | None = None) -> int:
        """Sets it and answers the new revision. `if_revision`: only if it is at that one; 0: only if there is none.

        Raises: `Conflict`; `TypeError`, `InvalidValue`, `TooLarge` for the value.
        """
        return self._gate.run(ops.var_set(self._gate.codec, self._key, value, if_revision))

    def update(self, fn: Callable[[Any], Any], *, default: Any = None, tries: int = 10) -> tuple[int, Any]:
        """Reads, sets what `fn(value)` gives if nobody was faster, else begins again. Answers revision and value.

        `fn` may run several times. Raises: `Conflict` after `tries`.
        """
        return self._gate.run_steps(ops.var_update(self._gate.codec, self._key, fn, default, tries))

    def delete(self) -> bool:
        """`True`, or `False` when there was none."""
        return self._gate.run(ops.var_delete(self._key))


class List:
    """One list, positional or sorted. `since`, a revision of the list: the item is changed only if nobody changed it after that."""

    def __init__(self, gate: SyncGate, name: str) -> None:
        self._gate, self.name, self._key = gate, name, gate.key(name)

    def __repr__(self) -> str:
        return f"List({self.name!r})"

    def insert(self, index: int, id: Any, value: Any, *, since: int | None = None) -> int:
        """Puts an item before `index` (-1: at the end) and answers the revision. Raises: `Exists`, `OutOfRange`, `WrongKind`, `Conflict`."""
        return self._gate.run(ops.list_insert(self._gate.codec, self._key, index, id, value, since))

    def append(self, id: Any, value: Any, *, since: int | None = None) -> int:
        """`insert` at the end."""
        return self.insert(-1, id, value, since=since)

    def move(self, id: Any, index: int, *, since: int | None = None) -> int:
        """Moves an item to where `index` is in the end (-1: the last). Raises: `NotFound`, `OutOfRange`, `WrongKind`, `Conflict`."""
        return self._gate.run(ops.list_move(self._key, id, index, since))

    def put(self, sort: str | bytes, id: Any, value: Any, *, since: int | None = None) -> int:
        """Inserts an item of a sorted list, or gives it a new sort key (at most 256 bytes, ordered byte by byte) and value.

        Raises: `WrongKind`, `Conflict`, `TooLarge`.
        """
        return self._gate.run(ops.list_put(self._gate.codec, self._key, sort, id, value, since))

    def set(self, id: Any, value: Any, *, since: int | None = None) -> int:
        """A new value where the item is. Raises: `NotFound`, `Conflict`."""
        return self._gate.run(ops.list_set(self._gate.codec, self._key, id, value, since))

    def delete(self, id: Any, *, since: int | None = None) -> int:
        """Takes an item away. Raises: `NotFound` (not with `since`), `Conflict`."""
        return self._gate.run(ops.list_delete(self._key, id, since))

    def discard(self, id: Any) -> bool:
        """`delete` that does not mind absence: `True`, or `False` when there was none."""
        return self._gate.run_steps(ops.list_discard(self._key, id))

    def get(self, id: Any, default: Any = None, *, raw: bool = False) -> Any:
        """The value of an item; `default` when there is none."""
        return self._gate.run(ops.list_get(self._gate.codec, self._key, id, default, raw))

    def read(self, id: Any, *, raw: bool = False) -> Item | None:
        """An item with its index and the list's revision, or `None`."""
        return self._gate.run(ops.list_read(self._gate.codec, self._key, id, raw))

    def page(self, page: int = 0, size: int = 100, *, raw: bool = False) -> Page:
        """A page, counted from 0, of `size` items (at most 10 000); one behind the last is the last. Empty when there is no such list."""
        return self._gate.run(ops.list_page(self._gate.codec, self._key, page, size, raw))

    def __len__(self) -> int:
        return self._gate.run(ops.list_count(self._key))

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Item]:
        """All items, read in pages of 1000, no id twice. Not a snapshot: what changes meanwhile may be missed."""
        seen: set[Any] = set()
        place = 0
        while True:
            part = self.page(place, ITERATED)
            for item in part.items if part.page == place else []:
                if (key := (type(item.id), item.id)) not in seen:
                    seen.add(key)
                    yield item
            place += 1
            if place >= part.pages:
                return

    def all(self, *, raw: bool = False) -> list[Item]:
        """All items of one moment. Raises: `Busy` when the list changed during each of five attempts."""
        return self._gate.run_steps(ops.list_all(self._gate.codec, self._key, raw))

    def set_all(self, items: Iterable[Any]) -> int:
        """Replaces everything at once by `(id, value)`, or `(id, value, sort)` for all. Raises: `TooLarge` over 64 MiB."""
        return self._gate.run(ops.list_set_all(self._gate.codec, self._key, items))

    def replace(self, items: Iterable[Any], *, chunk: int = 1000, on_progress: Progress | None = None) -> Changes:
        """Makes the list equal to `items` by its differences, `chunk` at a time; not atomic, for lists of any size.

        `on_progress(done, total)` counts writes. Raises: `Busy` when others kept changing it, `WrongKind`.
        """
        return self._gate.run_steps(list_replace(self._gate.codec, self._key, items, chunk, on_progress))

    def drop(self) -> bool:
        """Takes the whole list away: `True`, or `False` when there was none."""
        return self._gate.run(ops.list_drop(self._key))


class AsyncVar:
    """`Var` for asyncio."""

    def __init__(self, gate: AsyncSyncGate, name: str) -> None:
        self._gate, self.name, self._key = gate, name, gate.key(name)

    def __repr__(self) -> str:
        return f"AsyncVar({self.name!r})"

    async def get(self, default: Any = None, *, raw: bool = False) -> Any:
        """The value; `default` when there is none."""
        return await self._gate.run(ops.var_get(self._gate.codec, self._key, default, raw))

    async def read(self, *, raw: bool = False) -> Snapshot | None:
        """Revision and value, or `None`."""
        return await self._gate.run(ops.var_read(self._gate.codec, self._key, raw))

    async def set(self, value: Any, *, if_revision: int | None = None) -> int:
        """Sets it and answers the new revision."""
        return await self._gate.run(ops.var_set(self._gate.codec, self._key, value, if_revision))

    async def update(self, fn: Callable[[Any], Any], *, default: Any = None, tries: int = 10) -> tuple[int, Any]:
        """As `Var.update`."""
        return await self._gate.run_steps(ops.var_update(self._gate.codec, self._key, fn, default, tries))

    async def delete(self) -> bool:
        """`True`, or `False` when there was none."""
        return await self._gate.run(ops.var_delete(self._key))


class AsyncList:
    """`List` for asyncio."""

    def __init__(self, gate: AsyncSyncGate, name: str) -> None:
        self._gate, self.name, self._key = gate, name, gate.key(name)

    def __repr__(self) -> str:
        return f"AsyncList({self.name!r})"

    async def insert(self, index: int, id: Any, value: Any, *, since: int | None = None) -> int:
        """As `List.insert`."""
        return await self._gate.run(ops.list_insert(self._gate.codec, self._key, index, id, value, since))

    async def append(self, id: Any, value: Any, *, since: int | None = None) -> int:
        """As `List.append`."""
        return await self.insert(-1, id, value, since=since)

    async def move(self, id: Any, index: int, *, since: int | None = None) -> int:
        """As `List.move`."""
        return await self._gate.run(ops.list_move(self._key, id, index, since))

    async def put(self, sort: str | bytes, id: Any, value: Any, *, since: int | None = None) -> int:
        """As `List.put`."""
        return await self._gate.run(ops.list_put(self._gate.codec, self._key, sort, id, value, since))

    async def set(self, id: Any, value: Any, *, since: int | None = None) -> int:
        """As `List.set`."""
        return await self._gate.run(ops.list_set(self._gate.codec, self._key, id, value, since))

    async def delete(self, id: Any, *, since: int | None = None) -> int:
        """As `List.delete`."""
        return await self._gate.run(ops.list_delete(self._key, id, since))

    async def discard(self, id: Any) -> bool:
        """As `List.discard`."""
        return await self._gate.run_steps(ops.list_discard(self._key, id))

    async def get(self, id: Any, default: Any = None, *, raw: bool = False) -> Any:
        """As `List.get`."""
        return await self._gate.run(ops.list_get(self._gate.codec, self._key, id, default, raw))

    async def read(self, id: Any, *, raw: bool = False) -> Item | None:
        """As `List.read`."""
        return await self._gate.run(ops.list_read(self._gate.codec, self._key, id, raw))

    async def page(self, page: int = 0, size: int = 100, *, raw: bool = False) -> Page:
        """As `List.page`."""
        return await self._gate.run(ops.list_page(self._gate.codec, self._key, page, size, raw))

    async def count(self) -> int:
        """How many items there are."""
        return await self._gate.run(ops.list_count(self._key))

    async def __aiter__(self) -> AsyncIterator[Item]:
        """As iterating over `List`."""
        seen: set[Any] = set()
        place = 0
        while True:
            part = await self.page(place, ITERATED)
            for item in part.items if part.page == place else []:
                if (key := (type(item.id), item.id)) not in seen:
                    seen.add(key)
                    yield item
            place += 1
            if place >= part.pages:
                return

    async def all(self, *, raw: bool = False) -> list[Item]:
        """As `List.all`."""
        return await self._gate.run_steps(ops.list_all(self._gate.codec, self._key, raw))

    async def set_all(self, items: Iterable[Any]) -> int:
        """As `List.set_all`."""
        return await self._gate.run(ops.list_set_all(self._gate.codec, self._key, items))

    async def replace(self, items: Iterable[Any], *, chunk: int = 1000, on_progress: Progress | None = None) -> Changes:
        """As `List.replace`."""
        return await self._gate.run_steps(list_replace(self._gate.codec, self._key, items, chunk, on_progress))

    async def drop(self) -> bool:
        """As `List.drop`."""
        return await self._gate.run(ops.list_drop(self._key))
