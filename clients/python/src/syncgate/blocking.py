"""Talking to Redis, waiting for the answers."""

from __future__ import annotations

import time
from typing import Any, Sequence

from . import library
from .errors import SyncGateError, Unavailable, from_reply
from .wire import (
    LOST, REPLY_ERRORS, TRIES_OF_A_CLUSTER, cluster_of_client, cluster_of_url, deadline, is_cluster, is_missing, is_said, key_slot, left,
    missing, pool_options, raised, redirect, redis, reply_text, slots_of, takes_command,
)  # fmt: skip

Command = tuple[bytes, ...]


class _Bounded:
    """A connection that is made within the time of the request that needs it."""

    def connect(self, *args: Any, **named: Any) -> Any:
        if deadline.until is not None and not getattr(self, "_sock", None):
            self.socket_timeout = self.socket_connect_timeout = left(deadline.until)
        return super().connect(*args, **named)  # type: ignore[misc]


class NotSent(Exception):
    """There was no connection: nothing was sent."""


class Node:
    """One server."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.checked = False
        self._named = takes_command(type(pool))

    def connection(self) -> Any:
        return self.pool.get_connection("FCALL") if self._named else self.pool.get_connection()

    def exchange(self, commands: Sequence[Command], until: float, asking: bool = False) -> list[Any]:
        """The answers to commands, errors of Redis among them; ours for those behind which the connection broke. Raises: `NotSent`, `Unavailable`, `Refused`."""
        deadline.until = until
        sent = False
        replies: list[Any] = []
        try:
            try:
                connection = self.connection()
            except LOST + REPLY_ERRORS as error:
                raise NotSent(error) from error
            try:
                if asking:
                    connection.send_command("ASKING", check_health=False)
                    connection.read_response()
                self._limit(connection, until)
                packed = [connection.pack_command(*command) for command in commands]
                try:
                    connection.send_packed_command([part for parts in packed for part in parts], check_health=False)
                except LOST as error:
                    # What was not written whole is not carried out; of several commands the first ones may be.
                    if len(commands) == 1:
                        raise NotSent(error) from error
                    sent = True
                    raise
                sent = True
                for _ in commands:
                    replies.append(self._reply(connection, until))
                return replies
            except BaseException:
                connection.disconnect()
                raise
            finally:
                self.pool.release(connection)
        except NotSent:
            raise
        except LOST as error:
            if not replies:
                raise raised(error, sent) from error
            return replies + [raised(error, sent)] * (len(commands) - len(replies))
        finally:
            deadline.until = None

    def _limit(self, connection: Any, until: float) -> None:
        socket = getattr(connection, "_sock", None)
        if socket is not None:
            socket.settimeout(left(until))

    def _reply(self, connection: Any, until: float) -> Any:
        self._limit(connection, until)
        try:
            return connection.read_response(disable_decoding=True)
        except REPLY_ERRORS as error:
            return error
        except LOST as error:
            if is_said(error):
                return error
            raise


def make_pool(url: str, timeout: float) -> Any:
    pool = redis.ConnectionPool.from_url(url, **pool_options(url, timeout))
    pool.connection_class = type("Connection", (_Bounded, pool.connection_class), {})
    return pool


class Transport:
    """One server or a cluster of them. Made without I/O, by many threads at once, and in a child after a fork."""

    def __init__(self, client: Any, timeout: float) -> None:
        self.timeout = timeout
        self.nodes: dict[tuple[str, int], Node] = {}
        self.slots: list[tuple[str, int]] | None = None
        self.seeds: list[tuple[str, int]] = []
        self.options: dict[str, Any] = {}
        self.single: Node | None = None
        self.owned = isinstance(client, str)
        if isinstance(client, str) and client.startswith("redis-cluster://"):
            self.seeds, self.options = cluster_of_url(client)
        elif isinstance(client, str):
            self.single = Node(make_pool(client, timeout))
        elif is_cluster(client):
            self.seeds, self.options = cluster_of_client(client)
            self.owned = True
        else:
            self.single = Node(client.connection_pool)

    @property
    def database(self) -> int:
        return int(self.single.pool.connection_kwargs.get("db") or 0) if self.single else 0

    def node(self, address: tuple[str, int]) -> Node:
        held = self.nodes.get(address)
        if held is None:
            options = dict(self.options)
            scheme = "rediss" if options.pop("ssl", False) else "redis"
            pool = make_pool(f"{scheme}://{address[0]}:{address[1]}", self.timeout)
            pool.connection_kwargs.update(options)
            held = self.nodes.setdefault(address, Node(pool))
        return held

    def node_for(self, key: bytes, until: float) -> Node:
        if self.single is not None:
            return self.single
        if self.slots is None:
            self._read_slots(until)
        assert self.slots is not None
        return self.node(self.slots[key_slot(key)])

    def _read_slots(self, until: float) -> None:
        last: Exception | None = None
        for seed in [*self.seeds, *self.nodes]:
            try:
                (reply,) = self.node(seed).exchange([(b"CLUSTER", b"SLOTS")], until)
            except (NotSent, SyncGateError) as error:
                last = error
                continue
            if isinstance(reply, BaseException):
                raise from_reply(reply_text(reply))
            self.slots = slots_of(reply, seed)
            return
        raise Unavailable(f"no node of the cluster answers: {last}")

    def load(self, node: Node, until: float) -> int:
        """Sees to the functions of one server: loads ours where they are missing or older. Answers the version that is there."""
        (found,) = node.exchange([(b"FCALL_RO", b"sg_version", b"0")], until)
        if isinstance(found, BaseException):
            text = reply_text(found)
            if not is_missing(text):
                if text.startswith("NOPERM"):
                    node.checked = True
                    return 0
                raise from_reply(text)
            found = 0
        if int(found) < library.version():
            (answer,) = node.exchange([(b"FUNCTION", b"LOAD", b"REPLACE", library.text())], until)
            if isinstance(answer, BaseException):
                text = reply_text(answer)
                if text.startswith("NOPERM"):
                    raise missing(text)
                raise from_reply(text)
            found = library.version()
        node.checked = True
        return int(found)

    def execute(self, command: Command, key: bytes, read: bool, until: float | None = None) -> Any:
        """The answer to one command. Raises: ours."""
        until = until or time.monotonic() + self.timeout
        tries = 0
        loaded = False
        node: Node | None = None
        asking = False
        while True:
            tries += 1
            try:
                if node is None:
                    node, asking = self.node_for(key, until), False
                if not node.checked:
                    self.load(node, until)
                (reply,) = node.exchange([command], until, asking)
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
                self.load(node, until)
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

    def execute_many(self, commands: Sequence[Command], keys: Sequence[bytes]) -> list[Any]:
        """The answers to many commands, in order, our errors among them; raises nothing but what is not about Redis."""
        until = time.monotonic() + self.timeout
        answers: list[Any] = [None] * len(commands)
        groups: dict[Node, list[int]] = {}
        for place, key in enumerate(keys):
            try:
                groups.setdefault(self.node_for(key, until), []).append(place)
            except SyncGateError as error:
                answers[place] = error
        for node, places in groups.items():
            try:
                if not node.checked:
                    self.load(node, until)
                replies = self._exchange(node, [commands[place] for place in places])
            except (NotSent, SyncGateError) as error:
                ours = raised(error.args[0], False) if isinstance(error, NotSent) else error
                for place in places:
                    answers[place] = ours
                continue
            for place, reply in zip(places, replies):
                if isinstance(reply, BaseException) and not isinstance(reply, SyncGateError):
                    text = reply_text(reply)
                    # Neither was carried out: each goes its own way again.
                    if is_missing(text) or redirect(text) is not None and self.single is None:
                        try:
                            reply = self.execute(commands[place], keys[place], False)
                        except SyncGateError as error:
                            reply = error
                    else:
                        reply = from_reply(text)
                answers[place] = reply
        return answers

    def _exchange(self, node: Node, commands: Sequence[Command]) -> list[Any]:
        try:
            return node.exchange(commands, time.monotonic() + self.timeout)
        except NotSent as error:
            if is_said(error.args[0]):
                raise
            return node.exchange(commands, time.monotonic() + self.timeout)

    def listener(self, key: bytes) -> Any:
        """A new connection to where `key` lives, connected; its owner closes it."""
        until = time.monotonic() + self.timeout
        node = self.node_for(key, until)
        connection = node.pool.connection_class(**node.pool.connection_kwargs)
        deadline.until = until
        try:
            connection.connect()
        except LOST + REPLY_ERRORS as error:
            self.slots = None
            connection.disconnect()
            raise raised(error, False) from error
        finally:
            deadline.until = None
        return connection

    def close(self) -> None:
        pools = [node.pool for node in self.nodes.values()]
        if self.owned and self.single is not None:
            pools.append(self.single.pool)
        for pool in pools:
            pool.disconnect()
