"""The worker: in the catalogue, with a mailbox, a sign of life from a thread of its own, and the calls that it has."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import fnmatch
import logging
import signal
import threading
import time
from typing import Any, Coroutine, Iterable, TypeVar

from .. import talk
from ..awaiting import end
from ..blocking import Transport
from ..callers import pause, payload_of
from ..errors import SyncGateError
from ..functions import Context, Registry, Served
from ..gate import AsyncSyncGate, SyncGate
from ..ops import Codec, Op, call, number
from ..wire import LOST, REPLY_ERRORS
from .job import Job, failure

log = logging.getLogger("syncgate.worker")
T = TypeVar("T")

EXECUTOR = "w"
BEAT_S = 1.5
FEATURES = b"identity,cancel,progress"
KEPT_RESULTS = 1000
KEPT_BYTES = 64 * 1024 * 1024
DELIVER_S = 5.0


def url_of(client: Any) -> str:
    """The address of a client of redis-py, for connections of another kind to the same place."""
    if isinstance(client, str):
        return client
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        node = next(iter(client.nodes_manager.startup_nodes.values()))
        return f"redis-cluster://{node.host}:{node.port}"
    from urllib.parse import quote

    given = pool.connection_kwargs
    login = ""
    if given.get("username") or given.get("password"):
        login = f"{quote(given.get('username') or '', safe='')}:{quote(given.get('password') or '', safe='')}@"
    if given.get("path"):
        return f"unix://{login}{given['path']}?db={given.get('db') or 0}"
    scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
    return f"{scheme}://{login}{given.get('host', 'localhost')}:{given.get('port', 6379)}/{given.get('db') or 0}"


class Worker:
    """Serves the functions of a gate or of a `Functions`.

    `redis`, `prefix`: instead of the gate's. `concurrency`: calls that run at a time; `queue`: calls that wait; beyond that a call is
    refused. `grace`: seconds for what runs when it stops. `only`, `excluded`: patterns of names. `debug`: callers see internal errors.
    Subclasses may wrap every call in `invoke` and `ainvoke`.
    """

    def __init__(
        self,
        source: Registry,
        *,
        redis: str | None = None,
        prefix: str | None = None,
        concurrency: int = 10,
        queue: int = 100,
        grace: float = 25.0,
        only: Iterable[str] = (),
        excluded: Iterable[str] = (),
        debug: bool = False,
    ) -> None:
        if concurrency < 1 or queue < 0 or grace < 0:
            raise ValueError("concurrency is at least 1, queue and grace at least 0")
        self.source = source
        own = source if isinstance(source, (SyncGate, AsyncSyncGate)) else None
        if redis is None and own is None:
            raise ValueError("a registry without a connection needs an address of Redis")
        self.url = redis or url_of(own.source if own else "")
        self.prefix = prefix if prefix is not None else own.prefix if own else "sg:"
        self.timeout = own.timeout if own else 5.0
        self.codec = own.codec if own else Codec()
        only, excluded = list(only), list(excluded)
        self.functions: dict[str, Served] = {
            served.name: served
            for served in source.served()
            if (not only or any(fnmatch.fnmatchcase(served.name, each) for each in only))
            and not any(fnmatch.fnmatchcase(served.name, each) for each in excluded)
        }
        if not self.functions:
            raise ValueError("there is nothing to serve")
        self.concurrency, self.queue, self.grace, self.debug = concurrency, queue, grace, debug
        self.id = talk.own_id("w")
        self.root = talk.root(self.prefix)
        self.gate: SyncGate
        self.agate: AsyncSyncGate
        self.loop: asyncio.AbstractEventLoop
        self.pool: concurrent.futures.ThreadPoolExecutor
        self._running: set[Job] = set()
        self._waiting: collections.deque[Job] = collections.deque()
        self._jobs: dict[tuple[str, str], Job] = {}
        self._results: collections.OrderedDict[tuple[str, str], tuple[Job, bytes]] = collections.OrderedDict()
        self._kept = 0
        self._tasks: set[asyncio.Future[Any]] = set()
        self._deliveries: set[asyncio.Future[Any]] = set()
        self._leaving = False
        self._registered = False
        self._serving = asyncio.Lock()
        self._ended = threading.Event()
        self.ready = threading.Event()

    # --- for subclasses ---

    def invoke(self, served: Served, context: Context, bound: dict[str, Any]) -> Any:
        """Runs a plain function, in its thread."""
        return served.fn(**bound)

    async def ainvoke(self, served: Served, context: Context, bound: dict[str, Any]) -> Any:
        """Runs an async function, on the loop."""
        return await served.fn(**bound)

    # --- life ---

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT. Answers 0; 1 when a second signal cut it short."""
        return asyncio.run(self._run_with_signals())

    async def _run_with_signals(self) -> int:
        loop = asyncio.get_running_loop()
        count = 0

        def on_signal() -> None:
            nonlocal count
            count += 1
            if count == 1:
                self.stop()
            else:
                import os

                os._exit(1)

        for number_of in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number_of, on_signal)
        await self.serve()
        return 0

    def stop(self) -> None:
        """Begins to stop. May be called from any thread, before it serves too."""
        self._stop_wanted = True
        loop = getattr(self, "loop", None)
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._stopping.set)

    _stop_wanted = False

    async def serve(self) -> None:
        """Serves until `stop()`, and ends what it has."""
        self.loop = asyncio.get_running_loop()
        self._serving = asyncio.Lock()
        self._stopping = asyncio.Event()
        if self._stop_wanted:
            self._stopping.set()
        codec = {"encode": self.codec.own_encode, "decode": self.codec.own_decode}
        self.agate = AsyncSyncGate(self.url, prefix=self.prefix, timeout=self.timeout, **codec)
        self.gate = self.source if isinstance(self.source, SyncGate) else SyncGate(self.url, prefix=self.prefix, timeout=self.timeout, **codec)
        self.pool = concurrent.futures.ThreadPoolExecutor(self.concurrency, "syncgate-call")
        channel = talk.channel(self.prefix, self.agate.transport.database)
        self._channels = (channel, channel + b":" + self.id.encode())
        listening = self.loop.create_task(self._listen())
        threading.Thread(target=self._beat, name="syncgate-beat", daemon=True).start()
        stopping = self.loop.create_task(self._stopping.wait())
        try:
            await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                await listening
            await self._leave()
        finally:
            self._ended.set()
            for task in (listening, stopping):
                task.cancel()
            await asyncio.wait({listening, stopping})
            await self.attempt(talk.gone(self.root, self.id))
            await self.agate.aclose()
            if self.gate is not self.source:
                self.gate.close()
            self.pool.shutdown(wait=False)

    async def _leave(self) -> None:
        self._leaving = True
        log.info("stopping", extra={"running": len(self._running), "waiting": len(self._waiting)})
        async with self._serving:
            for name in self.functions:
                await self.attempt(call("sg_fn_leave", self.root, (self.id.encode(), EXECUTOR.encode(), name.encode()), number))
        # What was sent to the mailbox before that is heard before this mark.
        self._mark = asyncio.Event()
        if await self.attempt(talk.again(self.root, self.id, [(self.id, "mark")])):
            await self._within(self._mark.wait(), 2.0)
        until = time.monotonic() + self.grace
        while (self._running or self._waiting) and time.monotonic() < until:
            await asyncio.wait(set(self._tasks), timeout=max(0.01, until - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
        for job in list(self._waiting):
            job.cancel("stopping")
            self._drop_waiting(job)
            self._keep(job.end_early())
        for job in list(self._running):
            job.cancel("stopping")
        await self._within(self._told(), DELIVER_S)

    async def _told(self) -> None:
        """Until the results have arrived; functions that run on are left alone."""
        while self._jobs or self._talking or self._deliveries:
            await asyncio.sleep(0.01)

    _talking = 0
    _mark: asyncio.Event | None = None

    async def _within(self, thing: Coroutine[Any, Any, Any], seconds: float) -> None:
        task = asyncio.ensure_future(thing)
        await asyncio.wait({task}, timeout=seconds)
        task.cancel()

    # --- the catalogue and the mailbox ---

    async def attempt(self, op: Op[T]) -> T | None:
        """Runs an operation; `None` when Redis did not do it. Who calls decides whether it is tried again."""
        self._talking += 1
        try:
            answer: T = await self.agate.run(op)
            return answer
        except SyncGateError as error:
            log.debug("redis: %s", error)
            return None
        finally:
            self._talking -= 1

    async def _register(self) -> None:
        async with self._serving:
            for name in self.functions:
                if self._leaving:
                    return
                words = (self.id.encode(), EXECUTOR.encode(), name.encode(), b"%d" % talk.LEASE_MS, FEATURES)
                await self.agate.run(call("sg_fn_serve", self.root, words, number))
        if not self._registered:
            self._registered = True
            names = ",".join(self.functions)
            log.info("serving", extra={"functions": names, "concurrency": self.concurrency, "worker": self.id})
            self.ready.set()

    async def _register_again(self) -> None:
        try:
            await self._register()
        except SyncGateError as error:
            log.warning("cannot register again: %s", error)

    async def _listen(self) -> None:
        attempt = 0
        while True:
            connection = None
            try:
                connection = await self.agate.transport.listener(self.root)
                for name in self._channels:
                    await connection.send_command("SSUBSCRIBE", name)
                    await connection.read_response(disable_decoding=True)
                if not self._leaving:
                    await self._register()
                if attempt:
                    log.info("connected again")
                attempt = 0
                while True:
                    payload = payload_of(await connection.read_response(disable_decoding=True), self._channels)
                    if payload is not None:
                        self._hear(payload)
            except (*LOST, *REPLY_ERRORS, SyncGateError) as error:
                if attempt == 0:
                    log.warning("redis: %s", error)
            finally:
                if connection is not None:
                    await end(connection)
            await asyncio.sleep(pause(attempt))
            attempt += 1

    def _beat(self) -> None:
        """In a thread of its own: a loop that is blocked does not look like death."""
        transport = Transport(self.url, min(self.timeout, 2.0))
        beats = 0
        next_at = time.monotonic() + BEAT_S
        while not self._ended.wait(max(0.0, next_at - time.monotonic())):
            next_at = max(next_at + BEAT_S, time.monotonic() + 0.1)
            if not self._registered:
                continue
            try:
                op = talk.beat(self.root, self.id, {EXECUTOR: len(self._running) + len(self._waiting)})
                transport.execute(op.args, op.key, False)
                beats += 1
                if beats % 2 == 0 and not self._leaving and not self._is_held(transport):
                    self.loop.call_soon_threadsafe(lambda: self._keep(self._register_again()))
            except (SyncGateError, RuntimeError):
                next_at = min(next_at, time.monotonic() + 0.5)
        transport.close()

    def _is_held(self, transport: Transport) -> bool:
        """Does the catalogue still say what this worker serves? (It may have been flushed.)"""
        names: set[bytes] = set()
        place = b"0"
        while True:
            command = (b"FCALL_RO", b"sg_fn_held", b"1", self.root, self.id.encode(), place)
            reply = transport.execute(command, self.root, True)
            names |= set(reply[2::2])
            place = reply[0]
            if place == b"0":
                return names >= {name.encode() for name in self.functions}

    def _hear(self, payload: bytes) -> None:
        kind, _, rest = payload.partition(b" ")
        if kind == b"c":
            self._arrive(payload)
        elif kind in (b"k", b"a", b"g-"):
            words = rest.decode(errors="replace").split(" ")
            if kind == b"k" and len(words) == 4:
                job = self._jobs.get((words[1], words[0]))
                if job is not None:
                    job.cancel(words[3])
            elif kind == b"a" and len(words) == 2:
                self._asked(words[1], words[0])
            elif kind == b"g-" and words[-1] == self.id and not self._leaving:
                log.warning("buried by mistake, serving again")
                self._keep(self._register_again())

    # --- calls ---

    def _arrive(self, payload: bytes) -> None:
        arrived = talk.arrived(payload)
        if arrived is None:
            log.warning("a call that cannot be read")
            return
        served = self.functions.get(arrived.function)
        if served is None:
            self._keep(self._answer(arrived, failure(3, f"nobody serves {arrived.function}")))
            return
        if (arrived.caller, arrived.call) in self._jobs:
            return
        job = Job(self, served, arrived)
        if len(self._waiting) >= self.queue and not self._has_room(job):
            self._keep(self._answer(arrived, failure(8, "busy")))
            return
        self._jobs[job.key] = job
        self._waiting.append(job)
        self._pump()
        if job not in self._running:
            self._keep(self._wait_for_turn(job))

    async def _answer(self, arrived: talk.Arrived, result: bytes) -> None:
        words = (self.id, arrived.executor, arrived.call, arrived.caller)
        await self.attempt(call("sg_fn_done", self.root, (*(word.encode() for word in words), result), number))

    def _has_room(self, job: Job) -> bool:
        limit = job.served.concurrency
        same = sum(1 for running in self._running if running.served is job.served)
        return len(self._running) < self.concurrency and (limit is None or same < limit)

    def _pump(self) -> None:
        """Starts what may start, in the order of arrival."""
        if len(self._running) >= self.concurrency:
            return
        for job in list(self._waiting):
            if self._has_room(job):
                self._waiting.remove(job)
                self._running.add(job)
                self._keep(self._run(job))

    async def _run(self, job: Job) -> None:
        try:
            await job.run()
        finally:
            self._running.discard(job)
            self._jobs.pop(job.key, None)
            self._pump()

    async def _wait_for_turn(self, job: Job) -> None:
        """A call that waits ends by its deadline, or when it is cancelled."""
        await asyncio.wait({job.cancelled}, timeout=max(0.0, job.context.deadline - time.monotonic()))
        if job in self._waiting:
            job.cancel("deadline")
            self._drop_waiting(job)
            await job.end_early()

    def _drop_waiting(self, job: Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
        self._jobs.pop(job.key, None)

    def settled(self, job: Job, result: bytes | None) -> None:
        """The call has its result (`None`: nobody wants it). Kept for a while, should the caller ask again."""
        self._jobs.pop(job.key, None)
        if result is None:
            return
        self._results[job.key] = (job, result)
        self._kept += len(result)
        now = time.monotonic()
        while self._results:
            key, (oldest, held) = next(iter(self._results.items()))
            if oldest.until > now and len(self._results) <= KEPT_RESULTS and self._kept <= KEPT_BYTES:
                break
            del self._results[key]
            self._kept -= len(held)

    def _asked(self, caller: str, call_id: str) -> None:
        """A caller that missed messages asks for a result."""
        if caller == self.id and call_id == "mark":
            if self._mark is not None:
                self._mark.set()
            return
        if (caller, call_id) in self._jobs:
            return
        held = self._results.get((caller, call_id))
        if held is not None:
            self._keep(held[0].tell(held[1]))
            return
        arrived = talk.Arrived(call_id, caller, "-", 0, "", None, b"")
        self._keep(self._answer(arrived, failure(8, "executor gone")))

    def deliver_later(self, job: Job, result: bytes) -> None:
        """Nobody took the result: the caller's connection was cut, or Redis is away. No reason to keep others waiting."""
        task = self._keep(job.deliver(result))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    def _keep(self, thing: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        task = asyncio.ensure_future(thing)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a mistake of the worker", exc_info=error)


def run(source: Registry, **options: Any) -> int:
    """`Worker(source, **options).run()`: serves until a signal comes."""
    return Worker(source, **options).run()
