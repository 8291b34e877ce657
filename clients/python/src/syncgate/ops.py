"""Operations: one call of a function each, and what is made of several. Nothing here does I/O: a gate runs them, waiting or not."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any, Callable, Generator, Generic, Iterable, TypeVar, Union

from .errors import Busy, Conflict, InvalidId, NotFound, TooLarge
from .jsontext import ALL_MAX, Decode, Encode, encode, id_text, id_value, sort_text
from .results import Item, Page, Snapshot

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Op(Generic[T]):
    """One function call. `read`: it changes nothing, so it may be tried again."""

    args: tuple[bytes, ...]
    key: bytes
    parse: Callable[[Any], T]
    read: bool = False


@dataclass
class Wait:
    """A pause between operations, in seconds."""

    seconds: float


@dataclass
class Many:
    """Operations of one key that go out together; the answer is a list of values and exceptions."""

    ops: list[Op[Any]]


Step = Union["Op[Any]", Many, Wait]
Steps = Generator[Step, Any, R]


@dataclass
class Codec:
    """How values are written and read."""

    own_encode: Encode | None = None
    own_decode: Decode | None = None

    def encode(self, value: Any) -> bytes:
        return encode(value, self.own_encode)

    def decode(self, text: bytes, raw: bool) -> Any:
        if raw:
            return text.decode()
        if self.own_decode is not None:
            return self.own_decode(text)
        return json.loads(text)


def call(function: str, key: bytes, args: Iterable[bytes], parse: Callable[[Any], T], read: bool = False) -> Op[T]:
    command = b"FCALL_RO" if read else b"FCALL"
    return Op((command, function.encode(), b"1", key, *args), key, parse, read)


def number(reply: Any) -> int:
    return int(reply)


def truth(reply: Any) -> bool:
    return int(reply) > 0


def _since(since: int | None) -> tuple[bytes, ...]:
    return () if since is None else (b"%d" % revision(since),)


def revision(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"a revision is an int from 0, not {value!r}")
    return value


def _index(value: Any) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"an index is an int, not {type(value).__name__}")
    return b"%d" % value


# --- variables ---


def var_read(codec: Codec, key: bytes, raw: bool) -> Op[Snapshot | None]:
    def parse(reply: Any) -> Snapshot | None:
        return None if reply is None else Snapshot(int(reply[0]), codec.decode(reply[1], raw))

    return call("sg_var_get", key, (), parse, read=True)


def var_get(codec: Codec, key: bytes, default: Any, raw: bool) -> Op[Any]:
    return call("sg_var_get", key, (), lambda reply: default if reply is None else codec.decode(reply[1], raw), read=True)


def var_set(codec: Codec, key: bytes, value: Any, if_revision: int | None) -> Op[int]:
    return call("sg_var_set", key, (codec.encode(value), *_since(if_revision)), number)


def var_delete(key: bytes) -> Op[bool]:
    return call("sg_var_delete", key, (), truth)


def var_update(codec: Codec, key: bytes, change: Callable[[Any], Any], default: Any, tries: int) -> Steps[tuple[int, Any]]:
    last: Conflict | None = None
    for attempt in range(max(1, tries)):
        held: Snapshot | None = yield var_read(codec, key, False)
        value = change(default if held is None else held.value)
        try:
            made: int = yield var_set(codec, key, value, 0 if held is None else held.revision)
            return made, value
        except Conflict as conflict:
            last = conflict
        if attempt + 1 < tries:
            yield Wait(random.uniform(0, min(0.001 * 2**attempt, 0.1)))
    assert last is not None
    raise last


# --- lists ---


def list_insert(codec: Codec, key: bytes, index: int, item: Any, value: Any, since: int | None) -> Op[int]:
    return call("sg_list_insert", key, (_index(index), id_text(item), codec.encode(value), *_since(since)), number)


def list_move(key: bytes, item: Any, index: int, since: int | None) -> Op[int]:
    return call("sg_list_move", key, (id_text(item), _index(index), *_since(since)), number)


def list_put(codec: Codec, key: bytes, sort: str | bytes, item: Any, value: Any, since: int | None) -> Op[int]:
    return call("sg_list_put", key, (sort_text(sort), id_text(item), codec.encode(value), *_since(since)), number)


def list_set(codec: Codec, key: bytes, item: Any, value: Any, since: int | None) -> Op[int]:
    return call("sg_list_set", key, (id_text(item), codec.encode(value), *_since(since)), number)


def list_delete(key: bytes, item: Any, since: int | None) -> Op[int]:
    return call("sg_list_delete", key, (id_text(item), *_since(since)), number)


def list_discard(key: bytes, item: Any) -> Steps[bool]:
    try:
        yield list_delete(key, item, None)
    except NotFound:
        return False
    return True


def list_read(codec: Codec, key: bytes, item: Any, raw: bool) -> Op[Item | None]:
    text = id_text(item)

    def parse(reply: Any) -> Item | None:
        return None if reply is None else Item(id_value(text), codec.decode(reply[2], raw), int(reply[1]), int(reply[0]))

    return call("sg_list_get", key, (text,), parse, read=True)


def list_get(codec: Codec, key: bytes, item: Any, default: Any, raw: bool) -> Op[Any]:
    return call("sg_list_get", key, (id_text(item),), lambda reply: default if reply is None else codec.decode(reply[2], raw), read=True)


def list_page(codec: Codec, key: bytes, page: int, size: int, raw: bool = False) -> Op[Page]:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"a page has a size from 1, not {size!r}")

    def parse(reply: Any) -> Page:
        if reply is None:
            return Page(size=min(size, 10000))
        made, total, page, each = (int(part) for part in reply[:4])
        first = page * each
        items = [
            Item(id_value(reply[at]), codec.decode(reply[at + 1], raw), first + (at - 4) // 2, made) for at in range(4, len(reply), 2)
        ]
        return Page(items, total, page, -(-total // each), each, made)

    return call("sg_list_page", key, (_index(page), b"%d" % size), parse, read=True)


def list_count(key: bytes) -> Op[int]:
    return call("sg_list_page", key, (b"0", b"1"), lambda reply: 0 if reply is None else int(reply[1]), read=True)


def list_all(codec: Codec, key: bytes, raw: bool) -> Steps[list[Item]]:
    for _ in range(5):
        found: list[Item] = []
        page = 0
        first: Page | None = None
        while True:
            part: Page = yield list_page(codec, key, page, 10000, raw)
            if first is None:
                first = part
            elif part.revision != first.revision:
                break
            found += part.items
            page += 1
            if page >= part.pages:
                return found
    raise Busy("the list changed while it was read, five times")


def list_set_all(codec: Codec, key: bytes, items: Iterable[Any]) -> Op[int]:
    parts: list[bytes] = []
    size = 2
    seen: set[bytes] = set()
    for given in items:
        item, value, sort = split_item(given)
        name = id_text(item)
        if name in seen:
            raise InvalidId(f"two items have the id {item!r}")
        seen.add(name)
        part = b'{"id":' + name + b',"value":' + codec.encode(value)
        if sort is not None:
            part += b',"sort":' + encode(sort_text(sort).decode())
        part += b"}"
        size += len(part) + 1
        if size > ALL_MAX:
            raise TooLarge("an array over 64 MiB: use replace()")
        parts.append(part)
    return call("sg_list_set_all", key, (b"[" + b",".join(parts) + b"]",), number)


def list_drop(key: bytes) -> Op[bool]:
    return call("sg_list_drop", key, (), truth)


def split_item(given: Any) -> tuple[Any, Any, str | bytes | None]:
    """(id, value) or (id, value, sort)."""
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise TypeError("an item is a tuple (id, value) or (id, value, sort)")
    return (given[0], given[1], given[2] if len(given) == 3 else None)


# --- calls ---


def functions(key: bytes) -> Op[set[str]]:
    return call("sg_fn_list", key, (), lambda reply: {name.decode() for name in reply[1:]}, read=True)
