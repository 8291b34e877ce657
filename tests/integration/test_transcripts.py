"""Replays the conversations of tests/vectors against the real process (their form: tests/vectors/README.md)."""
import json
import pathlib
import re
import shlex

import pytest

from conftest import write_config
from jsontext import Frame
from peer import Closed, RawPeer

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors"
FILES = sorted(VECTORS.glob("*/*.txt"))
SUBPROTOCOLS = {"socksync": None, "socksync2": "socksync.v2"}  # by folder: what a client has to offer
UNKNOWN_FUNC = {"socksync": 1, "socksync2": 2}  # the error of {"func":"end"}: v2 misses a type first
VERBS = ("subscribe", "call", "write", "serve")
LINE = re.compile(r"^([^\s<>!@#]*)([<>])(?: (.*))?$")


class Setup:
    """What the @ lines of a file ask for: flags and a configuration with a token per named connection."""

    def __init__(self, options):
        self.flags, self.names = [], []
        self.common = {"subscribe": ["*"], "call": ["*"], "write": [], "serve": []}
        self.own = {}
        for words in options:
            self._take(words)

    def _take(self, words):
        option, values = words[0], words[1:]
        peer, _, verb = option.rpartition(".")
        if option in ("max-page-size", "index-mode"):
            self.flags += [f"--{option}", values[0]]
        elif option == "declare":
            size = f", max_page_size: {values[2]}" if len(values) > 2 else ""
            self.names.append(f"  - {{ pattern: {json.dumps(values[1])}, type: {values[0]}{size} }}")
        elif verb in VERBS:
            (self.own.setdefault(peer, {}) if peer else self.common)[verb] = values
        else:
            raise AssertionError(f"unknown option {option}")

    def config(self):
        lines = [f"anonymous: {json.dumps(self.common)}"]
        if self.own:
            lines.append("tokens:")
        for peer, grants in self.own.items():
            lines.append("  - " + json.dumps({"token": f"token-{peer}", "name": peer, **self.common, **grants}))
        if self.names:
            lines += ["names:"] + self.names
        return "\n".join(lines) + "\n"

    def token(self, peer):
        return f"token-{peer}" if peer in self.own else None


def parse(path):
    """(Setup, [(number, line)])"""
    options, steps = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith("@ "):
            assert not steps, f"{path.name}:{number}: the setup stands before everything else"
            options.append(line[2:].split())
        elif line and not line.startswith("#"):
            steps.append((number, line))
    return Setup(options), steps


class Replay:
    def __init__(self, path, setup, gateway, peers, db):
        self.path, self.setup, self.gateway, self.peers, self.db = path, setup, gateway, peers, db
        self.connections = {}
        self.closed = set()
        self.ids = {}  # $word -> the raw id that stands for it
        self.where = ""

    async def connection(self, name):
        assert name not in self.closed, f"{self.where}: the connection has been closed"
        if name not in self.connections:
            token = self.setup.token(name)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            if SUBPROTOCOLS[self.path.parent.name]:
                headers["Sec-WebSocket-Protocol"] = SUBPROTOCOLS[self.path.parent.name]
            self.connections[name] = await self.peers.bare(self.gateway.address, headers=headers)
        return self.connections[name]

    def known_ids(self, text):
        for word, raw in self.ids.items():
            text = text.replace(f'"{word}"', raw)
        return text

    async def step(self, number, line):
        self.where = f"{self.path.name}:{number}: {line[:200]}"
        if line.startswith("! "):
            return await self.change(line[2:])
        match = LINE.match(line)
        assert match, f"{self.where}: not a line of a transcript"
        name, direction, text = match[1], match[2], match[3] or ""
        peer = await self.connection(name)
        if direction == "<":
            await self.expect(name, peer, text)
        elif text == "close":
            await peer.send_frame(RawPeer.CLOSE, (1000).to_bytes(2, "big"))
            assert await peer.close_code() == 1000, self.where
            self.closed.add(name)
        elif text.startswith("bytes "):
            await peer.send_frame(RawPeer.TEXT, bytes.fromhex(text[6:]))
        elif text.startswith("binary "):
            await peer.send_frame(RawPeer.BINARY, bytes.fromhex(text[7:]))
        elif text != "open":
            await peer.send_frame(RawPeer.TEXT, self.known_ids(text).encode())

    async def change(self, text):
        lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
        lexer.whitespace_split, lexer.quotes, lexer.escape, lexer.commenters = True, "'", "", ""
        words = list(lexer)
        assert words[0] == "FCALL", self.where
        await self.db.fcall(*words[1:])

    async def expect(self, name, peer, text):
        if text.startswith("close "):
            assert await peer.close_code() == int(text[6:]), self.where
            self.closed.add(name)
            return
        try:
            came = await peer.recv_text()
        except Closed as closed:
            raise AssertionError(f"{self.where}\n     {closed}") from None
        self.compare(came, text)

    def compare(self, came, text):
        got, wanted = Frame(came).raw, Frame(self.known_ids(text)).raw
        if wanted.get("func") == '"error"' and "message" not in wanted:
            got.pop("message", None)
        word = json.loads(wanted["id"]) if "id" in wanted else None
        if isinstance(word, str) and word.startswith("$") and "id" in got:
            assert type(json.loads(got["id"])) in (str, int), f"{self.where}\n     {came}"
            self.ids[word] = wanted["id"] = got["id"]
        assert got == wanted, f"{self.where}\n  expected {text}\n       got {came}"

    async def end(self):
        """Nothing unlisted is left on any connection."""
        for name, peer in self.connections.items():
            if name in self.closed:
                continue
            self.where = f"{self.path.name}: the end of connection {name!r}"
            await peer.send_frame(RawPeer.TEXT, b'{"func":"end"}')
            self.compare(await peer.recv_text(), f'{{"func":"error","error_code":{UNKNOWN_FUNC[self.path.parent.name]}}}')


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_transcript(path, gateways, redis_server, peers, db, tmp_path):
    setup, steps = parse(path)
    with redis_server.client() as client:
        client.flushdb()
    gateway = gateways.start("--config", write_config(tmp_path / "syncgate.yaml", setup.config()), *setup.flags, dev=False)
    replay = Replay(path, setup, gateway, peers, db)
    for number, line in steps:
        await replay.step(number, line)
    await replay.end()


def test_there_are_transcripts():
    assert len(FILES) > 10, f"no transcripts in {VECTORS}"


def test_a_wrong_transcript_fails():
    replay = Replay(pathlib.Path("x.txt"), Setup([]), None, None, None)
    replay.compare('{"func":"call","id":7}', '{"func":"call","id":"$a"}')
    replay.compare('{"id":7, "func":"call"}', '{"func":"call","id":"$a"}')
    replay.compare('{"func":"error","error_code":1,"message":"m"}', '{"func":"error","error_code":1}')
    for came, text in (('{"func":"call","id":8}', '{"func":"call","id":"$a"}'), ('{"value":1.0}', '{"value":1}'),
                       ('{"func":"error","error_code":1,"message":"m"}', '{"func":"error","error_code":1,"message":"n"}'),
                       ('{"a":1,"b":2}', '{"a":1}')):
        with pytest.raises(AssertionError):
            replay.compare(came, text)
