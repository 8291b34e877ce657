"""Whoever takes places in front of the door leaves the others theirs: requests that never become whole, bodies that nobody wants,
headers of every size. Nothing here is measured: others are answered while it lasts."""
import asyncio
import json

import pytest

from attacker import Attack
from conftest import Gateways
from gateway import http_exchange, http_get, parse_metrics
from peer import Peer, RawPeer
from test_endpoints import upgrade_text
from test_tls import certificate, connected, start, trusting  # noqa: F401 (one is a fixture)

ROUNDS = 8


async def others_are_served(gateway, peers, name, rounds=ROUNDS):
    """Health, figures and a WebSocket, again and again, by clients of another address."""
    for _ in range(rounds):
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await asyncio.to_thread(http_get, gateway.address, path)).status == 200, path
        peer = await peers(gateway)
        await peer.subscribed("var", name)
        await peer.close()


async def figures(gateway):
    return parse_metrics((await asyncio.to_thread(gateway.get, "/metrics")).body.decode())


def refused(samples, reason):
    return samples[f'syncgate_refused_total{{reason="{reason}"}}']


BODY = b"GET /healthz HTTP/1.1\r\nHost: g\r\nContent-Length: 60000\r\n\r\nx"
ATTACKS = {
    "bodies": (1100, BODY, b"x", 1),
    "chunked bodies": (1100, b"GET /healthz HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 1),
    "bodies of posts": (1100, b"POST /admin/drain HTTP/1.1\r\nHost: g\r\nX-Real-IP: 1.1.1.1\r\nContent-Length: 60000\r\n\r\n", b"x", 1),
    "half requests": (1100, b"GET /healthz HTTP/1.1\r\nHost: g\r\nX: ", b"y", 1),
    "half requests of many addresses": (1600, b"GET /ws HTTP/1.1\r\nHost: g\r\n", b"", 16),
    "silence": (2500, b"", b"", 1),
    "silence of many addresses": (2500, b"", b"", 50),
    "a request, then half of one": (1100, b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\nGET /", b"x", 1),
}


@pytest.mark.parametrize("kind", ATTACKS)
async def test_others_are_served(gateways, peers, db, name, kind):
    count, start, more, hosts = ATTACKS[kind]
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "1")
    async with Attack(gateway.address, count, start, more, hosts):
        await others_are_served(gateway, peers, name)
        samples = await figures(gateway)
    waiting = samples['syncgate_handshakes{state="waiting"}']
    assert waiting <= 256 * hosts + 1, waiting
    assert samples['syncgate_handshakes{state="inside"}'] <= 512


async def test_others_are_served_behind_tls(gateways, certificate, db, name):
    """Behind TLS the first byte opens the door: handshakes that stop there have fewer places than there are slots."""
    gateway = start(gateways, certificate)
    await (await connected(gateway, certificate)).close()
    await db.fcall("sg_var_set", name, "1")
    async with Attack(gateway.address, 1600, b"\x16\x03\x01", hosts=16):
        for _ in range(ROUNDS):
            peer = await Peer.connect(f"wss://127.0.0.1:{gateway.port}/ws", ssl=trusting(certificate), server_hostname="localhost")
            await peer.subscribed("var", name)
            await peer.close()
            reader, writer = await asyncio.open_connection(*gateway.address, ssl=trusting(certificate), server_hostname="localhost")
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in (await asyncio.wait_for(reader.readline(), 30))
            writer.close()


# --- what is refused is answered, counted and shown ---


@pytest.fixture(scope="module", name="gateway")
def _gateway(tmp_path_factory, redis_server):
    pool = Gateways(tmp_path_factory.mktemp("porch"), redis_server.socket_path)
    yield pool.start()
    pool.stop()


def refusals(gateway):
    return json.loads(http_exchange(gateway.address, b"GET /admin/refusals HTTP/1.1\r\nHost: localhost\r\n\r\n").body)


def get(*fields, path="/healthz", method="GET", body=b""):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: g", *fields, "", ""]).encode() + body


REFUSED = {
    "a body": (get("Content-Length: 5", body=b"hello"), 413, "too_large"),
    "a body of an upgrade": (upgrade_text(Content_Length="5") + b"hello", 413, "too_large"),
    "a chunked body": (get("Transfer-Encoding: chunked"), 413, "too_large"),
    "a chunked body of a post": (get("Transfer-Encoding: chunked", method="POST"), 411, "malformed"),
    "a large body": (get("Content-Length: 70000", method="POST", body=b"x" * 70000), 413, "too_large"),
    "two lengths": (get("Content-Length: 1", "Content-Length: 1", method="POST"), 400, "malformed"),
    "20 kB of cookies": (get("Cookie: " + "c" * 20000), 431, "too_large"),
    "300 kB of cookies": (get("Cookie: " + "c" * 300000), 431, "too_large"),
    "20 kB of path": (get(path="/" + "p" * 20000), 431, "too_large"),
    "an upgrade with 20 kB": (upgrade_text(Cookie="c" * 20000), 431, "too_large"),
    "many fields": (get(*["X: y"] * 100), 431, "too_large"),
    "many arguments": (get(path="/?" + "a&" * 100), 431, "too_large"),
    "an unknown method": (get(method="BREW"), 405, "malformed"),
    "a method": (get(method="OPTIONS"), 405, "malformed"),
    "a space before the colon": (get("Host : g"), 400, "malformed"),
    "a folded field": (get("A: b", " c"), 400, "malformed"),
    "a NUL in the path": (get(path="/admin/x%00"), 400, "malformed"),
    "a NUL in the path of an upgrade": (upgrade_text().replace(b"/ws ", b"/ws%00x "), 400, "malformed"),
    "no field": (get("what?"), 400, "malformed"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed"),
    "extensions of 255 bytes": (upgrade_text(Sec_WebSocket_Extensions="x" * 255), 400, "malformed"),
    "extensions of 6 kB": (upgrade_text(Sec_WebSocket_Extensions="x; " * 2000), 400, "malformed"),
    "sub-protocols of 200 bytes": (upgrade_text(Sec_WebSocket_Protocol="x" * 200), 400, "malformed"),
    "sub-protocols of 130 bytes": (upgrade_text(Sec_WebSocket_Protocol="a, " * 43 + "b"), 400, "malformed"),
    "a sub-protocol in quotes": (upgrade_text(Sec_WebSocket_Protocol='"a"'), 400, "malformed"),
    "a sub-protocol with a slash": (upgrade_text(Sec_WebSocket_Protocol="chat/2"), 400, "malformed"),
    "odd sub-protocols": (upgrade_text(Sec_WebSocket_Protocol="a;b=c"), 400, "malformed"),
    "an odd Connection": (upgrade_text(Connection="a/b, Upgrade"), 400, "malformed"),
    "an odd Connection, quoted": (upgrade_text(Connection='"a, Upgrade'), 400, "malformed"),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refusal_is_answered_counted_and_shown(gateway, kind):
    data, status, reason = REFUSED[kind]
    before = await figures(gateway)
    shown = refusals(gateway)["total"]
    response = await asyncio.to_thread(http_exchange, gateway.address, data)
    assert response.status == status, response
    assert response.body, "it says why"
    after = await figures(gateway)
    assert refused(after, reason) == refused(before, reason) + 1
    shown_now = refusals(gateway)
    assert shown_now["total"] == shown + 1 and shown_now["refusals"][0]["code"] == status


@pytest.mark.parametrize("kind, status", [("a body", 413), ("a body of an upgrade", 413), ("a chunked body", 413), ("20 kB of cookies", 431),
                                          ("an upgrade with 20 kB", 431), ("extensions of 6 kB", 400)])
async def test_the_same_behind_tls(gateways, certificate, kind, status):
    gateway = start(gateways, certificate)
    await (await connected(gateway, certificate)).close()
    reader, writer = await asyncio.open_connection(*gateway.address, ssl=trusting(certificate), server_hostname="localhost")
    writer.write(REFUSED[kind][0])
    answer = await asyncio.wait_for(reader.readline(), 30)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    writer.close()


async def test_a_long_path_is_just_not_there(gateway, peers):
    peer = await peers.open(gateway.address)
    assert await peer.upgrade("/" + "p" * 300, "dGhlIHNhbXBsZSBub25jZQ==") == 404


async def test_what_the_library_refuses_is_counted(gateway):
    before = await figures(gateway)
    try:
        response = await asyncio.to_thread(http_exchange, gateway.address, get(path="/%zz"))
        assert response.status >= 400
    except ConnectionError:
        pass
    assert refused(await figures(gateway), "malformed") == refused(before, "malformed") + 1


@pytest.mark.parametrize("size", [5000, 15000])
async def test_an_ordinary_cookie_jar(gateway, peers, db, name, size):
    jar = "; ".join(f"c{number}=" + "v" * 90 for number in range(size // 100))
    assert (await asyncio.to_thread(http_exchange, gateway.address, get("Cookie: " + jar))).status == 200
    await db.fcall("sg_var_set", name, "1")
    peer = await peers.bare(gateway.address, headers={"Cookie": jar})
    await peer.send(func="subscribe", type="var", name=name)
    assert name in await peer.recv_text()


async def test_a_request_of_the_smallest_fields(gateway):
    """The library needs more room for these than they have bytes."""
    fields = [f"{chr(97 + number % 26)}{number}:" + "v" * 190 for number in range(78)]
    assert (await asyncio.to_thread(http_exchange, gateway.address, get(*fields))).status == 200


async def test_a_request_that_comes_too_late_is_told(gateway):
    reader, writer = await asyncio.open_connection(*gateway.address)
    writer.write(b"GET /healthz HTTP/1.1\r\nX: ")

    async def drip():
        while True:  # a byte does not renew the time
            writer.write(b"y")
            await asyncio.sleep(1)
    dripping = asyncio.ensure_future(drip())
    before = await figures(gateway)
    answer = await asyncio.wait_for(reader.read(), 60)
    dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert refused(await figures(gateway), "too_late") > refused(before, "too_late")
    writer.close()


# --- close frames ---


CLOSES = {
    "one byte": (b"\x03", 1002), "no code": (b"", 1005), "1000": (b"\x03\xe8", 1000), "3000": (b"\x0b\xb8", 3000),
    "4999": (b"\x13\x87", 4999), "5000": (b"\x13\x88", 1002), "65535": (b"\xff\xff", 1002), "999": (b"\x03\xe7", 1002),
    "0": (b"\x00\x00", 1002), "1004": (b"\x03\xec", 1002), "1005": (b"\x03\xed", 1002), "1006": (b"\x03\xee", 1002),
    "1015": (b"\x03\xf7", 1002), "2999": (b"\x0b\xb7", 1002), "a reason": (b"\x03\xe8bye \xe2\x82\xac", 1000),
    "a reason that is no UTF-8": (b"\x03\xe8\xff", 1007), "half a character": (b"\x03\xe8\xe2\x82", 1007),
}


@pytest.mark.parametrize("kind", CLOSES)
async def test_close_frames(gateway, peers, kind):
    payload, code = CLOSES[kind]
    peer = await peers.bare(gateway.address)
    await peer.send_frame(RawPeer.CLOSE, payload)
    assert await peer.close_code() == code
