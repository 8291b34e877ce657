"""One call that a worker has: from its arrival to its result."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import json
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from .. import talk
from ..errors import FunctionError, InvalidArguments
from ..functions import Context, Served
from ..ops import call, number

if TYPE_CHECKING:
    from .service import Worker

log = logging.getLogger("syncgate.worker")

PROGRESS_S = 0.1
OVERDUE_S = 30.0
TEXT_MAX = 4096
RETRY_MAX_S = 2.0


def failure(code: int, text: str) -> bytes:
    return b"e %d " % code + text.encode(errors="replace")[:TEXT_MAX]


class Job:
    """Belongs to the worker's loop; only `_report` is called from elsewhere."""

    def __init__(self, worker: Worker, served: Served, arrived: talk.Arrived) -> None:
        self.worker = worker
        self.served = served
        self.arrived = arrived
        now = time.monotonic()
        self.until = now + arrived.timeout_ms / 1000
        limit = self.until if served.timeout is None else min(self.until, now + served.timeout)
        identity = arrived.identity if isinstance(arrived.identity, dict) else {}
        self.context = Context(
            function=arrived.function,
            call_id=arrived.call,
            info=identity,
            deadline=limit,
            report=self._report,
            gate=worker.gate,
            agate=worker.agate,
        )
        self.cancelled: asyncio.Future[str] = worker.loop.create_future()
        self.waiting_progress: bytes | None = None
        self.progress_task: asyncio.Task[None] | None = None
        self.finished = False

    @property
    def key(self) -> tuple[str, str]:
        return self.arrived.caller, self.arrived.call

    def cancel(self, reason: str) -> None:
        """caller, gone, deadline, stopping. The function is told; whether it ends is its own affair."""
        if not self.cancelled.done():
            self.context.cancel(reason)
            self.cancelled.set_result(reason)

    # --- running ---

    async def run(self) -> None:
        """Runs it and sends the result; returns when the function has ended, which may be long after that."""
        try:
            args = json.loads(self.arrived.args or b"{}")
            bound = self.served.bind(args, self.context)
        except InvalidArguments as error:
            await self.finish(failure(6, str(error)))
            return
        except ValueError:
            await self.finish(failure(6, "the arguments are not JSON"))
            return
        running = self._start(bound)
        left = self.context.deadline - time.monotonic()
        await asyncio.wait({running, self.cancelled}, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
        if running.done() and not self.cancelled.done():
            await self.finish(self._result(running))
            return
        self.cancel("deadline")
        running.cancel()
        await self.end_early()
        while not running.done():
            await asyncio.wait({running}, timeout=OVERDUE_S)
            if not running.done():
                self.context.log.warning("a cancelled function runs on")
        if not running.cancelled():
            running.exception()

    def _start(self, bound: dict[str, Any]) -> asyncio.Future[Any]:
        if self.served.is_async:
            return asyncio.ensure_future(self.worker.ainvoke(self.served, self.context, bound))
        if self.served.thread:
            copied = contextvars.copy_context()
            work = functools.partial(copied.run, self.worker.invoke, self.served, self.context, bound)
            return _Thread(self.worker.loop, self.worker.pool.submit(work)).future
        future: asyncio.Future[Any] = self.worker.loop.create_future()
        try:
            future.set_result(self.worker.invoke(self.served, self.context, bound))
        except Exception as error:
            future.set_exception(error)
        return future

    def _result(self, running: asyncio.Future[Any]) -> bytes:
        if running.cancelled():
            return self._internal(asyncio.CancelledError("the function cancelled itself"))
        error = running.exception()
        if error is None:
            try:
                return b"v " + self.worker.codec.encode(running.result())
            except Exception as problem:
                return self._internal(problem)
        if isinstance(error, FunctionError):
            return failure(error.error_code, str(error))
        if isinstance(error, InvalidArguments):
            return failure(6, str(error))
        return self._internal(error)

    def _internal(self, error: BaseException) -> bytes:
        mark = secrets.token_hex(3)
        self.context.log.error("internal error %s", mark, exc_info=error)
        if self.worker.debug:
            return failure(8, f"{type(error).__name__}: {error}")
        return failure(8, f"internal error {mark}")

    async def end_early(self) -> None:
        """The answer to a call that was cancelled before its function ended: none for a caller that does not wait."""
        reason = self.context.cancel_reason
        if reason == "deadline":
            await self.finish(b"t")
        elif reason == "stopping":
            await self.finish(failure(8, "worker stopped"))
        else:
            self.finished = True
            self.worker.settled(self, None)

    # --- telling ---

    def _report(self, value: Any) -> None:
        text = self.worker.codec.encode(value)
        self.worker.loop.call_soon_threadsafe(self._progress, text)

    def _progress(self, text: bytes) -> None:
        if self.finished:
            return
        self.waiting_progress = text
        if self.progress_task is None:
            self.progress_task = asyncio.ensure_future(self._send_progress())

    async def _send_progress(self) -> None:
        while self.waiting_progress is not None and not self.finished:
            text, self.waiting_progress = self.waiting_progress, None
            await self._tell_progress(text)
            await asyncio.sleep(PROGRESS_S)
        self.progress_task = None

    async def _tell_progress(self, text: bytes) -> None:
        op = call("sg_fn_progress", self.worker.root, (self.arrived.call.encode(), self.arrived.caller.encode(), text), number)
        await self.worker.attempt(op)

    async def finish(self, result: bytes) -> None:
        """The call has ended: sends the progress that waits, and the result."""
        self.finished = True
        if self.progress_task is not None:
            self.progress_task.cancel()
            await asyncio.wait({self.progress_task})
            if self.waiting_progress is not None:
                await self._tell_progress(self.waiting_progress)
        self.worker.settled(self, result)
        if not await self.tell(result, self.arrived.executor):
            self.worker.deliver_later(self, result)

    async def tell(self, result: bytes, executor: str = "-") -> bool:
        """Sends the result once. `executor`: whose calls in flight this takes one from; `-` when that was done before."""
        words = (self.worker.id, executor, self.arrived.call, self.arrived.caller)
        return await self.worker.attempt(call("sg_fn_done", self.worker.root, (*(word.encode() for word in words), result), number)) == 1

    async def deliver(self, result: bytes) -> None:
        """Sends the result again until somebody got it, or nobody can wait for it any more."""
        pause = 0.05
        while time.monotonic() + pause < self.until:
            await asyncio.sleep(pause)
            if await self.tell(result):
                return
            pause = min(2 * pause, RETRY_MAX_S)


class _Thread:
    """The result of a thread on the loop. Cancelling that does not take the thread away: it is done when the thread is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: concurrent.futures.Future[Any]) -> None:
        self.future: asyncio.Future[Any] = _Uncancellable(loop=loop)
        work.add_done_callback(lambda done: loop.call_soon_threadsafe(self._done, done) if not loop.is_closed() else None)

    def _done(self, work: concurrent.futures.Future[Any]) -> None:
        error = work.exception()
        if error is None:
            self.future.set_result(work.result())
        else:
            self.future.set_exception(error if not isinstance(error, StopIteration) else RuntimeError("StopIteration"))


class _Uncancellable(asyncio.Future):  # type: ignore[type-arg]
    def cancel(self, msg: Any = None) -> bool:
        return False
