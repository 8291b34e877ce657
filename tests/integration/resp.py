"""A Redis client of one screen: commands and pipelines in order, and an observer of a sharded channel.

The observer writes down what Redis published; it is the order of the changes that every client is measured by.
"""
import asyncio

import hiredis


class RedisError(Exception):
    """An error reply; its first word tells the class."""


class Redis:
    """One RESP2 connection. Commands are answered in order; an error reply raises RedisError."""

    def __init__(self, path):
        self._path = path
        self._streams = None
        self._parser = None
        self._turn = asyncio.Lock()

    async def close(self):
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _open(self):
        if self._streams and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            await self.close()  # Redis was restarted
        if not self._streams:
            self._streams = await asyncio.open_unix_connection(self._path, limit=1 << 24)
            self._parser = hiredis.Reader()

    async def _reply(self):
        while True:
            reply = self._parser.gets()
            if reply is not False:
                return reply
            data = await self._streams[0].read(1 << 16)
            if not data:
                await self.close()
                raise ConnectionError("Redis closed the connection")
            self._parser.feed(data)

    async def pipeline(self, commands):
        """All commands in one write; the replies as a list, error replies as RedisError objects."""
        async with self._turn:
            await self._open()
            self._streams[1].write(b"".join(_pack(command) for command in commands))
            try:
                await self._streams[1].drain()
                replies = [await self._reply() for _ in commands]
            except (OSError, asyncio.CancelledError):
                await self.close()
                raise
        return [RedisError(str(r)) if isinstance(r, hiredis.ReplyError) else r for r in replies]

    async def cmd(self, *command):
        reply = (await self.pipeline([command]))[0]
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def fcall(self, function, name, *args):
        return await self.cmd(*fcall(function, name, *args))


def fcall(function, name, *args):
    """The command that calls a function of the library on one name."""
    return ("FCALL", function, 1, name, *args)


def _pack(command):
    parts = [f"*{len(command)}\r\n".encode()]
    for argument in command:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class Observer:
    """Everything that is published on some sharded channels, in order: `log` holds (channel, payload) pairs."""

    def __init__(self, path):
        self._path = path
        self._task = None
        self._writer = None
        self._own = f"observer {id(self)}"
        self._drained = asyncio.Event()
        self.log = []

    async def start(self, *channels):
        channels += (self._own,)
        reader, self._writer = await asyncio.open_unix_connection(self._path)
        parser = hiredis.Reader()
        self._writer.write(b"".join(_pack(("SSUBSCRIBE", channel)) for channel in channels))
        subscribed = asyncio.Event()

        async def listen():
            confirmed = 0
            while True:
                reply = parser.gets()
                if reply is False:
                    data = await reader.read(1 << 16)
                    if not data:
                        return
                    parser.feed(data)
                elif isinstance(reply, hiredis.ReplyError):
                    raise RedisError(str(reply))
                elif reply[0] == b"ssubscribe":
                    confirmed += 1
                    if confirmed == len(channels):
                        subscribed.set()
                elif reply[1] == self._own.encode():
                    self._drained.set()
                elif reply[0] == b"smessage":
                    self.log.append((reply[1].decode(), reply[2]))

        self._task = asyncio.ensure_future(listen())
        await subscribed.wait()
        return self

    async def stop(self, client):
        """Waits until everything that was published before is in the log."""
        await client.cmd("SPUBLISH", self._own, "")
        await self._drained.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()
