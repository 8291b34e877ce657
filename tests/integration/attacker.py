"""Clients that take what is not theirs: connections without a request, with half of one, with a body that never ends. They come from
addresses of 127.0.0.0/8, and whoever is cut comes back at once."""
import asyncio
import resource
import socket


def raise_descriptors():
    """As many as the machine allows this process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Attack:
    """`count` connections that each say `start`, then `more` again and again; from 127.0.0.`first_host` on, so many of them."""

    def __init__(self, address, count, start, more=b"", hosts=1, first_host=2, tls=None):
        self.address, self.start, self.more, self.tls = address, start, more, tls
        self.sources = [f"127.0.0.{first_host + number % hosts}" for number in range(count)]
        self.connected = 0  # so often, all together
        self.answers = set()  # first lines of what they were told
        self.tasks = []

    async def __aenter__(self):
        raise_descriptors()
        self.tasks = [asyncio.ensure_future(self._hold(source)) for source in self.sources]
        async with asyncio.timeout(60):
            while self.connected < len(self.sources):
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _hold(self, source):
        loop = asyncio.get_running_loop()
        while True:
            with socket.socket() as sock:
                sock.setblocking(False)
                try:
                    sock.bind((source, 0))
                    await loop.sock_connect(sock, self.address)
                    if self.start:
                        await loop.sock_sendall(sock, self.start)
                    self.connected += 1
                    await self._until_cut(loop, sock)
                except OSError:
                    pass
            await asyncio.sleep(0.2)  # not so fast that this process is busy with it alone

    async def _until_cut(self, loop, sock):
        reading = asyncio.ensure_future(loop.sock_recv(sock, 65536))
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=1 if self.more else None)
                if self.more and not reading.done():
                    await loop.sock_sendall(sock, self.more)
            if reading.result():
                self.answers.add(reading.result().split(b"\r\n")[0].decode("latin-1"))
        finally:
            reading.cancel()
