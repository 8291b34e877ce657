"""A supervisor opens the sockets, passes them on and is told how the gateway is."""
import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import sys

import pytest
from websockets.legacy import client as websocket_client  # what both 10 (Debian 12) and 15 (Debian 13) have

from conftest import write_config
from gateway import PATIENCE_S, http_get, until
from test_admin import ask
from test_reload import make_certificate

# Becomes the gateway with its sockets from descriptor 3 on, as a supervisor starts it.
LAUNCHER = """
import fcntl, os, sys
count = int(sys.argv[1])
high = [fcntl.fcntl(int(text), fcntl.F_DUPFD, 100) for text in sys.argv[2:2 + count]]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number)
pid = os.environ.pop("TEST_LISTEN_PID", str(os.getpid()))
os.environ.update(LISTEN_PID=pid, LISTEN_FDS=str(count), LISTEN_FDNAMES=":".join(["x"] * count))
os.closerange(3 + count, 200)
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


class Supervisor:
    """Listens, passes on, and hears what is notified."""

    def __init__(self, folder):
        self.sockets = []
        self.path = str(folder / "notify.sock")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.path)
        self.notify.setblocking(False)
        self.heard = []

    def listen(self, address=("127.0.0.1", 0)):
        sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        sock.bind(address)
        sock.listen(64)
        self.sockets.append(sock)
        return sock.getsockname()

    def configure(self, gateway, **env):
        gateway.pass_fds = [sock.fileno() for sock in self.sockets]
        gateway.launcher = [sys.executable, "-c", LAUNCHER, str(len(self.sockets))] + [str(fd) for fd in gateway.pass_fds]
        gateway.env = {"NOTIFY_SOCKET": self.path, **env}
        return gateway

    def hear(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self.notify.recv(4096).decode())
        return self.heard

    async def until_heard(self, state, count=1):
        await until(lambda: sum(text.split("\n")[0] == state for text in self.hear()) >= count, lambda: f"{state}: {self.heard}")

    def close(self):
        for sock in self.sockets:
            sock.close()
        self.notify.close()


@pytest.fixture
def supervisor(tmp_path):
    one = Supervisor(tmp_path)
    yield one
    one.close()


async def begun(gateways, supervisor, *flags, env=None, **options):
    gateway = supervisor.configure(gateways.new(*flags, **options), **(env or {}))
    gateway.launch()
    await supervisor.until_heard("READY=1")
    return gateway


async def converse(address, db, name, url=None, **options):
    """A subscriber gets the state and a change."""
    await db.fcall("sg_var_set", name, "1")
    connect = websocket_client.unix_connect if isinstance(address, str) else websocket_client.connect
    where = [address, "ws://localhost/ws"] if isinstance(address, str) else [url or f"ws://{address[0]}:{address[1]}/ws"]
    async with connect(*where, compression=None, **options) as ws:
        await ws.send(json.dumps({"func": "subscribe", "type": "var", "name": name}))
        assert json.loads(await asyncio.wait_for(ws.recv(), PATIENCE_S))["value"] == 1
        await db.fcall("sg_var_set", name, '"' + "x" * 500000 + '"')
        assert len(await asyncio.wait_for(ws.recv(), PATIENCE_S)) > 500000


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_it_serves_what_was_passed_and_nothing_else(gateways, supervisor, tmp_path, db, name, flags):
    address, path = supervisor.listen(), supervisor.listen(str(tmp_path / "gate.sock"))
    gateway = await begun(gateways, supervisor, *flags)
    for number, one in enumerate((address, path)):
        await until(lambda one=one: http_get(one, "/readyz").status == 200, "it is ready")
        await converse(one, db, f"{name}.{number}")  # a worker may still hold what another was told last
        assert ask(one, "/admin/nowhere").status == 404
    with pytest.raises(OSError):
        gateway.get("/healthz")  # of --listen
    assert os.path.exists(path)
    await gateway.stop_async()
    assert os.path.exists(path), "the socket is the supervisor's"


async def test_tls_on_a_passed_socket(gateways, supervisor, tmp_path, db, name):
    cert, key = make_certificate(tmp_path, "localhost")
    address = supervisor.listen()
    await begun(gateways, supervisor, "--tls-cert", cert, "--tls-key", key)
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    await until_function(db)
    await converse(address, db, name, url=f"wss://127.0.0.1:{address[1]}/ws", ssl=context, max_size=None)


async def until_function(db):
    """READY=1 says that it listens; the link to Redis may be a moment behind."""
    async def there():
        with contextlib.suppress(Exception):
            await db.fcall("sg_var_set", "probe", "1")
            return True
    await until(there, "the functions are loaded")


async def test_who_connects_during_a_restart_waits(gateways, supervisor, db, name):
    """The socket stays open between two gateways: nobody is refused."""
    address = supervisor.listen()
    first = await begun(gateways, supervisor)
    await until_function(db)
    await converse(address, db, name)
    await first.stop_async()
    waiting = asyncio.ensure_future(converse(address, db, name))
    second = supervisor.configure(gateways.new())
    second.launch()
    await waiting


async def test_sockets_for_another_process_are_not_taken(gateways, supervisor):
    supervisor.listen()
    gateway = await begun(gateways, supervisor, env={"TEST_LISTEN_PID": "1"})
    await asyncio.to_thread(gateway.wait_ready)  # at --listen


@pytest.mark.parametrize("what", ["datagram", "connected", "none"])
async def test_what_cannot_be_accepted_on_is_refused(gateways, supervisor, what):
    if what == "datagram":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        supervisor.sockets.append(sock)
    elif what == "connected":
        supervisor.sockets.extend(socket.socketpair())
    else:
        supervisor.sockets.append(open(os.devnull))  # pylint: disable=consider-using-with
    gateway = supervisor.configure(gateways.new())
    gateway.launch()
    assert await asyncio.to_thread(gateway.wait_exit) == 1
    assert "not a stream socket that listens" in gateway.stderr()


async def test_a_crowd_through_a_passed_socket(gateways, supervisor, db, name):
    """More than are accepted in one turn."""
    address = supervisor.listen()
    gateway = await begun(gateways, supervisor)
    await until_function(db)
    await asyncio.gather(*(converse(address, db, f"{name}:{number}") for number in range(60)))
    assert http_get(address, "/healthz").status == 200
    assert gateway.process.poll() is None


# --- what is notified ---


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_ready_reloading_stopping(gateways, supervisor, tmp_path, flags):
    config = write_config(tmp_path / "c.yaml", "max_page_size: 9\n")
    gateway = await begun(gateways, supervisor, "--config", config, *flags)
    await asyncio.to_thread(gateway.wait_ready)
    assert supervisor.hear() == ["READY=1"], "once, and from one process"
    gateway.signal(signal.SIGHUP)
    await supervisor.until_heard("READY=1", 2)
    assert supervisor.heard[1].startswith("RELOADING=1\nMONOTONIC_USEC=") and supervisor.heard[2] == "READY=1"
    (tmp_path / "c.yaml").write_text("max_page_size: x\n")
    gateway.signal(signal.SIGHUP)
    await supervisor.until_heard("READY=1", 3)  # a refused one is over too
    gateway.signal(signal.SIGTERM)
    await supervisor.until_heard("STOPPING=1")
    assert await asyncio.to_thread(gateway.wait_exit) == 0
    assert [text.split("\n")[0] for text in supervisor.hear()] == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_the_watchdog_is_fed_while_it_lives(gateways, supervisor, flags):
    gateway = await begun(gateways, supervisor, *flags, env={"WATCHDOG_USEC": "3000000"})
    await supervisor.until_heard("WATCHDOG=1", 2)
    gateway.freeze()
    try:
        supervisor.hear()
        before = len(supervisor.heard)
        await asyncio.sleep(0.1)  # nothing can come: the process is stopped
        assert len(supervisor.hear()) == before
    finally:
        gateway.thaw()
    await supervisor.until_heard("WATCHDOG=1", supervisor.heard.count("WATCHDOG=1") + 1)


async def test_nobody_watches_nobody_is_told(gateways, supervisor):
    gateway = await begun(gateways, supervisor, env={"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"})
    await asyncio.to_thread(gateway.wait_ready)
    gateway.signal(signal.SIGTERM)
    await supervisor.until_heard("STOPPING=1")
    assert await asyncio.to_thread(gateway.wait_exit) == 0
    assert supervisor.heard == ["READY=1", "STOPPING=1"]


async def test_the_private_redis_does_not_speak_for_us(gateways, supervisor, tmp_path):
    """Its environment and its descriptors are its own."""
    supervisor.listen()
    gateway = await begun(gateways, supervisor, "--data-dir", tmp_path / "data", redis=None)
    child, = gateway.children()
    with open(f"/proc/{child}/environ", "rb") as file:
        names = {entry.split(b"=")[0] for entry in file.read().split(b"\0")}
    assert not names & {b"NOTIFY_SOCKET", b"LISTEN_FDS", b"LISTEN_PID", b"WATCHDOG_USEC"}, names
    inode = os.stat(f"/proc/self/fd/{supervisor.sockets[0].fileno()}").st_ino
    held = [os.stat(f"/proc/{child}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{child}/fd")]
    assert inode not in held
