"""Talking to Redis with asyncio. One event loop; requests may be cancelled at any moment."""

from __future__ import annotations

import asyncio
import select
import time
from typing import Any, Sequence

import redis.asyncio as _aredis

from . import library
from .blocking import Command, NotSent
from .errors import SyncGateError, Unavailable, from_reply
from .wire import (
    LOST, REPLY_ERRORS, TRIES_OF_A_CLUSTER, cluster_of_client, cluster_of_url, is_cluster, is_missing, is_said, key_slot, left, missing,
    pool_options, raised, redirect, reply_text, slots_of,
)  # fmt: skip

aredis: Any = _aredis
IDLE_MAX = 100


class _Talk:
    """One exchange: how far it is, and whether anybody waits for it."""

    def __init__(self, commands: Sequence[Command], asking: bool) -> None:
        self.commands = commands
        self.asking = asking
        self.sent = False
        self.abandoned = False
        self.connection: Any = None
        self.replies: list[Any] = []

    def abandon(self, task: asyncio.Future[None]) -> None:
        """Ends it, also where redis-py swallows the cancellation: without its connection it cannot go on."""
        self.abandoned = True
        _ending.add(task)
        task.add_done_callback(_ended)
        task.cancel()
        if self.connection is not None:
            _cut(self.connection)


_ending: set[asyncio.Future[None]] = set()


def _ended(task: asyncio.Future[None]) -> None:
    _ending.discard(task)
    if not task.cancelled():
        task.exception()


class AsyncNode:
    """One server, and connections to it.

    Made as the pool would make them, but kept here: when redis-py's own pool looks whether a connection is usable, it may take somebody's
    cancellation for its timeout, and go on.
    """

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.checked = False
        self.free: list[Any] = []

    async def connection(self) -> Any:
        while self.free:
            connection = self.free.pop()
            if not _stale(connection):
                return connection
            await _abort(connection)
        connection = self.make()
        try:
            await connection.connect()
        except BaseException:
            await _abort(connection)
            raise
        return connection

    def make(self) -> Any:
        # Time is kept by who waits.
        return self.pool.connection_class(**{**self.pool.connection_kwargs, "socket_timeout": None})

    async def close(self) -> None:
        free, self.free = self.free, []
        for connection in free:
            await _abort(connection)

    async def exchange(self, commands: Sequence[Command], until: float, asking: bool = False) -> list[Any]:
        """As `Node.exchange`."""
        talk = _Talk(commands, asking)
        task = asyncio.ensure_future(self._talk(talk))
        try:
            # Not wait_for: before Python 3.12 it may lose a cancellation.
            await asyncio.wait({task}, timeout=left(until))
        finally:
            if not task.done():
                talk.abandon(task)
        if task.done():
            error = task.exception()
            if error is None:
                return talk.replies
            if isinstance(error, NotSent) or not isinstance(error, LOST):
                raise error
        else:
            error = Unavailable("no answer in time", maybe_done=talk.sent)
            if not talk.sent:
                raise NotSent(error)
        ours = raised(error, talk.sent)
        if not talk.replies:
            raise ours from error
        return talk.replies + [ours] * (len(commands) - len(talk.replies))

    async def _talk(self, talk: _Talk) -> None:
        try:
            connection = await self.connection()
        except LOST + REPLY_ERRORS as error:
            raise NotSent(error) from error
        clean = False
        talk.connection = connection
        try:
            if talk.abandoned:
                return
            if talk.asking:
                await connection.send_command("ASKING", check_health=False)
                await connection.read_response()
            packed = [part for command in talk.commands for part in connection.pack_command(*command)]
            talk.sent = True
            await connection.send_packed_command(packed, check_health=False)
            for _ in talk.commands:
                talk.replies.append(await self._reply(connection))
            clean = not talk.abandoned
        finally:
            # Whoever is cancelled leaves an answer behind, which must never be somebody else's.
            if clean and len(self.free) < IDLE_MAX:
                self.free.append(connection)
            else:
                await _abort(connection)

    async def _reply(self, connection: Any) -> Any:
        try:
            return await connection.read_response(disable_decoding=True)
        except REPLY_ERRORS as error:
            return error
        except LOST as error:
            if is_said(error):
                return error
            raise


def _stale(connection: Any) -> bool:
    """An idle connection has nothing to read, unless the other side closed it, which the event loop may not have noticed yet."""
    writer = getattr(connection, "_writer", None)
    if writer is None or writer.transport.is_closing() or connection._reader.at_eof():
        return True
    handle = writer.get_extra_info("socket")
    if handle is None or handle.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(handle.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _cut(connection: Any) -> None:
    writer = getattr(connection, "_writer", None)
    if writer is not None and writer.transport is not None:
        writer.transport.abort()


async def _abort(connection: Any) -> None:
    """Ends a connection at once, before anything may be awaited."""
    _cut(connection)
    try:
        await connection.disconnect()
    except (*LOST, asyncio.TimeoutError):
        pass


def make_pool(url: str, timeout: float) -> Any:
    return aredis.ConnectionPool.from_url(url, **pool_options(url, timeout))


class AsyncTransport:
    """One server or a cluster of them. Made without I/O; belongs to the event loop that uses it first."""

    def __init__(self, client: Any, timeout: float) -> None:
        self.timeout = timeout
        self.nodes: dict[tuple[str, int], AsyncNode] = {}
        self.slots: list[tuple[str, int]] | None = None
        self.seeds: list[tuple[str, int]] = []
        self.options: dict[str, Any] = {}
        self.single: AsyncNode | None = None
        if isinstance(client, str) and client.startswith("redis-cluster://"):
            self.seeds, self.options = cluster_of_url(client)
        elif isinstance(client, str):
            self.single = AsyncNode(make_pool(client, timeout))
        elif is_cluster(client):
            self.seeds, self.options = cluster_of_client(client)
        else:
            self.single = AsyncNode(client.connection_pool)

    @property
    def database(self) -> int:
        return int(self.single.pool.connection_kwargs.get("db") or 0) if self.single else 0

    def node(self, address: tuple[str, int]) -> AsyncNode:
        held = self.nodes.get(address)
        if held is None:
            options = dict(self.options)
            scheme = "rediss" if options.pop("ssl", False) else "redis"
            pool = make_pool(f"{scheme}://{address[0]}:{address[1]}", self.timeout)
            pool.connection_kwargs.update(options)
            held = self.nodes.setdefault(address, AsyncNode(pool))
        return held

    async def node_for(self, key: bytes, until: float) -> AsyncNode:
        if self.single is not None:
            return self.single
        if self.slots is None:
            await self._read_slots(until)
        assert self.slots is not None
        return self.node(self.slots[key_slot(key)])

    async def _read_slots(self, until: float) -> None:
        last: Exception | None = None
        for seed in [*self.seeds, *self.nodes]:
            try:
                (reply,) = await self.node(seed).exchange([(b"CLUSTER", b"SLOTS")], until)
            except (NotSent, SyncGateError) as error:
                last = error
                continue
            if isinstance(reply, BaseException):
                raise from_reply(reply_text(reply))
            self.slots = slots_of(reply, seed)
            return
        raise Unavailable(f"no node of the cluster answers: {last}")

    async def load(self, node: AsyncNode, until: float) -> int:
        """As `Transport.load`."""
        (found,) = await node.exchange([(b"FCALL_RO", b"sg_version", b"0")], until)
        if isinstance(found, BaseException):
            text = reply_text(found)
            if not is_missing(text):
                if text.startswith("NOPERM"):
                    node.checked = True
                    return 0
                raise from_reply(text)
            found = 0
        if int(found) < library.version():
            (answer,) = await node.exchange([(b"FUNCTION", b"LOAD", b"REPLACE", library.text())], until)
            if isinstance(answer, BaseException):
                text = reply_text(answer)
                if text.startswith("NOPERM"):
                    raise missing(text)
                raise from_reply(text)
            found = library.version()
        node.checked = True
        return int(found)

    async def execute(self, command: Command, key: bytes, read: bool, until: float | None = None) -> Any:
        """As `Transport.execute`."""
        until = until or time.monotonic() + self.timeout
        tries = 0
        loaded = False
        node: AsyncNode | None = None
        asking = False
        while True:
            tries += 1
            try:
                if node is None:
                    node, asking = await self.node_for(key, until), False
                if not node.checked:
                    await self.load(node, until)
                (reply,) = await node.exchange([command], until, asking)
            except NotSent as error:
                cause = error.args[0]
                if tries >= 2 or time.monotonic() >= until or is_said(cause):
                    raise raised(cause, False) from cause
                node, self.slots = None, None
                continue
            except Unavailable:
                if read and tries < 2 and time.monotonic() < until:
                    node, self.slots = None, None
                    continue
                raise
            if not isinstance(reply, BaseException):
                return reply
            text = reply_text(reply)
            if is_missing(text) and not loaded:
                await self.load(node, until)
                loaded = True
                continue
            where = redirect(text)
            if where is not None and self.single is None and tries < TRIES_OF_A_CLUSTER:
                if where[0] == "MOVED":
                    self.slots = None
                node = self.node((where[1] or self.seeds[0][0], where[2]))
                asking = where[0] == "ASK"
                continue
            if is_missing(text):
                raise missing(text)
            raise from_reply(text)

    async def execute_many(self, commands: Sequence[Command], keys: Sequence[bytes]) -> list[Any]:
        """As `Transport.execute_many`."""
        until = time.monotonic() + self.timeout
        answers: list[Any] = [None] * len(commands)
        groups: dict[AsyncNode, list[int]] = {}
        for place, key in enumerate(keys):
            try:
                groups.setdefault(await self.node_for(key, until), []).append(place)
            except SyncGateError as error:
                answers[place] = error
        for node, places in groups.items():
            try:
                if not node.checked:
                    await self.load(node, until)
                replies = await self._exchange(node, [commands[place] for place in places])
            except (NotSent, SyncGateError) as error:
                ours = raised(error.args[0], False) if isinstance(error, NotSent) else error
                for place in places:
                    answers[place] = ours
                continue
            for place, reply in zip(places, replies):
                if isinstance(reply, BaseException) and not isinstance(reply, SyncGateError):
                    text = reply_text(reply)
                    if is_missing(text) or redirect(text) is not None and self.single is None:
                        try:
                            reply = await self.execute(commands[place], keys[place], False)
                        except SyncGateError as error:
                            reply = error
                    else:
                        reply = from_reply(text)
                answers[place] = reply
        return answers

    async def _exchange(self, node: AsyncNode, commands: Sequence[Command]) -> list[Any]:
        try:
            return await node.exchange(commands, time.monotonic() + self.timeout)
        except NotSent as error:
            if is_said(error.args[0]):
                raise
            return await node.exchange(commands, time.monotonic() + self.timeout)

    async def listener(self, key: bytes) -> Any:
        """A new connection to where `key` lives, connected, that waits without an end; its owner closes it."""
        until = time.monotonic() + self.timeout
        node = await self.node_for(key, until)
        connection = node.make()
        try:
            await asyncio.wait_for(connection.connect(), left(until))
        except (asyncio.TimeoutError, *LOST, *REPLY_ERRORS) as error:
            self.slots = None
            await _abort(connection)
            raise raised(error, False) from error
        return connection

    async def close(self) -> None:
        for node in [*self.nodes.values(), *([self.single] if self.single is not None else [])]:
            await node.close()


async def end(connection: Any) -> None:
    """Closes a connection that `listener` made."""
    await _abort(connection)
