"""permessage-deflate (RFC 7692): what is granted to whom, messages byte for byte both ways, one compression for all readers,
and what a hostile client gets."""
import asyncio
import json
import os
import random
import signal
import zlib

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from conftest import Gateways
from gateway import until
from peer import Closed, RawPeer, dumps

MAX_MESSAGE = 1 << 20  # --max-message
GRANTED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    pool = Gateways(tmp_path_factory.mktemp("deflate"), redis_server.socket_path)
    yield pool.start("--deflate", "on")
    pool.stop()


class DeflatePeer(RawPeer):
    """A bare client that compresses what it sends, and can read what is compressed."""

    async def recv_frame(self):
        while not self._data:
            await self._more()
        packed = self._data[0] & 0x40
        self._data[0] &= 0xBF
        opcode, payload = await super().recv_frame()
        assert not packed or opcode == self.TEXT, f"opcode {opcode} is compressed"
        return opcode, inflate(payload) if packed else payload


@pytest.fixture
def bare(gateway, peers):
    async def connect(offer="permessage-deflate; client_max_window_bits", where=None, **options):
        peer = await DeflatePeer.connect((where or gateway).address, headers={"Sec-WebSocket-Extensions": offer}, **options)
        peers.raw.append(peer)
        assert peer.headers["sec-websocket-extensions"].startswith(GRANTED)
        return peer
    return connect


def deflate(data, mode=zlib.Z_SYNC_FLUSH):
    packer = zlib.compressobj(wbits=-15)
    out = packer.compress(data) + packer.flush(mode)
    return out[:-4] if mode == zlib.Z_SYNC_FLUSH else out + b"\0"


def inflate(payload):
    """With an empty memory: nothing of an earlier message is needed."""
    return zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff")


def subscribe(name):
    return dumps(func="subscribe", type="var", name=name).encode()


async def expect_alive(peer):
    """What is answered to a message that says nothing, whatever came before."""
    await peer.send_frame(RawPeer.TEXT, b'{"func":"jump"}')
    assert json.loads(await peer.recv_text())["error_code"] == 1


# --- the handshake ---


@pytest.mark.parametrize("offer, answer", [
    ("permessage-deflate", GRANTED),
    ("permessage-deflate; client_max_window_bits", GRANTED),
    ("permessage-deflate; client_max_window_bits=10; server_no_context_takeover", GRANTED),
    ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", GRANTED),
    ("permessage-deflate;client_no_context_takeover", GRANTED),
    ("permessage-deflate; server_max_window_bits=15", GRANTED + "; server_max_window_bits=15"),
    ("permessage-deflate; server_max_window_bits=10", None),
    ("permessage-deflate; server_max_window_bits=10, permessage-deflate", GRANTED),
    ("permessage-deflate, permessage-deflate; client_max_window_bits", GRANTED),
    ("permessage-deflate; server_max_window_bits=10, x, permessage-deflate, permessage-deflate; y", GRANTED),
    ("x-webkit-deflate-frame, permessage-deflate", GRANTED),
    ("permessage-deflate; nonsense", None),
    ("permessage-deflate; client_max_window_bits=16", None),
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
    ("x-webkit-deflate-frame", None),
    ("permessage-deflat", None),
    (", ;", None),
])
async def test_what_is_granted(gateway, peers, offer, answer):
    peer = await peers.bare(gateway.address, headers={"Sec-WebSocket-Extensions": offer})
    assert peer.headers.get("sec-websocket-extensions") == answer
    await expect_alive(peer)


async def test_offers_in_two_lines(gateway, peers):
    peer = await peers.open(gateway.address)
    await peer.upgrade("/ws", KEY, {"Sec-WebSocket-Extensions": "x; y=1", "sec-websocket-extensions": "permessage-deflate"})
    assert peer.headers.get("sec-websocket-extensions") == GRANTED
    await expect_alive(peer)


async def test_subprotocol_and_extension(gateway, peers):
    for offered in "socksync.v1", "something.else":
        peer = await peers.bare(gateway.address, headers={
            "Sec-WebSocket-Extensions": "permessage-deflate", "Sec-WebSocket-Protocol": offered})
        assert peer.headers["sec-websocket-extensions"] == GRANTED
        assert peer.headers.get("sec-websocket-protocol") == (offered if offered == "socksync.v1" else None)


async def test_no_offer_nothing_granted(gateway, peers, db, name):
    """Also right behind somebody with an offer."""
    other = await peers(gateway, compression="deflate")
    value = json.dumps("x" * 1000)
    await db.fcall("sg_var_set", name, value)
    peer = await peers.bare(gateway.address)
    assert "sec-websocket-extensions" not in peer.headers
    await peer.send_frame(RawPeer.TEXT, subscribe(name))
    assert json.loads(await peer.recv_text())["value"] == "x" * 1000  # RawPeer takes no compressed frame
    await other.subscribed("var", name)


async def test_off_by_default(gateways, peers, db, name):
    gateway = gateways.start()
    value = json.dumps("x" * 1000)
    await db.fcall("sg_var_set", name, value)
    peer = await peers.bare(gateway.address, headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
    assert "sec-websocket-extensions" not in peer.headers
    await peer.send_frame(RawPeer.TEXT, subscribe(name))
    assert json.loads(await peer.recv_text())["value"] == "x" * 1000
    await peer.send_frame(RawPeer.TEXT, deflate(b'{"func":"jump"}'), rsv=4)
    assert await peer.close_code() in (1002, 1006)


# --- messages ---


VALUES = {
    "small": '{"a":1}', "empty": '""', "63 bytes and around": json.dumps("a" * 20), "text": json.dumps("lorem ipsum " * 1000),
    "unicode": json.dumps("größer 🦊 " * 500, ensure_ascii=False), "300 kB": json.dumps("abc" * 100000),
    "random": json.dumps(os.urandom(30000).hex()), "numbers": json.dumps([random.Random(1).random() for _ in range(5000)]),
    "spaces": '{ "a" : 1.50,  "b":  "\\u0041" }' + " " * 200,
}


@pytest.mark.parametrize("options", [
    {"compression": "deflate"},
    {"extensions": [ClientPerMessageDeflateFactory(client_max_window_bits=9)]},
    {"extensions": [ClientPerMessageDeflateFactory(True, True, 15, 12)]},
], ids=["as it comes", "small window", "everything named"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
async def test_both_ways_byte_for_byte(gateway, peers, db, name, options, value):
    """What one client writes, compressed, reaches Redis, itself, and a client that does not compress."""
    await db.fcall("sg_var_set", name, "0")
    writer = await peers(gateway, **options)
    assert [extension.name for extension in writer._socket.extensions] == ["permessage-deflate"]
    plain = await peers(gateway)
    assert not plain._socket.extensions
    for peer in writer, plain:
        await peer.subscribed("var", name)
    await writer.say(f'{{"func":"set","type":"var","name":"{name}","value":{value}}}')
    expected = f'{{"func":"set","type":"var","name":"{name}","value":{value.strip()}}}'
    for peer in writer, plain:
        await peer.expect(expected)
    revision, stored = await db.fcall("sg_var_get", name)
    assert stored.decode() == value.strip()
    assert revision


async def test_one_compression_for_all(gateways, peers, db, name):
    """A broadcast is compressed once, whoever reads it; the bytes that leave are counted as they leave."""
    gateway = gateways.start("--deflate", "on")
    await db.fcall("sg_var_set", name, "0")
    crowd = [await peers(gateway, compression="deflate") for _ in range(20)]
    crowd += [await peers(gateway) for _ in range(3)]
    for peer in crowd:
        await peer.subscribed("var", name)
    before = gateway.metrics()
    assert before["syncgate_deflated_frames_total"] == 0
    value = json.dumps("all of you " * 200)
    await db.fcall("sg_var_set", name, value)
    for peer in crowd:
        await peer.expect(f'{{"func":"set","type":"var","name":"{name}","value":{value}}}')
    after = gateway.metrics()
    assert after["syncgate_deflated_frames_total"] == 1
    plain = after['syncgate_deflated_bytes_total{stage="before"}']
    packed = after['syncgate_deflated_bytes_total{stage="after"}']
    assert len(value) < plain < len(value) + 100
    assert 0 < packed < plain / 5
    assert after["syncgate_sent_bytes_total"] - before["syncgate_sent_bytes_total"] == 20 * packed + 3 * plain
    assert after["syncgate_queued_bytes"] == 0


async def test_a_page_of_a_list(gateway, peers, db, name):
    for i in range(100):
        await db.fcall("sg_list_insert", name, "-1", str(i), json.dumps({"name": f"item {i}", "price": i * 1.5}))
    peer = await peers(gateway, compression="deflate")
    await peer.subscribed("list", name)
    await db.fcall("sg_list_insert", name, "0", "new", json.dumps({"name": "x" * 100}))
    await peer.until(lambda: len(peer.frames) >= 2, "a delete and an insert")


async def test_compressed_fragments(bare, db, name):
    """One compressed message in frames of every size, also empty ones; only the first has the bit."""
    await db.fcall("sg_var_set", name, '"stored"')
    peer = await bare()
    message = deflate(subscribe(name))
    for size in (1, 2, 7, len(message) - 1, len(message)):
        pieces = [message[at:at + size] for at in range(0, len(message), size)] + [b""]
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            await peer.send_frame(0 if i else RawPeer.TEXT, piece, fin=last, rsv=0 if i else 4)
            if i == 0:
                await peer.send_frame(RawPeer.PING, b"in between")
        assert await peer.recv_frame() == (RawPeer.PONG, b"in between")
        assert json.loads(await peer.recv_text())["value"] == "stored"
        await peer.send_frame(RawPeer.TEXT, deflate(dumps(func="unsubscribe", type="var", name=name).encode()), rsv=4)


async def test_plain_and_compressed_in_turn(bare, db, name):
    await db.fcall("sg_var_set", name, "7")
    peer = await bare()
    await peer.send_frame(RawPeer.TEXT, subscribe(name))
    await peer.recv_text()
    question = dumps(func="get", type="var", name=name).encode()
    long = question + b" " * 5000  # in several reads
    for payload, rsv in ((question, 0), (deflate(question), 4), (long, 0), (deflate(long), 4), (question, 0),
                         (deflate(question, zlib.Z_FINISH), 4)):
        await peer.send_frame(RawPeer.TEXT, payload, rsv=rsv)
        assert json.loads(await peer.recv_text()) == {"func": "set", "type": "var", "name": name, "value": 7}


async def test_messages_up_to_the_limit(bare):
    """The limit is that of the message, not of what it was compressed to: one that does not shrink may be a little longer."""
    peer = await bare()
    stored = zlib.compressobj(level=0, wbits=-15)
    text = b'{"func":"jump"}' + b" " * (MAX_MESSAGE - 15)
    packed = (stored.compress(text) + stored.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(packed) > MAX_MESSAGE
    for payload in packed, deflate(text):
        await peer.send_frame(RawPeer.TEXT, payload, rsv=4)
        assert json.loads(await peer.recv_text())["error_code"] == 1
    await peer.send_frame(RawPeer.TEXT, deflate(text + b" "), rsv=4)
    assert await peer.close_code() == 1009
    peer = await bare()
    await peer.send_frame(RawPeer.TEXT, text + b" ")
    assert await peer.close_code() == 1009


async def test_bytes_that_are_no_text(bare):
    """UTF-8 is looked at behind the decompression; a binary message is no text whatever it holds."""
    peer = await bare()
    for opcode, data in (RawPeer.TEXT, b'{"func":"\xff"}'), (RawPeer.BINARY, b'{"func":"jump"}'):
        plain = await bare()
        await plain.send_frame(opcode, data)
        await peer.send_frame(opcode, deflate(data), rsv=4)
        try:
            expected = await plain.recv_text()
        except Closed as closed:
            assert await peer.close_code() == closed.code
            peer = await bare()
        else:
            assert await peer.recv_text() == expected


# --- hostile clients ---


async def test_a_bomb_closes_1009(gateway, bare, peers):
    """256 MB of nothing in 260 kB. The gateway never holds more than a message may have."""
    packer = zlib.compressobj(level=9, wbits=-15)
    zeros = bytes(1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(256)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert 200000 < len(bomb) < MAX_MESSAGE
    first = await bare()
    await first.send_frame(RawPeer.TEXT, bomb, rsv=4)
    assert await first.close_code() == 1009
    before = gateway.rss_bytes()
    for _ in range(5):
        peer = await bare()
        await peer.send_frame(RawPeer.TEXT, bomb[:len(bomb) // 2], fin=False, rsv=4)
        await peer.send_frame(0, bomb[len(bomb) // 2:])
        assert await peer.close_code() == 1009
    assert gateway.rss_bytes() < before + 32 * MAX_MESSAGE
    await expect_alive(await bare())


async def test_too_much_compressed_closes_1009(bare):
    """At the announcement, before the bytes; and as a sum of fragments."""
    peer = await bare()
    await peer.write(RawPeer.encode(RawPeer.TEXT, b"", rsv=4, length=2 * MAX_MESSAGE))
    assert await peer.close_code() == 1009
    peer = await bare()
    empty_blocks = b"\0\0\0\xff\xff" * 60000  # which say nothing at all
    for i in range(4):
        await peer.send_frame(0 if i else RawPeer.TEXT, empty_blocks, fin=False, rsv=0 if i else 4)
    assert await peer.close_code() == 1009


GOOD = deflate(b'{"func":"jump"}' * 20)


@pytest.mark.parametrize("payload", [
    b"", b"\xff\xff\xff\xff", GOOD[:len(GOOD) // 2], b"\x07" + GOOD, os.urandom(1) + b"\x06\xff" * 30,
    b"\0\x10\0\xef\xffcut", b"\x02\x22\0",
], ids=["nothing", "no such block", "cut", "spoilt", "noise", "stored, cut", "before the beginning"])
async def test_corrupt_data_closes_1007(bare, peers, gateway, payload):
    other = await bare()
    peer = await bare()
    await peer.send_frame(RawPeer.TEXT, payload, rsv=4)
    assert await peer.close_code() == 1007
    await other.send_frame(RawPeer.TEXT, deflate(b'{"func":"jump"}'), rsv=4)
    assert json.loads(await other.recv_text())["error_code"] == 1


@pytest.mark.parametrize("data", [
    RawPeer.encode(RawPeer.TEXT, deflate(b"{}"), rsv=4),
    RawPeer.encode(RawPeer.TEXT, b"{}", rsv=2), RawPeer.encode(RawPeer.TEXT, b"{}", rsv=1),
])
async def test_bits_that_were_not_agreed_on_close_1002(gateway, peers, data):
    peer = await peers.bare(gateway.address)
    await peer.write(data)
    assert await peer.close_code() == 1002
    await expect_alive(await peers.bare(gateway.address))


@pytest.mark.parametrize("frames", [
    [(RawPeer.TEXT, b"{}", 2)], [(RawPeer.TEXT, deflate(b"{}"), 5)],
    [(RawPeer.TEXT, GOOD[:9], 4), (0, GOOD[9:], 4)], [(RawPeer.TEXT, b"{", 0), (0, b"}", 4)],
    [(RawPeer.TEXT, b"", 4), (0, GOOD, 4)],
], ids=["RSV2", "RSV3 too", "every fragment", "only the second fragment", "behind an empty one"])
async def test_misplaced_bits_close_1002(bare, frames):
    peer = await bare()
    for i, (opcode, payload, rsv) in enumerate(frames):
        await peer.send_frame(opcode, payload, fin=i == len(frames) - 1, rsv=rsv)
    assert await peer.close_code() == 1002


async def test_a_stalled_reader_costs_its_budget_in_compressed_bytes(gateways, peers, db, name):
    """Conflation is the same with compressed frames: the newest value comes last, the queue stays small."""
    gateway = gateways.start("--deflate", "on")
    await db.fcall("sg_var_set", name, "0")
    peer = await DeflatePeer.connect(gateway.address, receive_buffer=4096,
                                     headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
    peers.raw.append(peer)
    await peer.send_frame(RawPeer.TEXT, subscribe(name))
    await peer.recv_text()
    conflated = 0
    for i in range(2000):
        await db.fcall("sg_var_set", name, json.dumps([i, os.urandom(8000).hex()]))
        if i % 20 == 0:
            conflated = await gateway.metric("syncgate_conflated_total")
            if conflated > 3:
                break
    assert conflated > 3
    await db.fcall("sg_var_set", name, json.dumps([-1, "last " * 100]))
    seen = [0]
    while seen[-1] != -1:
        seen.append(json.loads(await peer.recv_text())["value"][0])
    assert seen[:-1] == sorted(seen[:-1])
    await until(lambda: gateway.metrics()["syncgate_queued_bytes"] == 0, "the queue is empty")


async def test_many_at_once(gateway, peers, db, name):
    """Messages of several clients in pieces, interleaved: the one decompressor mixes nothing up."""
    clients = [await DeflatePeer.connect(gateway.address, headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
               for _ in range(8)]
    peers.raw.extend(clients)
    names = [f"{name}-{i}" for i in range(len(clients))]
    for i, each in enumerate(names):
        await db.fcall("sg_var_set", each, json.dumps(str(i) * 200))
    messages = [deflate(subscribe(each)) for each in names]
    for at in range(max(map(len, messages))):
        for client, message in zip(clients, messages):
            if at < len(message):
                await client.send_frame(0 if at else RawPeer.TEXT, message[at:at + 1], fin=at == len(message) - 1,
                                        rsv=0 if at else 4)
    answers = await asyncio.gather(*(client.recv_text() for client in clients))
    assert [json.loads(answer)["value"] for answer in answers] == [str(i) * 200 for i in range(len(clients))]


async def test_what_becomes_large_waits_for_its_turn(gateways, bare, peers, db, name):
    """A kilobyte that becomes a megabyte: a connection may have one in a second, and is not read from meanwhile. Nothing is lost, and others
    are served."""
    gateway = gateways.start("--deflate", "on")
    await db.fcall("sg_var_set", name, "1")
    bomb = deflate(b'{"func":"jump","x":"' + b"0" * (MAX_MESSAGE - 100) + b'"}')
    assert len(bomb) < 2000
    crowd = [await bare(where=gateway) for _ in range(20)]
    for _ in range(4):
        for peer in crowd:
            await peer.send_frame(RawPeer.TEXT, bomb, rsv=4)
    for peer in crowd:
        await peer.send_frame(RawPeer.TEXT, b'{"func":"jump","last":1}')

    other = await peers(gateway)
    await other.subscribed("var", name)
    assert await gateway.metric("syncgate_messages_received_total") < 1 + 20 * 5, "all of it was done at once"
    assert await gateway.metric("syncgate_inflate_waits_total") >= 20
    for peer in crowd:
        for _ in range(5):
            assert json.loads(await peer.recv_text())["error_code"] == 1


async def test_leaving_while_a_message_waits(gateways, bare, peers):
    """Cut, closed, drained: nothing is kept of it."""
    gateway = gateways.start("--deflate", "on")
    bomb = deflate(b'{"func":"jump","x":"' + b"0" * (MAX_MESSAGE - 100) + b'"}')
    for rounds in range(3):
        crowd = [await bare(where=gateway) for _ in range(10)]
        for peer in crowd:
            await peer.write(b"".join(RawPeer.encode(RawPeer.TEXT, bomb, rsv=4) for _ in range(10)))
        await until(lambda: gateway.metric("syncgate_inflate_waits_total"), "somebody waits")
        for peer in crowd[:5 if rounds == 2 else 10]:
            peer.close()
    await gateway.stop_async()


async def test_closed_while_a_message_waits(gateways, bare, peers, tmp_path):
    """By the gateway, because its token is revoked: what waits goes with the connection, and nobody else notices."""
    config = tmp_path / "syncgate.yaml"
    config.write_text("tokens: [{token: good, name: good, subscribe: ['*']}]\n")
    gateway = gateways.start("--deflate", "on", "--config", config, dev=False)
    bomb = deflate(b'{"func":"jump","x":"' + b"0" * (MAX_MESSAGE - 100) + b'"}')
    crowd = [await bare(where=gateway, path="/ws?token=good") for _ in range(8)]
    for peer in crowd:
        await peer.write(b"".join(RawPeer.encode(RawPeer.TEXT, bomb, rsv=4) for _ in range(20)))
    await until(lambda: counts(gateway, "syncgate_connections_unread", len(crowd)), "all wait")
    config.write_text("tokens: [{token: other, name: other, subscribe: ['*']}]\n")
    gateway.signal(signal.SIGHUP)
    assert [await peer.close_code() for peer in crowd] == [1008] * len(crowd)
    await until(lambda: counts(gateway, "syncgate_connections", 0), "those that do not answer are gone")
    await expect_alive(await bare(where=gateway, path="/ws?token=other"))
    assert await gateway.metric("syncgate_connections_unread") == 0


async def counts(gateway, metric, value):
    return await gateway.metric(metric) == value
