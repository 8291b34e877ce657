"""WebSocket clients: Peer (python3-websockets, every frame checked by strict.StrictState) and RawPeer (a bare socket, for
broken frames, broken upgrades, and for reading slowly or not at all).
"""
import asyncio
import base64
import collections
import hashlib
import itertools
import json
import os
import socket
import ssl
import struct

import websockets
from websockets.legacy import client as websocket_client  # what both 10 (Debian 12) and 15 (Debian 13) have

from gateway import PATIENCE_S
from jsontext import Frame
from strict import StrictState, key_of

QUESTIONS = itertools.count(1)
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def dumps(**fields):
    """Compact JSON text, non-ASCII kept."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def raw_dumps(**fields):
    """As dumps, but each value is already a JSON text."""
    return "{" + ",".join(f'"{key}":{value}' for key, value in fields.items()) + "}"


class Closed(ConnectionError):
    """The gateway closed the connection."""

    def __init__(self, code, reason):
        super().__init__(f"the gateway closed the connection: {code} {reason!r}")
        self.code, self.reason = code, reason


class Peer:
    """A client that reads all the time. Frames go through the strict model and into a queue for recv()."""

    def __init__(self, socket_, name, state):
        self._socket = socket_
        self.name = name
        self.state = state
        self.frames = collections.deque()
        self.received = 0
        self.keep = True  # False: frames are checked but not kept for recv()
        self.quiet = False
        self.broken = None  # what ended the reading: Closed, or a Violation
        self.handlers = {}  # function name -> coroutine function(peer, frame), started for each call
        self._news = asyncio.Condition()
        self._tasks = set()
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def connect(cls, where, path="/ws/socksync/", token=None, name="peer", max_page_size=100,
                      unique_values=False, strict=True, tolerant=False, quiet=False, query_token=None, **options):
        """`where`: a Gateway or a ws:// address. `token` goes into the Authorization header, `query_token` into the path.
        `tolerant`: the test looks at every error itself. `quiet`: what the gateway says of functions and write grants goes to
        the model and not to recv()."""
        address = where if isinstance(where, str) else where.url(path)
        if query_token is not None:
            address += f"?token={query_token}"
        headers = dict(options.pop("extra_headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        options.setdefault("max_size", None)
        options.setdefault("max_queue", None)
        options.setdefault("compression", None)  # "deflate" offers permessage-deflate as browsers do
        socket_ = await websocket_client.connect(
            address, ping_interval=None, close_timeout=PATIENCE_S, open_timeout=PATIENCE_S,
            extra_headers=headers, **options)
        state = StrictState(max_page_size, unique_values) if strict else None
        if state:
            state.tolerant = tolerant
        peer = cls(socket_, name, state)
        peer.quiet = quiet
        return peer

    # --- reading ---

    async def _read(self):
        try:
            async for text in self._socket:
                if not isinstance(text, str):
                    raise AssertionError(f"{self.name}: a binary message: {text[:100]!r}")
                frame = self.state.received(text) if self.state else Text(text)
                self.received += 1
                if self.keep and not (self.quiet and frame["func"] in ("subscribe", "unsubscribe")):
                    self.frames.append(frame)
                self._serve(frame)
                await self._tell()
            raise Closed(self._socket.close_code, self._socket.close_reason)
        except websockets.ConnectionClosed:
            self.broken = Closed(self._socket.close_code, self._socket.close_reason)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a Violation or Closed: kept for whoever asks next
            self.broken = error
        finally:
            await self._tell()

    async def _tell(self):
        async with self._news:
            self._news.notify_all()

    def _serve(self, frame):
        if self.handlers and self.state and frame["func"] == "call" and frame["name"] in self.handlers:
            task = asyncio.ensure_future(self.handlers[frame["name"]](self, frame))
            self._tasks.add(task)
            task.add_done_callback(self._served)

    def _served(self, task):
        """A handler is through: it may be what somebody waits for. One that failed ends the reading."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() and self.broken is None:
            self.broken = task.exception()
        telling = asyncio.ensure_future(self._tell())
        self._tasks.add(telling)
        telling.add_done_callback(self._tasks.discard)

    def check(self):
        """Raises the violation that ended the reading, if there was one."""
        if self.broken is not None and not isinstance(self.broken, Closed):
            raise AssertionError(f"{self.name}: {self.broken}") from self.broken

    async def until(self, condition, what, patience_s=PATIENCE_S):
        """Waits until the condition is true; it is asked again after each frame."""
        async def wait():
            async with self._news:
                while not condition():
                    self.check()
                    if self.broken:
                        raise self.broken
                    await self._news.wait()
        try:
            await asyncio.wait_for(wait(), patience_s)
        except asyncio.TimeoutError:
            raise AssertionError(
                f"{self.name}: not within {patience_s} s: {what() if callable(what) else what}; "
                f"last frames: {list(self.frames)[-3:]}") from None

    async def recv(self, what="a frame"):
        """The next frame that was not taken yet."""
        await self.until(lambda: self.frames, what)
        return self.frames.popleft()

    async def expect(self, text):
        """The next frame has exactly this text (JSON members in any order, their texts byte for byte)."""
        frame = await self.recv(text)
        assert frame.raw == Frame(text).raw, f"expected {text}\n     got {frame!r}"
        return frame

    async def expect_error(self, code, **fields):
        """The next frame is an error with this code; `fields` are type, name, id that it must carry (None: must not)."""
        frame = await self.recv(f"error {code}")
        assert frame.get("func") == "error", f"expected error {code}, got {frame!r}"
        assert frame["error_code"] == code, f"expected error {code}, got {frame!r}"
        for field, value in fields.items():
            if value is None:
                assert field not in frame, f"{field} should not be in {frame!r}"
            else:
                assert field in frame, f"{field} is missing in {frame!r}"
                assert key_of(frame[field]) == key_of(value), f"{field} is not {value!r} in {frame!r}"
        return frame

    async def closed(self):
        """Waits for the end of the connection; its code."""
        try:
            await asyncio.wait_for(asyncio.shield(self._reader), PATIENCE_S)
        except asyncio.TimeoutError:
            raise AssertionError(f"{self.name}: the connection is still open") from None
        self.check()
        return self.broken.code

    # --- writing ---

    async def send_text(self, text):
        """Sends a text the model need not know about (malformed, or refused)."""
        try:
            await self._socket.send(text)
        except websockets.ConnectionClosed:
            await asyncio.wait([self._reader])
            self.check()
            raise self.broken from None

    async def say(self, text):
        """Sends a well-formed message, told to the model first."""
        self.check()
        if self.state:
            self.state.sent(text)
        await self.send_text(text)

    async def send(self, **fields):
        await self.say(dumps(**fields))

    async def subscribe(self, kind, name, **fields):
        await self.send(func="subscribe", type=kind, name=name, **fields)

    async def get(self, kind, name, **fields):
        await self.send(func="get", type=kind, name=name, **fields)

    async def unsubscribe(self, kind, name, **fields):
        await self.send(func="unsubscribe", type=kind, name=name, **fields)

    async def subscribed(self, kind, name):
        """Subscribes and takes the snapshot frame, which it returns."""
        await self.subscribe(kind, name)
        frame = await self.recv(f"the snapshot of {kind} {name}")
        wanted = "set_all" if kind == "list" else "set"
        assert (frame["func"], frame["type"], frame["name"]) == (wanted, kind, name), f"snapshot of {name}: {frame!r}"
        return frame

    async def call(self, name, call_id, args=None):
        """Sends a call and waits for the frame that ends it."""
        fields = {"func": '"call"', "type": '"function"', "name": json.dumps(name), "id": json.dumps(call_id)}
        if args is not None:
            fields["args"] = args
        await self.say(raw_dumps(**fields))
        return await self.settled(call_id)

    async def settled(self, call_id):
        key = key_of(call_id)
        await self.until(lambda: key in self.state.settled, f"the end of call {call_id!r}")
        return self.state.settled.pop(key)

    async def serve(self, function, handler=None):
        """Offers a function. A question that only Redis can answer follows: when this returns, Redis knows the executor."""
        if handler:
            self.handlers[function] = handler
        await self.subscribe("function", function)
        question = f"question {next(QUESTIONS)}"
        self.state.excuse("var", question, None, 3)
        await self.subscribe("var", question)
        await self.until(lambda: any(frame.get("name") == question for frame in self.frames), "the answer of Redis")
        self.frames.remove(next(frame for frame in self.frames if frame.get("name") == question))

    async def offered(self, function, offered=True):
        """Waits until the gateway says that a function may (not) be called."""
        await self.until(lambda: (function in self.state.callable) == offered,
                         f"{function} is {'' if offered else 'no longer '}offered")

    def take(self, func=None):
        """Forgets all frames that were not taken; returns those with that func."""
        taken = [frame for frame in self.frames if func is None or frame.get("func") == func]
        self.frames.clear()
        return taken

    async def fence(self):
        """A question that is answered at once: all frames before its answer are returned. (Its answer is error 2.)"""
        self.state.excuse(None, None, None, 2)
        await self.send_text('{"func":"get","type":"fence"}')
        before = []
        while True:
            frame = await self.recv("the answer to the fence")
            if frame.get("func") == "error" and frame["error_code"] == 2 and "type" not in frame:
                return before
            before.append(frame)

    async def close(self):
        """Closes politely; raises if the model was violated."""
        await self._socket.close()
        await asyncio.wait([self._reader])
        for task in list(self._tasks):
            task.cancel()
        self.check()

    def abort(self):
        """Ends the connection without a closing handshake."""
        self._socket.transport.abort()


class Text:
    """A frame of a peer without a model."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


class RawPeer:
    """A WebSocket client on a bare socket. Nothing is read unless asked for, so that the gateway feels it."""

    TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

    def __init__(self, sock):
        self.sock = sock
        self._data = bytearray()
        self._tls = None
        self.status = None
        self.headers = {}

    @classmethod
    async def open(cls, address, receive_buffer=None):
        """A connected socket without an upgrade. `address`: ("127.0.0.1", port) or a unix path."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        sock = socket.socket(family)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, address), PATIENCE_S)
        return cls(sock)

    @classmethod
    async def connect(cls, address, path="/ws/socksync/", receive_buffer=None, headers=None, tls=None):
        """Opens and upgrades; asserts that it worked. `tls`: the ssl.SSLContext of a client."""
        peer = await cls.open(address, receive_buffer)
        if tls:
            await peer.start_tls(tls)
        key = base64.b64encode(os.urandom(16)).decode()
        await peer.upgrade(path, key, headers)
        assert peer.status == 101, f"upgrade of {path}: {peer.status} {peer.headers}"
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert peer.headers.get("sec-websocket-accept") == accept, f"wrong accept key: {peer.headers}"
        return peer

    async def upgrade(self, path, key, headers=None):
        fields = {"Host": "gateway", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key,
                  "Sec-WebSocket-Version": "13"}
        fields.update(headers or {})
        lines = [f"GET {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields.items()]
        return await self.request("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def request(self, data):
        """Sends the bytes of a request and reads the head of the response."""
        await self.write(data)
        while b"\r\n\r\n" not in self._data:
            await self._more()
        head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
        self._data = bytearray(rest)
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        return self.status

    async def start_tls(self, context):
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._arrived, self._leaving, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send(self._leaving.read())
                self._arrived.write(await self._recv())
            else:
                break
        await self._send(self._leaving.read())
        self._tls = tls

    async def write(self, data):
        if self._tls:
            self._tls.write(data)
            data = self._leaving.read()
        await self._send(data)

    async def _send(self, data):
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.sock, data), PATIENCE_S)

    async def _recv(self):
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 65536), PATIENCE_S)

    async def _recv_tls(self):
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                chunk = await self._recv()
                if not chunk:
                    return b""
                self._arrived.write(chunk)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def _more(self):
        try:
            chunk = await (self._recv_tls() if self._tls else self._recv())
        except asyncio.TimeoutError:
            raise AssertionError(f"nothing came within {PATIENCE_S} s; unread so far: {bytes(self._data[:200])!r}") from None
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            raise Closed(1006, "the connection ended without a close frame")
        self._data += chunk

    @staticmethod
    def encode(opcode, payload=b"", fin=True, mask=True, rsv=0, length=None):
        """The bytes of one frame. `length` announces another length than the payload has."""
        length = len(payload) if length is None else length
        out = bytearray([(0x80 if fin else 0) | rsv << 4 | opcode])
        bit = 0x80 if mask else 0
        if length < 126:
            out.append(bit | length)
        elif length < 65536:
            out += struct.pack("!BH", bit | 126, length)
        else:
            out += struct.pack("!BQ", bit | 127, length)
        if mask:
            key = os.urandom(4)
            out += key
            payload = _mask(payload, key)
        return bytes(out + payload)

    async def send_frame(self, opcode, payload=b"", **options):
        await self.write(self.encode(opcode, payload, **options))

    async def send(self, **fields):
        await self.send_frame(self.TEXT, dumps(**fields).encode())

    async def recv_frame(self):
        """(opcode, payload) of the next frame; the gateway's frames are whole and unmasked."""
        while len(self._data) < 2:
            await self._more()
        first, second = self._data[0], self._data[1]
        assert first & 0x70 == 0, f"reserved bits in a frame of the gateway: {bytes(self._data[:8])!r}"
        assert second & 0x80 == 0, f"a masked frame of the gateway: {bytes(self._data[:8])!r}"
        length, at = second & 0x7F, 2
        if length >= 126:
            at = 4 if length == 126 else 10
            while len(self._data) < at:
                await self._more()
            length = int.from_bytes(self._data[2:at], "big")
            assert length >= (126 if at == 4 else 65536), f"a length that is not in its shortest form: {length}"
        while len(self._data) < at + length:
            await self._more()
        payload = bytes(self._data[at : at + length])
        del self._data[: at + length]
        opcode = first & 0x0F
        assert first & 0x80, f"a fragmented frame of the gateway, opcode {opcode}"
        return opcode, payload

    async def recv_text(self):
        """The next text message; pings are answered, a close raises Closed."""
        while True:
            opcode, payload = await self.recv_frame()
            if opcode == self.TEXT:
                return payload.decode()
            if opcode == self.PING:
                await self.send_frame(self.PONG, payload)
            elif opcode == self.CLOSE:
                code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
                raise Closed(code, payload[2:].decode(errors="replace"))
            else:
                raise AssertionError(f"opcode {opcode}: {payload[:100]!r}")

    async def close_code(self):
        """Reads to the end; the code of the close frame, 1006 without one."""
        try:
            while True:
                await self.recv_text()
        except Closed as closed:
            return closed.code

    def close(self):
        self.sock.close()


def _mask(payload, key):
    pad = key * (len(payload) // 4 + 1)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad[: len(payload)], "big")).to_bytes(len(payload), "big")
