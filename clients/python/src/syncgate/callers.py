"""Making calls: a mailbox of one's own, where results arrive."""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping

from . import talk
from .awaiting import end
from .errors import CallFailed, CallTimeout, SyncGateError, Unavailable
from .wire import LOST, REPLY_ERRORS

if TYPE_CHECKING:
    from .gate import AsyncSyncGate, SyncGate

OnProgress = Callable[[Any], Any]


def pause(attempt: int) -> float:
    return min(talk.BACKOFF_MAX_S, talk.BACKOFF_MIN_S * 2.0**attempt) * random.uniform(0.5, 1.0)


def payload_of(message: Any, channels: tuple[bytes, ...]) -> bytes | None:
    if isinstance(message, list) and len(message) == 3 and message[0] == b"smessage" and message[1] in channels:
        return bytes(message[2])
    return None


class _Waiting:
    """A call whose answer has not come. `where`: who has it."""

    def __init__(self, put: Callable[[talk.Heard | None], None]) -> None:
        self.put = put
        self.where: tuple[str, str] | None = None


class _Calls:
    """The calls that wait, and what happens to them; the same for both kinds of mailbox."""

    def __init__(self, prefix: str, database: int) -> None:
        self.id = talk.own_id("py")
        self.pid = os.getpid()
        self.root = talk.root(prefix)
        self.catalogue = talk.channel(prefix, database)
        self.channels = (self.catalogue, self.catalogue + b":" + self.id.encode())
        self.waiting: dict[str, _Waiting] = {}
        self.numbers = itertools.count(1)
        self.subscribed = False

    def begin(self, put: Callable[[talk.Heard | None], None]) -> tuple[str, _Waiting]:
        # Not a number: numbers are for callers that say `back`.
        call_id = f"c{next(self.numbers)}"
        held = self.waiting[call_id] = _Waiting(put)
        return call_id, held

    def hear(self, heard: talk.Heard | None) -> None:
        if heard is None:
            return
        if heard.kind == "g-":
            for held in list(self.waiting.values()):
                if held.where is not None and held.where[0] == heard.gateway:
                    held.put(talk.Heard("r", error=CallFailed("executor gone")))
            return
        call = self.waiting.get(heard.call)
        if call is not None:
            call.put(heard)

    def asked(self) -> list[tuple[str, str]]:
        """Gateway and id of each call that waits."""
        return [(held.where[0], call_id) for call_id, held in list(self.waiting.items()) if held.where is not None]


class Mailbox(_Calls):
    """The mailbox of a `SyncGate`: a thread that reads it, for as long as the gate is open."""

    def __init__(self, gate: SyncGate) -> None:
        super().__init__(gate.prefix, gate.transport.database)
        self.gate = gate
        self.closed = False
        self.ready = threading.Event()
        self.trouble: SyncGateError | None = None
        threading.Thread(target=self._live, name="syncgate-mailbox", daemon=True).start()

    def _live(self) -> None:
        attempt = 0
        while not self.closed:
            try:
                connection = self.gate.transport.listener(self.root)
            except SyncGateError as error:
                self.trouble = error
                time.sleep(pause(attempt))
                attempt += 1
                continue
            try:
                for name in self.channels:
                    connection.send_command("SSUBSCRIBE", name)
                    connection.read_response(disable_decoding=True)
                attempt, self.trouble = 0, None
                self.ready.set()
                asked = self.asked()
                if asked:
                    self.gate.run(talk.again(self.root, self.id, asked))
                while not self.closed:
                    if connection.can_read(timeout=1):
                        payload = payload_of(connection.read_response(disable_decoding=True), self.channels)
                        if payload is not None:
                            self.hear(talk.hear(self.gate.codec, payload))
            except (*LOST, *REPLY_ERRORS, SyncGateError) as error:
                self.trouble = Unavailable(str(error))
                time.sleep(pause(attempt))
                attempt += 1
            finally:
                self.ready.clear()
                connection.disconnect()

    def call(self, name: str, args: Mapping[str, Any] | None, timeout: float, on_progress: OnProgress | None) -> Any:
        text = talk.arguments(self.gate.codec, args)
        until = time.monotonic() + timeout
        if not self.ready.wait(min(timeout, self.gate.timeout)):
            raise Unavailable(f"the mailbox for results cannot be subscribed: {self.trouble or 'no answer'}")
        inbox: queue.SimpleQueue[talk.Heard | None] = queue.SimpleQueue()
        call_id, held = self.begin(inbox.put)
        reason = "caller"
        try:
            try:
                held.where = self.gate.run(talk.start(self.root, name, call_id, self.id, until - time.monotonic(), text))
            except SyncGateError as error:
                reason = ""
                raise talk.refused(error, name) from None
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    reason = "deadline"
                    raise CallTimeout(f"no answer from {name} within {timeout:g} s")
                try:
                    heard = inbox.get(timeout=min(left, talk.CALLER_BEAT_S))
                except queue.Empty:
                    self._beat()
                    continue
                if heard is None:
                    raise CallFailed("the gate was closed")
                if heard.kind == "p":
                    if on_progress is not None:
                        on_progress(heard.value)
                    continue
                reason = ""
                if heard.error is not None:
                    raise heard.error
                return heard.value
        finally:
            del self.waiting[call_id]
            if reason and held.where is not None:
                try:
                    self.gate.run(talk.cancel(self.root, held.where, call_id, self.id, reason))
                except SyncGateError:
                    pass

    def _beat(self) -> None:
        """Who waits keeps the lease clock going, so that the dead are buried also where nobody else beats."""
        try:
            self.gate.run(talk.beat(self.root, self.id))
        except SyncGateError:
            pass

    def close(self) -> None:
        self.closed = True
        for held in list(self.waiting.values()):
            held.put(None)
        try:
            self.gate.run(talk.gone(self.root, self.id))
        except SyncGateError:
            pass


class AsyncMailbox(_Calls):
    """The mailbox of an `AsyncSyncGate`: a task of its event loop."""

    def __init__(self, gate: AsyncSyncGate) -> None:
        super().__init__(gate.prefix, gate.transport.database)
        self.gate = gate
        self.ready = asyncio.Event()
        self.trouble: SyncGateError | None = None
        self.task = asyncio.get_running_loop().create_task(self._live())

    async def _live(self) -> None:
        attempt = 0
        while True:
            try:
                connection = await self.gate.transport.listener(self.root)
            except SyncGateError as error:
                self.trouble = error
                await asyncio.sleep(pause(attempt))
                attempt += 1
                continue
            try:
                for name in self.channels:
                    await connection.send_command("SSUBSCRIBE", name)
                    await connection.read_response(disable_decoding=True)
                attempt, self.trouble = 0, None
                self.ready.set()
                asked = self.asked()
                if asked:
                    await self.gate.run(talk.again(self.root, self.id, asked))
                while True:
                    payload = payload_of(await connection.read_response(disable_decoding=True), self.channels)
                    if payload is not None:
                        self.hear(talk.hear(self.gate.codec, payload))
            except (*LOST, *REPLY_ERRORS, SyncGateError) as error:
                self.trouble = Unavailable(str(error))
                await asyncio.sleep(pause(attempt))
                attempt += 1
            finally:
                self.ready.clear()
                await end(connection)

    async def call(self, name: str, args: Mapping[str, Any] | None, timeout: float, on_progress: OnProgress | None) -> Any:
        text = talk.arguments(self.gate.codec, args)
        until = time.monotonic() + timeout
        try:
            await asyncio.wait_for(self.ready.wait(), min(timeout, self.gate.timeout))
        except asyncio.TimeoutError:
            raise Unavailable(f"the mailbox for results cannot be subscribed: {self.trouble or 'no answer'}") from None
        inbox: asyncio.Queue[talk.Heard | None] = asyncio.Queue()
        call_id, held = self.begin(inbox.put_nowait)
        reason = "caller"
        try:
            # Shielded: a call that Redis has must be known, or it could not be cancelled.
            starting = asyncio.ensure_future(self._start(held, name, call_id, until - time.monotonic(), text))
            self.gate.keep(starting)
            try:
                await asyncio.shield(starting)
            except SyncGateError as error:
                reason = ""
                raise talk.refused(error, name) from None
            except asyncio.CancelledError:
                reason = ""
                starting.add_done_callback(lambda done: self._cancel_soon(held, call_id))
                raise
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    reason = "deadline"
                    raise CallTimeout(f"no answer from {name} within {timeout:g} s")
                try:
                    heard = await asyncio.wait_for(inbox.get(), min(left, talk.CALLER_BEAT_S))
                except asyncio.TimeoutError:
                    await self._beat()
                    continue
                if heard is None:
                    raise CallFailed("the gate was closed")
                if heard.kind == "p":
                    if on_progress is not None:
                        on_progress(heard.value)
                    continue
                reason = ""
                if heard.error is not None:
                    raise heard.error
                return heard.value
        finally:
            del self.waiting[call_id]
            if reason and held.where is not None:
                # Also when this very task is being cancelled.
                self._cancel_soon(held, call_id, reason)

    async def _start(self, held: _Waiting, name: str, call_id: str, timeout: float, text: bytes) -> None:
        where = await self.gate.run(talk.start(self.root, name, call_id, self.id, timeout, text))
        held.where = where

    def _cancel_soon(self, held: _Waiting, call_id: str, reason: str = "caller") -> None:
        if held.where is not None:
            self.gate.keep(asyncio.ensure_future(self._cancel(held.where, call_id, reason)))

    async def _cancel(self, where: tuple[str, str], call_id: str, reason: str) -> None:
        try:
            await self.gate.run(talk.cancel(self.root, where, call_id, self.id, reason))
        except SyncGateError:
            pass

    async def _beat(self) -> None:
        try:
            await self.gate.run(talk.beat(self.root, self.id))
        except SyncGateError:
            pass

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        for held in list(self.waiting.values()):
            held.put(None)
        try:
            await self.gate.run(talk.gone(self.root, self.id))
        except SyncGateError:
            pass
