"""Pipelines: many operations in one go. Not a transaction."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterable, Iterator, TypeVar, Union

from . import ops
from .errors import PipelineError, Unavailable
from .ops import Op
from .results import Deferred, Item, Page, Snapshot

if TYPE_CHECKING:
    from .gate import AsyncSyncGate, SyncGate

T = TypeVar("T")
PIECE_OPS = 1000
PIECE_BYTES = 8 * 1024 * 1024
RESULTS_KEPT = 100_000
Ops = list[Op[Any]]
Promised = list[Deferred[Any]]
Answers = list[Any]


class _Base:
    """What both kinds collect."""

    _gate: Union[SyncGate, AsyncSyncGate]

    def __init__(self, raise_errors: bool) -> None:
        self._raise = raise_errors
        self._ops: Ops = []
        self._deferred: Promised = []
        self._last: Any = None
        self._count = 0
        self._results: Answers = []
        self._failed: dict[int, BaseException] = {}

    def add(self, op: Op[T]) -> Deferred[T]:
        deferred: Deferred[T] = Deferred()
        self._ops.append(op)
        self._deferred.append(deferred)
        return deferred

    def var(self, name: str) -> PipelineVar:
        """A variable; its methods answer `Deferred`s. Raises: `InvalidName`."""
        return PipelineVar(self, self._gate.key(name), self._gate.codec)

    def list(self, name: str) -> PipelineList:
        """A list; its methods answer `Deferred`s. Raises: `InvalidName`."""
        return PipelineList(self, self._gate.key(name), self._gate.codec)

    def _pieces(self) -> Iterator[tuple[Ops, Promised]]:
        waiting, deferred = self._ops, self._deferred
        self._ops, self._deferred = [], []
        first = size = 0
        for place, op in enumerate(waiting):
            length = sum(map(len, op.args)) + 16 * len(op.args)
            if place > first and (place - first == PIECE_OPS or size + length > PIECE_BYTES):
                yield waiting[first:place], deferred[first:place]
                first, size = place, 0
            size += length
        if first < len(waiting):
            yield waiting[first:], deferred[first:]

    def _unsent(self, piece: Ops) -> Answers | None:
        """Behind an operation that Redis did not answer nothing is sent any more."""
        if not isinstance(self._last, Unavailable):
            return None
        return [Unavailable(f"not sent: {self._last}")] * len(piece)

    def _settle(self, piece: Ops, deferred: Promised, answers: Answers) -> None:
        for op, waiting, answer in zip(piece, deferred, answers):
            failed = isinstance(answer, BaseException)
            if not failed:
                try:
                    answer = op.parse(answer)
                except Exception as error:  # a decode function of the user
                    answer, failed = error, True
            waiting._settle(answer, failed)
            self._last = answer
            if failed:
                self._failed[self._count] = answer
            if self._count < RESULTS_KEPT:
                self._results.append(answer)
            self._count += 1

    def _finish(self) -> None:
        if self._failed and self._raise:
            place, first = next(iter(self._failed.items()))
            text = f"{len(self._failed)} of {self._count} operations failed; number {place}: {first}"
            raise PipelineError(text, self._results if self._count <= RESULTS_KEPT else self._failed)


class Pipeline(_Base):
    """Operations that are sent at the end of the `with` block, in pieces of at most 1000 or 8 MiB; nothing when the block raises."""

    _gate: SyncGate

    def __init__(self, gate: SyncGate, raise_errors: bool) -> None:
        super().__init__(raise_errors)
        self._gate = gate

    def send(self) -> None:
        """Sends what there is so far, which bounds the memory of long pipelines. Failures are told at the end."""
        for piece, deferred in self._pieces():
            answers = self._unsent(piece)
            if answers is None:
                answers = self._gate.transport.execute_many([op.args for op in piece], [op.key for op in piece])
            self._settle(piece, deferred, answers)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.send()
            self._finish()


class AsyncPipeline(_Base):
    """`Pipeline` for asyncio: `async with`, `await pipeline.send()`."""

    _gate: AsyncSyncGate

    def __init__(self, gate: AsyncSyncGate, raise_errors: bool) -> None:
        super().__init__(raise_errors)
        self._gate = gate

    async def send(self) -> None:
        """As `Pipeline.send`."""
        for piece, deferred in self._pieces():
            answers = self._unsent(piece)
            if answers is None:
                answers = await self._gate.transport.execute_many([op.args for op in piece], [op.key for op in piece])
            self._settle(piece, deferred, answers)

    async def __aenter__(self) -> AsyncPipeline:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            await self.send()
            self._finish()


class PipelineVar:
    """The single operations of `Var`."""

    def __init__(self, pipeline: _Base, key: bytes, codec: ops.Codec) -> None:
        self._pipeline, self._key, self._codec = pipeline, key, codec

    def get(self, default: Any = None, *, raw: bool = False) -> Deferred[Any]:
        return self._pipeline.add(ops.var_get(self._codec, self._key, default, raw))

    def read(self, *, raw: bool = False) -> Deferred[Snapshot | None]:
        return self._pipeline.add(ops.var_read(self._codec, self._key, raw))

    def set(self, value: Any, *, if_revision: int | None = None) -> Deferred[int]:
        return self._pipeline.add(ops.var_set(self._codec, self._key, value, if_revision))

    def delete(self) -> Deferred[bool]:
        return self._pipeline.add(ops.var_delete(self._key))


class PipelineList:
    """The single operations of `List`."""

    def __init__(self, pipeline: _Base, key: bytes, codec: ops.Codec) -> None:
        self._pipeline, self._key, self._codec = pipeline, key, codec

    def insert(self, index: int, id: Any, value: Any, *, since: int | None = None) -> Deferred[int]:
        return self._pipeline.add(ops.list_insert(self._codec, self._key, index, id, value, since))

    def append(self, id: Any, value: Any, *, since: int | None = None) -> Deferred[int]:
        return self.insert(-1, id, value, since=since)

    def move(self, id: Any, index: int, *, since: int | None = None) -> Deferred[int]:
        return self._pipeline.add(ops.list_move(self._key, id, index, since))

    def put(self, sort: str | bytes, id: Any, value: Any, *, since: int | None = None) -> Deferred[int]:
        return self._pipeline.add(ops.list_put(self._codec, self._key, sort, id, value, since))

    def set(self, id: Any, value: Any, *, since: int | None = None) -> Deferred[int]:
        return self._pipeline.add(ops.list_set(self._codec, self._key, id, value, since))

    def delete(self, id: Any, *, since: int | None = None) -> Deferred[int]:
        return self._pipeline.add(ops.list_delete(self._key, id, since))

    def get(self, id: Any, default: Any = None, *, raw: bool = False) -> Deferred[Any]:
        return self._pipeline.add(ops.list_get(self._codec, self._key, id, default, raw))

    def read(self, id: Any, *, raw: bool = False) -> Deferred[Item | None]:
        return self._pipeline.add(ops.list_read(self._codec, self._key, id, raw))

    def page(self, page: int = 0, size: int = 100, *, raw: bool = False) -> Deferred[Page]:
        return self._pipeline.add(ops.list_page(self._codec, self._key, page, size, raw))

    def count(self) -> Deferred[int]:
        return self._pipeline.add(ops.list_count(self._key))

    def set_all(self, items: Iterable[Any]) -> Deferred[int]:
        return self._pipeline.add(ops.list_set_all(self._codec, self._key, items))

    def drop(self) -> Deferred[bool]:
        return self._pipeline.add(ops.list_drop(self._key))
