"""What reads answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .jsontext import Id

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """A variable at one moment. `revision` counts its changes from 1."""

    revision: int
    value: Any


@dataclass(frozen=True)
class Item:
    """An item of a list. `index` counts from 0; `revision` is that of the list when it was read, the right `since` for a write."""

    id: Id
    value: Any
    index: int
    revision: int


@dataclass(frozen=True)
class Page:
    """A slice of a list at one moment. `total`: items of the list; `pages`: 0 when it has none; `size`: items of a full page."""

    items: list[Item] = field(default_factory=list)
    total: int = 0
    page: int = 0
    pages: int = 0
    size: int = 0
    revision: int = 0


@dataclass(frozen=True)
class Changes:
    """What `replace` did; each item counts once (moved before changed)."""

    added: int
    changed: int
    moved: int
    removed: int
    unchanged: int


class Deferred(Generic[T]):
    """The answer to an operation of a pipeline, there when the pipeline has been sent."""

    __slots__ = ("_state", "_held")
    _held: Any

    def __init__(self) -> None:
        self._state = 0
        self._held = None

    def _settle(self, value: Any, failed: bool) -> None:
        self._state, self._held = (2 if failed else 1), value

    def result(self) -> T:
        """The answer. Raises: the operation's error; `RuntimeError` before the pipeline was sent."""
        if self._state == 0:
            raise RuntimeError("the pipeline has not been sent yet")
        if self._state == 2:
            raise self._held
        answer: T = self._held
        return answer
