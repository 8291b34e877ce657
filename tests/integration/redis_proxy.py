"""Stands between a gateway and Redis on a unix socket, understands what Redis says (RESP3), and swallows messages of channels when
told to: a link that answers and hears nothing.
"""
import asyncio

LINES = b"+-:_#,("
BLOBS = b"$=!"
FLAT = b"*~>"
PAIRED = b"%|"


class RedisProxy:
    """`async with RedisProxy(path, redis)`: listens at path, passes on to the unix socket of Redis."""

    def __init__(self, path, redis):
        self.path, self.redis = str(path), str(redis)
        self.swallows = lambda channel, payload: False
        self.swallowed = 0
        self.answers = True  # False: nothing but messages of channels passes
        self.server = None
        self.connections = set()
        self.open = asyncio.Event()
        self.open.set()

    async def __aenter__(self):
        self.server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    async def cut(self):
        """Ends every connection; new ones wait for mend()."""
        self.open.clear()
        for task in list(self.connections):
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    def mend(self):
        self.open.set()

    async def _serve(self, reader, writer):
        self.connections.add(asyncio.current_task())
        try:
            await self.open.wait()
            from_redis, to_redis = await asyncio.open_unix_connection(self.redis)
            there = asyncio.create_task(self._copy(reader, to_redis))
            back = asyncio.create_task(self._filter(from_redis, writer))
            try:
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (there, back):
                    task.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
                to_redis.close()
        except OSError:
            pass  # Redis is away
        finally:
            writer.close()
            self.connections.discard(asyncio.current_task())

    @staticmethod
    async def _copy(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def _filter(self, reader, writer):
        while True:
            raw, parts = await self._value(reader)
            if raw[:1] == b">" and parts[0] == b"smessage" and self.swallows(parts[1].decode(), parts[2]):
                self.swallowed += 1
                continue
            if not self.answers and raw[:1] != b">":
                continue
            writer.write(raw)
            await writer.drain()

    async def _value(self, reader):
        """One value as it was sent, and what is in it: bytes, or a list for aggregates."""
        line = await reader.readuntil(b"\r\n")
        kind, rest = line[0], line[1:-2]
        if kind in LINES:
            return line, rest
        if kind in BLOBS:
            if int(rest) < 0:
                return line, None
            body = await reader.readexactly(int(rest) + 2)
            return line + body, body[:-2]
        assert kind in FLAT + PAIRED, line
        raw, parts = [line], []
        for _ in range(max(int(rest), 0) * (2 if kind in PAIRED else 1)):
            piece, part = await self._value(reader)
            raw.append(piece)
            parts.append(part)
        return b"".join(raw), parts
