"""The log: a line per end of a connection, in both formats, whose addresses, what storms leave of themselves, and no secret."""
import asyncio
import base64
import json
import os
import re
import signal

import pytest

from conftest import write_config
from gateway import until
from peer import dumps

CONFIG = """
anonymous: { subscribe: ["*"], call: ["*"], write: [], serve: [] }
tokens:
  - { token: "tok-Pen-4711", name: "pen no. 7", subscribe: ["*"], call: ["*"], write: ["*"], serve: ["*"] }
names:
  - { pattern: "*", type: var }
"""
TOKEN = "tok-Pen-4711"
END_KEYS = ["ts", "level", "msg", "conn", "user", "remote", "protocol", "code", "why", "by", "duration_ms", "messages_in",
            "bytes_in", "messages_out", "bytes_out"]
PAIR = re.compile(r'(?:^| )([a-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^ "=\\]+)')
NUMBER = re.compile(r"0|-?[1-9][0-9]*")


def parse_logfmt(line):
    """The fields of a line, which must be nothing but pairs; numbers as JSON would give them."""
    assert "".join(match[0] for match in PAIR.finditer(line)) == line, f"not logfmt: {line!r}"
    fields = {}
    for key, value in PAIR.findall(line):
        assert key not in fields, line
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        elif NUMBER.fullmatch(value):
            value = int(value)
        fields[key] = value
    return fields


def parse_json(line):
    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), f"a key twice: {line!r}"
        return dict(pairs)

    def no_constant(word):
        raise AssertionError(f"{word} is no JSON: {line!r}")

    return json.loads(line, object_pairs_hook=unique, parse_constant=no_constant, strict=True)


def log(gateway, json_format=False):
    """Every line that is complete, parsed. Standard output goes to the same file: the address is its only line."""
    lines = gateway.stderr_path.read_bytes().split(b"\n")[:-1]
    return [(parse_json if json_format else parse_logfmt)(line.decode()) for line in lines
            if not line.startswith(b"syncgate: http://")]


def ends(gateway, json_format=False):
    return [line for line in log(gateway, json_format) if line["msg"] == "connection closed"]


async def the_end(gateway):
    return (await until(lambda: ends(gateway), "a line about the end"))[-1]


def start(gateways, tmp_path, *flags, **options):
    return gateways.start("--config", write_config(tmp_path / "syncgate.yaml", CONFIG), *flags, dev=False, **options)


# --- one line per connection ---


@pytest.mark.parametrize("format_", ["logfmt", "json"])
async def test_the_line_of_an_end(gateways, peers, tmp_path, format_):
    gateway = start(gateways, tmp_path, "--log-format", format_)
    peer = await peers.bare(gateway.address, headers={"Authorization": f"Bearer {TOKEN}"})
    question = dumps(func="get", type="var", name="nothing").encode()
    counts = {"messages_in": 0, "bytes_in": 0, "messages_out": 0, "bytes_out": 0}
    while True:  # what the gateway says by itself (what may be written), then the answer
        if counts["messages_in"] == 0:
            await peer.send_frame(peer.TEXT, question)
            counts["messages_in"], counts["bytes_in"] = 1, len(question)
        text = await peer.recv_text()
        counts["messages_out"] += 1
        counts["bytes_out"] += len(text.encode()) + 2
        if json.loads(text)["func"] == "error":
            break
    await peer.send_frame(peer.CLOSE, (4321).to_bytes(2, "big") + b"secret words")
    end = (await until(lambda: ends(gateway, format_ == "json"), "a line about the end"))[0]
    assert list(end) == END_KEYS
    assert end["level"] == "info" and end["user"] == "pen no. 7" and end["remote"] == "127.0.0.1"
    assert (end["protocol"], end["code"], end["why"], end["by"]) == ("socksync", 4321, "closed by the peer", "peer")
    assert end["conn"] == 1 and isinstance(end["duration_ms"], int)
    assert {key: end[key] for key in counts} == counts
    assert "secret words" not in gateway.stderr()


async def test_anonymous_and_the_number_of_the_connection(gateways, peers, tmp_path):
    gateway = start(gateways, tmp_path)
    first, second = await peers.bare(gateway.address), await peers.bare(gateway.address)
    second.close()
    end = await the_end(gateway)
    assert (end["conn"], end["user"]) == (2, "anonymous")
    first.close()
    await until(lambda: len(ends(gateway)) == 2, "the other line")
    assert ends(gateway)[1]["conn"] == 1


async def send_nothing(peer):
    peer.close()


async def send_close(peer):
    await peer.send_frame(peer.CLOSE)
    peer.close()


async def send_too_much(peer):
    await peer.send_frame(peer.TEXT, b"x" * 3000)


async def send_reserved_opcode(peer):
    await peer.send_frame(3, b"")


async def send_nonsense(peer):
    for _ in range(5):
        await peer.send_frame(peer.TEXT, b"nonsense")


@pytest.mark.parametrize("deed, code, by, why", [
    (send_nothing, 1006, "network", "connection lost"), (send_close, 1005, "peer", "closed by the peer"),
    (send_too_much, 1009, "gateway", "message too big"), (send_nonsense, 1008, "gateway", "too many errors"),
    (send_reserved_opcode, 1002, "gateway", "malformed frame"),
])
async def test_why_it_ended(gateways, peers, tmp_path, deed, code, by, why):
    gateway = start(gateways, tmp_path, "--max-message", "1KiB", "--errors-per-minute", "4")
    peer = await peers.bare(gateway.address)
    await deed(peer)
    if by == "gateway":
        assert await peer.close_code() in (code, 1006)
        peer.close()
    end = await the_end(gateway)
    assert (end["code"], end["by"], end["why"]) == (code, by, why)


async def test_a_drain_says_who_closed(gateways, peers, tmp_path):
    gateway = start(gateways, tmp_path)
    peer = await peers.bare(gateway.address)
    stopping = asyncio.ensure_future(gateway.stop_async())
    await peer.close_code()
    peer.close()
    await stopping
    (end,) = ends(gateway)
    assert (end["code"], end["by"], end["why"]) == (1012, "gateway", "draining")


async def test_an_end_by_force_says_who_closed(gateways, peers, tmp_path):
    """A second signal: no close frame, but the line."""
    gateway = start(gateways, tmp_path, "--drain-seconds", "3600")
    await peers.bare(gateway.address)
    await peers.bare(gateway.address)
    gateway.signal(signal.SIGTERM)
    await until(lambda: "draining" in gateway.stderr(), "the drain")
    gateway.signal(signal.SIGINT)
    assert await asyncio.to_thread(gateway.wait_exit) == 1
    assert len(ends(gateway)) == 2
    assert (ends(gateway)[-1]["by"], ends(gateway)[-1]["why"]) == ("gateway", "the gateway ended")


async def test_ends_are_not_for_a_quiet_log(gateways, peers, tmp_path):
    gateway = start(gateways, tmp_path, "--log-level", "warn")
    (await peers.bare(gateway.address)).close()

    async def is_gone():
        return await gateway.metric("syncgate_connections") == 0

    await until(is_gone, "it is gone")
    await gateway.stop_async()
    assert "connection" not in gateway.stderr()


# --- refusals ---


async def test_refusals(gateways, peers, tmp_path):
    gateway = start(gateways, tmp_path)
    peer = await peers.open(gateway.address)
    assert await peer.upgrade("/ws?token=wrong", key()) == 401
    other = await peers.open(gateway.address)
    assert await other.upgrade("/elsewhere", key()) == 404
    await until(lambda: len(refusals(gateway)) == 2, "two lines")
    first, second = refusals(gateway)
    assert (first["level"], first["remote"], first["status"], first["why"]) == ("info", "127.0.0.1", 401, "unknown token")
    assert second["status"] == 404


def refusals(gateway):
    return [line for line in log(gateway) if line["msg"] == "request refused"]


def key():
    return base64.b64encode(os.urandom(16)).decode()


# --- storms ---


@pytest.mark.parametrize("format_", ["logfmt", "json"])
async def test_a_storm_costs_a_bounded_number_of_lines(gateways, peers, tmp_path, format_):
    many = 400
    gateway = start(gateways, tmp_path, "--log-format", format_)
    crowd = [await peers.bare(gateway.address) for _ in range(many)]
    gateway.freeze()  # it meets all of them at once
    for peer in crowd:
        peer.close()
    gateway.thaw()

    def suppressed():
        return sum(line["lines"] for line in log(gateway, format_ == "json")
                   if line["msg"] == "suppressed lines" and line["kind"] == "closed")

    def told():
        return len(ends(gateway, format_ == "json"))

    await until(lambda: told() + suppressed() == many, lambda: f"{told()} lines and {suppressed()} suppressed")
    assert told() >= 200 and suppressed() > 0


# --- what is never logged ---


# --- what others write into Redis ---


async def test_garbage_on_a_channel(gateways, peers, tmp_path, db):
    """Many messages of nonsense on a name, in the mailbox and in the catalogue: some lines, one that says that there are more, one about
    how many in the end."""
    gateway = start(gateways, tmp_path)
    peer = await peers(gateway)
    await peer.subscribed("var", "garbage")
    channels = ["sg:{garbage}", "sg:@{calls}", *[name.decode() for name in await db.cmd("PUBSUB", "SHARDCHANNELS", "sg:@{calls}:*")]]
    many = 4000
    for channel in channels:
        await db.pipeline([("SPUBLISH", channel, "nonsense") for _ in range(many)])

    async def counted():
        return await gateway.metric("syncgate_bad_changes_total") >= many * len(channels)
    await until(counted, "all of it is counted")

    def lines(kind):
        return [line for line in log(gateway) if line["msg"] == kind]

    def told():
        written = [line for line in log(gateway) if line["msg"].startswith("dropped")]
        return len(written) + sum(line["lines"] for line in lines("suppressed lines") if line["kind"] == "garbage")
    await until(lambda: told() == many * len(channels), lambda: f"{told()} of {many * len(channels)} told")
    written = [line for line in log(gateway) if line["msg"].startswith("dropped")]
    assert 1 <= len(written) <= 12 and len(lines("suppressed lines")) <= 6


@pytest.mark.parametrize("format_", ["logfmt", "json"])
async def test_no_secret_and_no_payload(gateways, peers, tmp_path, format_):
    gateway = start(gateways, tmp_path, "--log-format", format_)
    secret = "Hush-8d1f"
    quiet = {"Authorization": f"Bearer {secret}"}
    for path, headers in [(f"/ws?token={secret}", {}), ("/ws", quiet), (f"/nowhere?token={secret}", {}), (f"/{secret}", {}),
                          (f"/ws%3ftoken={secret}", {}), (f"/ws?x={'y' * 300}&token={secret}", quiet),
                          ("/ws", {"Sec-WebSocket-Protocol": secret * 20}), ("/ws", {"Cookie": secret, "Connection": "x"}),
                          (f"/ws?{secret * 300}", {})]:
        peer = await peers.open(gateway.address)
        try:
            await peer.upgrade(path, key(), headers)
        except ConnectionError:
            pass  # refused without a word: the request was too long
        peer.close()
    for request in (f"GET /ws?token={secret} HTTP/1.1\r\n\r\n", f"{secret} /{secret} {secret}\r\n\r\n", f"GET {secret}\r\n\r\n",
                    f"GET / HTTP/1.1\r\n{secret}: {secret}\r\n{secret}\r\n\r\n"):
        peer = await peers.open(gateway.address)
        await peer.write(request.encode())
        peer.close()

    peer = await peers.bare(gateway.address, path=f"/ws?token={TOKEN}")
    await peer.send(func="subscribe", type="var", name="box")
    await peer.send(func="set", type="var", name="box", value=secret)
    await peer.send(func="call", type="function", name="none", id="1", args={"x": secret})
    await peer.send_frame(peer.TEXT, f'{{"func":"set","type":"var","name":"box","value":"{secret}'.encode())
    await peer.send_frame(peer.TEXT, dumps(func="insert", type="list", name="l", index=0, id=secret, value=secret).encode())
    seen = []
    while not any(frame["func"] == "set" and frame["value"] == secret for frame in seen):
        seen.append(json.loads(await peer.recv_text()))
    await peer.send_frame(peer.CLOSE, b"\x0f\xa0" + secret.encode())
    await until(lambda: any(end["user"] == "pen no. 7" for end in ends(gateway, format_ == "json")), "a line about the end")
    await gateway.stop_async()
    text = gateway.stderr()
    assert secret not in text and TOKEN not in text
    assert log(gateway, format_ == "json")


# --- addresses behind proxies ---


async def upgraded_from(gateway, peers, address, forwarded):
    """The remote of the line about a connection with these headers."""
    before = len(ends(gateway))
    peer = await peers.open(address)
    headers = "".join(f"X-Forwarded-For: {value}\r\n" for value in forwarded)
    await peer.request(f"GET /ws HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Key: {key()}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode())
    assert peer.status == 101
    peer.close()
    await until(lambda: len(ends(gateway)) > before, "a line about the end")
    return ends(gateway)[-1]["remote"]


async def test_nobody_is_trusted_unless_named(gateways, peers, tmp_path):
    gateway = start(gateways, tmp_path)
    assert await upgraded_from(gateway, peers, gateway.address, ["192.0.2.1"]) == "127.0.0.1"


@pytest.mark.parametrize("forwarded, remote", [
    ([], "127.0.0.1"), (["192.0.2.1"], "192.0.2.1"), (["203.0.113.9, 192.0.2.1:1234"], "192.0.2.1"),
    (["203.0.113.9", "[2001:db8::7]:80"], "2001:db8::7"), (["192.0.2.1", "10.1.2.3", "127.0.0.1"], "192.0.2.1"),
    (["192.0.2.1, junk\"\xff"], "127.0.0.1"), ([", ".join(["203.0.113.9"] * 200 + ["192.0.2.1"])], "192.0.2.1"),
], ids=lambda value: str(value)[:40])
async def test_a_trusted_proxy_says_who_it_is(gateways, peers, tmp_path, forwarded, remote):
    gateway = start(gateways, tmp_path, "--trusted-proxy", "127.0.0.0/8", "--trusted-proxy=10.0.0.0/8")
    assert await upgraded_from(gateway, peers, gateway.address, forwarded) == remote


async def test_a_refusal_names_the_client(gateways, peers, tmp_path):
    gateway = start(gateways, tmp_path, "--trusted-proxy", "127.0.0.1")
    peer = await peers.open(gateway.address)
    assert await peer.upgrade("/ws?token=wrong", key(), {"X-Forwarded-For": "192.0.2.1"}) == 401
    await until(lambda: refusals(gateway), "a line")
    assert refusals(gateway)[0]["remote"] == "192.0.2.1"


@pytest.mark.parametrize("trusted, remote", [(["--trusted-proxy", "unix"], "192.0.2.1"), (["--trusted-proxy", "0.0.0.0/0"], "unix")])
async def test_unix_sockets(gateways, peers, tmp_path, trusted, remote):
    path = str(tmp_path / "s")
    gateway = gateways.new("--config", write_config(tmp_path / "syncgate.yaml", CONFIG), *trusted, dev=False)
    gateway.flags += ["--listen", f"unix:{path}"]
    await gateway.start_async()
    assert await upgraded_from(gateway, peers, path, ["192.0.2.1"]) == remote
