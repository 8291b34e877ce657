"""Ten thousand clients lose their gateway and come back to the one that is left, which knew none of their names.

They are no strict peers but sockets on one epoll, or the clients would be what is tested.
"""
import mmap
import random
import resource
import select
import socket
import struct
import threading
import time

import pytest

from gateway import BINARY, PATIENCE_S, http_get, poll
from test_endpoints import upgrade_text

NAMES = 50
SPREAD_S = 4  # over how long they come back: what a client's first wait is, and some
DEADLINE_S = 4 * PATIENCE_S


def is_slow_build():
    """Sanitizers: there a tenth is crowd enough."""
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"__asan_init") >= 0


def masked(payload):
    """A text frame of a client; a mask of zeros is a mask."""
    head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else struct.pack(">BBH", 0x81, 0x80 | 126, len(payload))
    return head + bytes(4) + payload


class Client:
    def __init__(self, name):
        self.name = name
        self.sock = None
        self.data = b""
        self.value = None  # the newest that was told on this connection


class Stampede:
    def __init__(self, names, count):
        self.clients = [Client(names[number % len(names)]) for number in range(count)]
        self.epoll = select.epoll()
        self.by_fd = {}
        self.lost = []  # clients whose connection ended
        self.refusals = []

    def connect(self, client, address):
        client.sock = socket.socket()
        client.data, client.value = b"", None
        client.sock.setblocking(False)
        client.sock.connect_ex(address)
        self.by_fd[client.sock.fileno()] = client
        self.epoll.register(client.sock.fileno(), select.EPOLLOUT)

    def end(self, client):
        if client.sock:
            del self.by_fd[client.sock.fileno()]
            self.epoll.unregister(client.sock.fileno())
            client.sock.close()
            client.sock = None

    def pump(self, timeout_s=0.05):
        for fd, events in self.epoll.poll(timeout_s):
            client = self.by_fd[fd]
            try:
                if events & select.EPOLLOUT:  # connected: everything is said at once
                    text = f'{{"func":"subscribe","type":"var","name":"{client.name}"}}'
                    client.sock.sendall(upgrade_text() + masked(text.encode()))
                    self.epoll.modify(fd, select.EPOLLIN)
                else:
                    self.read(client)
            except OSError:
                self.lose(client)

    def read(self, client):
        chunk = client.sock.recv(65536)
        if not chunk:
            self.lose(client)
            return
        client.data += chunk
        if client.data.startswith(b"HTTP/"):
            head, separator, rest = client.data.partition(b"\r\n\r\n")
            if not separator:
                return
            if b" 101 " not in head.split(b"\r\n")[0] + b" ":
                self.refusals.append(head)
                self.lose(client)
                return
            client.data = rest
        self.frames(client)

    @staticmethod
    def frames(client):
        while len(client.data) >= 2:
            length, at = client.data[1], 2
            if length == 126:
                if len(client.data) < 4:
                    return
                length, at = struct.unpack(">H", client.data[2:4])[0], 4
            if len(client.data) < at + length:
                return
            opcode, payload, client.data = client.data[0] & 15, client.data[at:at + length], client.data[at + length:]
            assert opcode == 1, f"opcode {opcode}: {payload!r}"
            assert b'"func":"set"' in payload and f'"name":"{client.name}"'.encode() in payload, payload
            client.value = int(payload.rpartition(b":")[2].rstrip(b"}"))

    def lose(self, client):
        self.end(client)
        self.lost.append(client)

    def run_until(self, condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what()}"
            self.pump()

    def held(self, values):
        """How many have the newest value of their name."""
        return sum(client.value == values[client.name] for client in self.clients)


class Readiness(threading.Thread):
    """Asks /readyz all the time, as a balancer does."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.address, self.statuses, self.over = gateway.address, [], threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            try:
                self.statuses.append(http_get(self.address, "/readyz").status)
            except OSError as error:
                self.statuses.append(repr(error))

    def judge(self):
        self.over.set()
        self.join()
        assert self.statuses and set(self.statuses) == {200}, self.statuses


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_come_back(gateways, redis_server, many_files):
    count = min(1000 if is_slow_build() else 10000, many_files - 1000)
    dying, staying = (gateways.start("--ping-interval", "10m") for _ in range(2))
    names = [f"storm{number}" for number in range(NAMES)]
    values = {}
    stampede = Stampede(names, count)
    rng = random.Random(4)

    with redis_server.client() as redis:
        def write(value):
            for name in names:
                redis.execute_command("FCALL", "sg_var_set", 1, name, value)
                values[name] = value

        write(1)
        for number, client in enumerate(stampede.clients):
            stampede.connect(client, dying.address)
            if number % 100 == 99:
                stampede.pump(0)
        stampede.run_until(lambda: stampede.held(values) == count, lambda: f"{stampede.held(values)} of {count} are there")
        assert not stampede.lost
        before = staying.rss_bytes()
        assert staying.metrics()["syncgate_redis_up"] == 1

        readiness = Readiness(staying)
        readiness.start()
        dying.kill()
        stampede.run_until(lambda: len(stampede.lost) == count, lambda: f"{len(stampede.lost)} of {count} have noticed")
        begin = time.monotonic()
        due = sorted(((begin + rng.random() * SPREAD_S, client) for client in stampede.lost), key=lambda pair: pair[0])
        stampede.lost = []
        written = 1
        while due:
            now = time.monotonic()
            while due and due[0][0] <= now:
                stampede.connect(due.pop(0)[1], staying.address)
            stampede.pump(0.01)
            if written < 10 and len(due) < count * (10 - written) // 10:  # the world does not stand still meanwhile
                written += 1
                write(written)
        stampede.run_until(lambda: stampede.held(values) == count, lambda: f"{stampede.held(values)} of {count} are back")
        write(1000)
        stampede.run_until(lambda: stampede.held(values) == count, lambda: f"{stampede.held(values)} of {count} are current")
        readiness.judge()

    assert not stampede.lost and not stampede.refusals, (len(stampede.lost), stampede.refusals[:3])
    metrics = staying.metrics()
    reads = {key: value for key, value in metrics.items() if key.startswith("syncgate_redis_reads_total") and value}
    assert sum(reads.values()) == NAMES, f"one read per name: {reads}"
    assert metrics['syncgate_connections{protocol="socksync",state="open"}'] == count
    assert metrics["syncgate_subscriptions"] == count
    assert metrics["syncgate_gaps_total"] == 0

    during = staying.rss_bytes()
    for client in stampede.clients:
        stampede.end(client)
    poll(lambda: staying.metrics()['syncgate_connections{protocol="socksync",state="open"}'] == 0, "all have left")
    if is_slow_build():
        again(stampede, staying, values)
        assert staying.rss_bytes() <= during + (8 << 20), "a second crowd needs no more than the first"
        return
    # What stays: tables that grew, and pages that the heap cannot give back.
    tolerance = max(8 << 20, (during - before) // 4)
    poll(lambda: staying.rss_bytes() <= before + tolerance,
         f"memory returns: {before >> 20} MiB before, {during >> 20} MiB with {count} clients")


def again(stampede, gateway, values):
    """A sanitizer keeps the pages: what was given back shows in what is taken next."""
    for client in stampede.clients:
        stampede.connect(client, gateway.address)
        if len(stampede.by_fd) % 100 == 0:
            stampede.pump(0)
    stampede.run_until(lambda: stampede.held(values) == len(stampede.clients), lambda: "a second crowd is there")
