"""deploy/haproxy and deploy/nginx: clients over wss:// through the real balancers, gateways that end politely or not, and
what must stay inside. Skipped where a balancer is not installed (deploy/install-deps.sh --tests brings both)."""
import asyncio
import itertools
import os
import re
import socket

import pytest
import websockets

from balancer import BALANCERS, HOST, certificate, program
from gateway import REPOSITORY, http_exchange, parse_metrics, until
from peer import Closed, Peer

CLIENTS = 24


@pytest.fixture(scope="module", name="chain_and_key")
def _chain_and_key(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(params=BALANCERS, ids=lambda kind: kind.name, name="front")
def _front(request, tmp_path, chain_and_key):
    """front(addresses): a balancer that runs in front of them."""
    kind = request.param
    if not program(kind.name):
        pytest.skip(f"{kind.name} is not installed")
    running = []

    def start(addresses, run=True, **options):
        balancer = kind(tmp_path, chain_and_key, addresses, **options)
        running.append(balancer)
        return balancer.start() if run else balancer

    yield start
    for balancer in running:
        balancer.stop()


class Watcher:
    """A client that subscribes to one variable and comes back whenever it loses its connection."""

    def __init__(self, balancer, name, number):
        self.balancer, self.name, self.number = balancer, name, number
        self.peer, self.codes, self.refused = None, [], 0
        self.task = asyncio.ensure_future(self._run())

    async def _run(self):
        while True:
            try:
                self.peer = await Peer.connect(self.balancer.url, name=f"client {self.number}", ssl=self.balancer.tls,
                                               server_hostname=HOST)
                await self.peer.subscribe("var", self.name)
                await self.peer.until(lambda: False, "the end of the connection", patience_s=None)
            except Closed as closed:
                self.codes.append(closed.code)
            except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException):
                self.refused += 1
            await asyncio.sleep(0.05)

    @property
    def value(self):
        if self.task.done():
            self.task.result()  # raises what no gateway may do
        if not self.peer or self.peer.broken:
            return None
        return self.peer.state.value(self.name)

    async def leave(self):
        self.task.cancel()
        await asyncio.wait([self.task])
        if self.peer:
            await self.peer.close()


class Writer:
    """Sets the variable to 1, 2, 3, … until it is stopped."""

    def __init__(self, db, name):
        self.db, self.name, self.last, self.stopping = db, name, 0, False
        self.task = asyncio.ensure_future(self._write())

    async def _write(self):
        while not self.stopping:
            await self.db.fcall("sg_var_set", self.name, str(self.last + 1))
            self.last += 1
            await asyncio.sleep(0.005)

    async def stop(self):
        self.stopping = True
        await self.task


async def all_hold(watchers, value):
    await until(lambda: all(watcher.value == str(value) for watcher in watchers),
                lambda: f"all hold {value}: {[(watcher.value, watcher.codes) for watcher in watchers]}")


async def connections(gateway):
    return int(await gateway.metric("syncgate_connections"))


def address(gateway):
    return f"127.0.0.1:{gateway.port}"


# --- the files ----------------------------------------------------------------------------------------------


def test_file_is_accepted_without_a_warning(front):
    said = front(["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], run=False).check()
    assert not re.search(r"warn|alert|emerg|deprecat|ignored", said, re.IGNORECASE), said


def section(path, head):
    """The directives of one section of an HAProxy file."""
    text = re.sub(r"(?m)^\s*#.*\n", "", path.read_text())
    return re.search(rf"(?ms)^{head}\n(.*?)(?=^\S|\Z)", text)[1].split("\n")


def test_containers_have_the_same_file():
    """docker/haproxy is a variant: what decides about time-outs, retries, health and what stays inside is the same."""
    ours, theirs = REPOSITORY / "deploy/haproxy/haproxy.cfg", REPOSITORY / "docker/haproxy/haproxy.cfg"
    assert section(ours, "defaults") == section(theirs, "defaults")

    def rules(path):
        return [line for line in section(path, "frontend public") if "return status" in line or "log-format" in line]

    def health(path):
        return [line for line in section(path, "backend gateways") if re.match(r" *(balance|option|http-check)", line)]

    assert rules(ours) == rules(theirs) and len(rules(ours)) == 4
    assert health(ours) == health(theirs) and len(health(ours)) == 4


# --- clients ------------------------------------------------------------------------------------------------


async def test_gateways_that_go_lose_nobody(front, gateways, db, name):
    fleet = [gateways.start() for _ in range(3)]
    balancer = front([address(gateway) for gateway in fleet])
    if os.geteuid() == 0:
        await until(lambda: balancer.owners() != {"root"}, "somebody gives up root")
    await db.fcall("sg_var_set", name, "0")
    watchers = [Watcher(balancer, name, number) for number in range(CLIENTS)]
    await all_hold(watchers, 0)
    counts = [await connections(gateway) for gateway in fleet]
    # A gateway that was slow to accept is left alone for a second, so the shares need not be equal.
    assert sum(counts) == CLIENTS and min(counts) >= CLIENTS // 6, f"not spread over the three: {counts}"

    writer = Writer(db, name)
    await until(lambda: writer.last > 20, "changes")
    ending = asyncio.ensure_future(fleet[0].stop_async())
    await until(lambda: sum(len(watcher.codes) for watcher in watchers) >= counts[0], "the clients of the first are told to go")
    await ending
    codes = [code for watcher in watchers for code in watcher.codes]
    assert codes == [1012] * counts[0], f"closed with {codes}, and {counts[0]} were on the gateway that ended"
    await until(lambda: all(watcher.value for watcher in watchers), "all are back")
    counts = [await connections(gateway) for gateway in fleet[1:]]
    assert sum(counts) == CLIENTS, f"not on the other two: {counts}"

    await asyncio.to_thread(fleet[1].kill)
    await until(lambda: sum(len(watcher.codes) for watcher in watchers) >= len(codes) + counts[0], "the killed one's clients notice")
    await until(lambda: all(watcher.value for watcher in watchers), "all are back")
    assert await connections(fleet[2]) == CLIENTS
    moment = writer.last
    await until(lambda: writer.last > moment + 20, "changes go on")
    await writer.stop()
    await all_hold(watchers, writer.last)

    # Who comes after a gateway is back goes there, since it has the fewest.
    await fleet[0].start_async()
    newcomers = []

    async def first_has_some():
        newcomers.append(Watcher(balancer, name, CLIENTS + len(newcomers)))
        await until(lambda: newcomers[-1].value == str(writer.last), "a newcomer is served")
        await asyncio.sleep(0.2)  # nginx leaves it alone for some seconds
        return await connections(fleet[0]) >= 3
    await until(first_has_some, "the balancer uses the gateway that is back")
    for watcher in watchers + newcomers:
        await watcher.leave()


# --- what goes through and what does not ------------------------------------------------------------------------


class Fake:
    """Something that looks like a healthy gateway and says 503 to everybody (as one that drains does before the balancer has
    noticed), or 200. Keeps the heads of the requests."""

    def __init__(self, status):
        self.status, self.heads = status, []

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status = "200 OK" if head.startswith("GET /readyz ") else self.status
            if not head.startswith("GET /readyz "):
                self.heads.append(head)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (OSError, EOFError):
            pass
        writer.close()

    async def aclose(self):
        self.server.close()
        await self.server.wait_closed()


def ask(balancer, path, *headers):
    """One request over TLS, byte for byte as it is written here."""
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=30) as plain:
        with balancer.tls.wrap_socket(plain, server_hostname=HOST) as sock:
            lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", *headers, "", ""]
            sock.sendall("\r\n".join(lines).encode())
            data = b""
            while chunk := sock.recv(65536):
                data += chunk
    return int(data.split()[1]), data


async def test_503_is_asked_elsewhere(front, gateways, db, name):
    fakes = [Fake("503 Service Unavailable") for _ in range(2)]
    addresses = [await fake.start() for fake in fakes]
    gateway = gateways.start()
    balancer = front([*addresses, address(gateway)])
    await db.fcall("sg_var_set", name, "7")
    for number in itertools.count():
        peer = await Peer.connect(balancer.url, ssl=balancer.tls, server_hostname=HOST)
        await peer.subscribed("var", name)
        await peer.close()
        if number >= 5 and all(fake.heads for fake in fakes):
            break
    for fake in fakes:
        await fake.aclose()


async def test_a_full_fleet(front, gateways, db, name):
    """Every place is used, and who found none gets the first that is free."""
    fleet = [gateways.start("--max-connections", "4") for _ in range(3)]
    balancer = front([address(gateway) for gateway in fleet], places=4)
    await db.fcall("sg_var_set", name, "7")
    watchers = [Watcher(balancer, name, number) for number in range(12)]
    await all_hold(watchers, 7)
    assert [await connections(gateway) for gateway in fleet] == [4, 4, 4]
    waiting = Watcher(balancer, name, 13)
    if balancer.name == "haproxy":  # it counts itself; nginx has to be told by the gateways
        assert not any(watcher.refused for watcher in watchers), [watcher.refused for watcher in watchers]
        await until(lambda: balancer.figure("haproxy_backend_current_queue", 'proxy="gateways"') == 1, "the next one waits")
    else:
        await until(lambda: waiting.refused, "the next one is refused")
    await watchers[0].leave()
    await all_hold(watchers[1:] + [waiting], 7)
    for watcher in watchers[1:] + [waiting]:
        await watcher.leave()


PUBLIC = ["/", "/app.js", "/syncgate.js", "/healthz", "/readyz"]
INSIDE = ["/metrics", "/metrics?x", "//metrics", "/./metrics", "/x/../metrics", "/x/..%2fmetrics", "/%6detrics", "/%2fmetrics",
          "/metrics;x", "/metrics/", "/%2e/metrics", "/admin", "/admin/drain", "/%61dmin/drain", "//admin/drain", "/x/../admin/drain"]


def test_figures_and_switches_stay_inside(front, gateways):
    gateway = gateways.start()
    balancer = front([address(gateway)] * 3)
    for path in PUBLIC:
        assert ask(balancer, path)[0] == 200, path
    for path in INSIDE:
        status, data = ask(balancer, path)
        assert status in (400, 403, 404) and b"syncgate_" not in data, f"{path}: {data[:200]!r}"
    # Among them are some that the gateway itself understands: it is the balancer that keeps them inside.
    understood = [path for path in INSIDE if gateway.get(path).status == 200]
    assert {"/metrics", "//metrics", "/%6detrics", "/x/../metrics"} <= set(understood)


async def test_who_a_client_is_says_the_balancer(front):
    fake = Fake("200 OK")
    balancer = front([await fake.start()] * 3)
    status, _ = await asyncio.to_thread(ask, balancer, "/x?token=do-not-log-me", "X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6",
                                        "X-Forwarded-Proto: ftp")
    assert status == 200
    head = fake.heads[0].lower()
    assert head.startswith("get /x?token=do-not-log-me http/1.1\r\n")
    assert "x-forwarded-for: 127.0.0.1\r\n" in head and "x-forwarded-proto: https\r\n" in head and "6.6.6.6" not in head
    await until(lambda: re.search(r"GET /x\b", balancer.said()), "the request is in the log")
    assert "do-not-log-me" not in balancer.said()
    await fake.aclose()


# --- hostile clients ------------------------------------------------------------------------------------------


UPGRADE = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
POISON = {  # each made a gateway end the connection without an answer once: the balancer took it for broken
    "cookies": ["Cookie: " + "c" * 7000],
    "many cookies": ["Cookie: " + "c" * 7000, "X: " + "x" * 7900, "Y: " + "y" * 7900],
    "extensions": [*UPGRADE, "Sec-WebSocket-Extensions: " + "x" * 300],
    "sub-protocols": [*UPGRADE, "Sec-WebSocket-Protocol: " + "p" * 300],
    "odd sub-protocols": [*UPGRADE, 'Sec-WebSocket-Protocol: "a'],
    "many fields": [f"X-{number}: y" for number in range(90)],
}


def answer_to(balancer, path, *headers, body=b""):
    """The status, 0 when there was none. The request says that it is an upgrade if it is one."""
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=30) as plain:
        with balancer.tls.wrap_socket(plain, server_hostname=HOST) as sock:
            sock.sendall("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {HOST}", *headers, "", ""]).encode() + body)
            line = sock.recv(65536).split(b"\r\n")[0].split()
            return int(line[1]) if len(line) > 1 else 0


@pytest.mark.parametrize("kind", POISON)
async def test_a_poisonous_request_takes_no_gateway_away(front, gateways, kind):
    fleet = [gateways.start() for _ in range(3)]
    balancer = front([address(gateway) for gateway in fleet])
    path = "/ws" if POISON[kind][0] in UPGRADE else "/healthz"
    for _ in range(10):
        for _ in range(3):
            status = await asyncio.to_thread(answer_to, balancer, path, *POISON[kind])
            assert status in (200, 400, 431), status
        assert (await asyncio.to_thread(ask, balancer, "/readyz"))[0] == 200


@pytest.mark.parametrize("field", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
async def test_bodies_end_at_the_balancer(front, gateways, db, name, field):
    """A crowd of them, all still open, and others do not notice."""
    fleet = [gateways.start() for _ in range(3)]
    balancer = front([address(gateway) for gateway in fleet])
    await db.fcall("sg_var_set", name, "7")

    async def half_a_body():
        reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port, ssl=balancer.tls, server_hostname=HOST)
        body = b"x" if "Length" in field else b"40000\r\nx"
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\n\r\n".encode() + body)
        return reader, writer
    crowd = [await half_a_body() for _ in range(100)]
    for _ in range(5):
        peer = await Peer.connect(balancer.url, ssl=balancer.tls, server_hostname=HOST)
        await peer.subscribed("var", name)
        await peer.close()
        assert (await asyncio.to_thread(ask, balancer, "/readyz"))[0] == 200
    for gateway in fleet:
        inside = [value for key, value in (await asyncio.to_thread(lambda: parse_metrics(gateway.get("/metrics").body.decode()))).items()
                  if key == 'syncgate_handshakes{state="inside"}']
        assert inside == [1], "the one that asks"
    for _, writer in crowd:
        writer.close()


def test_only_tls(front):
    balancer = front(["127.0.0.1:1"] * 3)
    response = http_exchange(("127.0.0.1", balancer.plain_port), f"GET /ws?a=b HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert response.status == 308 and response.headers["location"] == f"https://{HOST}/ws?a=b"
