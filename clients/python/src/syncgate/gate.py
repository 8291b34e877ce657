"""The two ways in: `SyncGate`, which waits, and `AsyncSyncGate` for asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from types import TracebackType
from typing import Any, Callable, Mapping, TypeVar

from . import ops, talk
from .awaiting import AsyncTransport
from .blocking import Transport
from .callers import AsyncMailbox, Mailbox, OnProgress
from .errors import InvalidName, SyncGateError
from .functions import Registry
from .jsontext import Decode, Encode, name_bytes
from .names import AsyncList, AsyncVar, List, Var
from .ops import Codec, Many, Op, Step, Steps, Wait
from .pipeline import AsyncPipeline, Pipeline

T = TypeVar("T")


class _Base(Registry):
    """What both gates share: names, codec, and the functions that are served from here."""

    def __init__(self, prefix: str, timeout: float, encode: Encode | None, decode: Decode | None) -> None:
        super().__init__()
        if "{" in prefix or "}" in prefix or any(character < " " or character == "\x7f" for character in prefix):
            raise InvalidName(f"not a prefix: {prefix!r}")
        if timeout <= 0:
            raise ValueError("a timeout is longer than 0 s")
        self.prefix = prefix
        self.timeout = timeout
        self.codec = Codec(encode, decode)
        self._head = prefix.encode() + b"{"
        self.calls_root = talk.root(prefix)

    def key(self, name: str) -> bytes:
        """The full key of a name. Raises: `InvalidName`."""
        return self._head + name_bytes(name) + b"}"


class SyncGate(_Base):
    """Variables, lists and calls, for programs that wait. One may be used by many threads, and after `fork`.

    `client`: a client of redis-py, single or cluster, whatever it decodes; it stays yours. `prefix`: that of the gateways. `timeout`:
    seconds that one call may take, connecting included. `encode(value)` answers JSON text, `decode(bytes)` a value. Making a gate does no
    I/O.
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "sg:",
        timeout: float = 5.0,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> None:
        super().__init__(prefix, timeout, encode, decode)
        self.source = client
        self.transport = Transport(client, timeout)
        self._mailbox: Mailbox | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: str = "sg:",
        timeout: float = 5.0,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> SyncGate:
        """`redis://user:pw@host:6379/0`, `rediss://`, `unix:///path`, `redis-cluster://host:port`. Raises: `ValueError` for another."""
        return cls(url, prefix=prefix, timeout=timeout, encode=encode, decode=decode)

    def var(self, name: str) -> Var:
        """The variable of that name. No I/O. Raises: `InvalidName`."""
        return Var(self, name)

    def list(self, name: str) -> List:
        """The list of that name. No I/O. Raises: `InvalidName`."""
        return List(self, name)

    def pipeline(self, *, raise_errors: bool = True) -> Pipeline:
        """Many operations in one go; `with gate.pipeline() as p`. Raises at the end of the block: `PipelineError`, unless told not to."""
        return Pipeline(self, raise_errors)

    def call(self, name: str, args: Mapping[str, Any] | None = None, *, timeout: float = 30.0, on_progress: OnProgress | None = None) -> Any:
        """Calls a function and answers its value. `timeout` in seconds; `on_progress(value)` runs in this thread.

        Raises: `NoSuchFunction`, `InvalidArguments`, `CallFailed`, `CallTimeout`, `Unavailable`.
        """
        name_bytes(name)
        with self._lock:
            if self._mailbox is None or self._mailbox.pid != os.getpid():
                self._mailbox = Mailbox(self)
        return self._mailbox.call(name, args, timeout, on_progress)

    def functions(self) -> set[str]:
        """The functions that somebody serves."""
        return self.run(ops.functions(self.calls_root))

    def library(self) -> int:
        """Sees to the function library (one server) and answers its version. Calls do that by themselves."""
        until = time.monotonic() + self.timeout
        from .blocking import NotSent
        from .wire import raised

        try:
            return self.transport.load(self.transport.node_for(self.calls_root, until), until)
        except NotSent as error:
            raise raised(error.args[0], False) from error

    def run(self, op: Op[T]) -> T:
        return op.parse(self.transport.execute(op.args, op.key, op.read))

    def run_steps(self, steps: Steps[T]) -> T:
        answer: Any = None
        failure: SyncGateError | None = None
        while True:
            try:
                step: Step = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as done:
                made: T = done.value
                return made
            answer, failure = None, None
            try:
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                elif isinstance(step, Many):
                    replies = self.transport.execute_many([op.args for op in step.ops], [op.key for op in step.ops])
                    answer = [reply if isinstance(reply, BaseException) else op.parse(reply) for op, reply in zip(step.ops, replies)]
                else:
                    answer = self.run(step)
            except SyncGateError as error:
                failure = error

    def close(self) -> None:
        """Ends what this gate opened. May be called again, and the gate used again."""
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None and mailbox.pid == os.getpid():
            mailbox.close()
        self.transport.close()

    def __enter__(self) -> SyncGate:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncSyncGate(_Base):
    """`SyncGate` for asyncio: the same methods, to be awaited. Belongs to the event loop that uses it first.

    Awaited calls may be cancelled at any moment; a write may then have been carried out or not.
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "sg:",
        timeout: float = 5.0,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> None:
        super().__init__(prefix, timeout, encode, decode)
        self.source = client
        self.transport = AsyncTransport(client, timeout)
        self._mailbox: AsyncMailbox | None = None
        self._kept: set[asyncio.Future[Any]] = set()

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: str = "sg:",
        timeout: float = 5.0,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> AsyncSyncGate:
        """As `SyncGate.from_url`."""
        return cls(url, prefix=prefix, timeout=timeout, encode=encode, decode=decode)

    def var(self, name: str) -> AsyncVar:
        """The variable of that name. No I/O. Raises: `InvalidName`."""
        return AsyncVar(self, name)

    def list(self, name: str) -> AsyncList:
        """The list of that name. No I/O. Raises: `InvalidName`."""
        return AsyncList(self, name)

    def pipeline(self, *, raise_errors: bool = True) -> AsyncPipeline:
        """`async with gate.pipeline() as p`; see `SyncGate.pipeline`."""
        return AsyncPipeline(self, raise_errors)

    async def call(
        self, name: str, args: Mapping[str, Any] | None = None, *, timeout: float = 30.0, on_progress: Callable[[Any], Any] | None = None
    ) -> Any:
        """As `SyncGate.call`; cancelling the task that waits cancels the call."""
        name_bytes(name)
        if self._mailbox is None or self._mailbox.pid != os.getpid() or self._mailbox.task.done():
            self._mailbox = AsyncMailbox(self)
        return await self._mailbox.call(name, args, timeout, on_progress)

    async def functions(self) -> set[str]:
        """The functions that somebody serves."""
        return await self.run(ops.functions(self.calls_root))

    async def wait_for(self, name: str, timeout: float) -> None:
        """Waits until somebody serves a function. Raises: `TimeoutError` after `timeout` seconds."""
        until = time.monotonic() + timeout
        while True:
            try:
                if name in await self.functions():
                    return
            except SyncGateError:
                if time.monotonic() >= until:
                    raise
            if time.monotonic() >= until:
                raise TimeoutError(f"nobody serves {name} after {timeout:g} s")
            await asyncio.sleep(min(0.1, max(0.0, until - time.monotonic())))

    async def run(self, op: Op[T]) -> T:
        return op.parse(await self.transport.execute(op.args, op.key, op.read))

    async def run_steps(self, steps: Steps[T]) -> T:
        answer: Any = None
        failure: SyncGateError | None = None
        while True:
            try:
                step: Step = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as done:
                made: T = done.value
                return made
            answer, failure = None, None
            try:
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Many):
                    replies = await self.transport.execute_many([op.args for op in step.ops], [op.key for op in step.ops])
                    answer = [reply if isinstance(reply, BaseException) else op.parse(reply) for op, reply in zip(step.ops, replies)]
                else:
                    answer = await self.run(step)
            except SyncGateError as error:
                failure = error

    def keep(self, task: asyncio.Future[Any]) -> None:
        """Holds a task that nobody waits for until it is done."""
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    async def aclose(self) -> None:
        """Ends what this gate opened. May be called again."""
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            await mailbox.close()
        if self._kept:
            await asyncio.gather(*self._kept, return_exceptions=True)
        await self.transport.close()

    async def __aenter__(self) -> AsyncSyncGate:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()
