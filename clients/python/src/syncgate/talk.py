"""What callers and those who serve say to each other by way of Redis (docs/redis-api.md, Calls)."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from typing import Any, Mapping

from .errors import CallCancelled, CallError, CallFailed, CallTimeout, InvalidArguments, InvalidName, NoSuchFunction, SyncGateError, Unavailable
from .jsontext import name_bytes
from .ops import Codec, Op, call, number

# What serves lives this long without a sign of life, by the lease clock of Redis, which callers that wait keep going.
LEASE_MS = 4500
CALLER_BEAT_S = 0.5
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 5.0


def own_id(kind: str) -> str:
    """An id that nobody else has; it tells people which machine and process this is."""
    host = "".join(character for character in socket.gethostname() if "!" < character <= "~")[:24]
    return f"{kind}-{host or 'host'}-{os.getpid()}-{secrets.token_hex(5)}"


def root(prefix: str) -> bytes:
    return f"{prefix}@{{calls}}".encode()


def channel(prefix: str, database: int) -> bytes:
    made = root(prefix)
    return made + b"@%d" % database if database else made


def arguments(codec: Codec, args: Mapping[str, Any] | None) -> bytes:
    if args is not None and not isinstance(args, Mapping):
        raise TypeError(f"arguments are a mapping, not {type(args).__name__}")
    return codec.encode(dict(args or {}))


def start(key: bytes, name: str, call_id: str, caller: str, timeout: float, args: bytes) -> Op[tuple[str, str]]:
    """The call itself: answers gateway and executor that got it."""
    milliseconds = b"%d" % max(1, min(int(timeout * 1000), 2**31))

    def parse(reply: Any) -> tuple[str, str]:
        return reply[0].decode(), reply[1].decode()

    return call("sg_fn_call", key, (name_bytes(name), call_id.encode(), caller.encode(), milliseconds, args), parse)


def cancel(key: bytes, where: tuple[str, str], call_id: str, caller: str, reason: str) -> Op[int]:
    return call("sg_fn_cancel", key, (where[0].encode(), where[1].encode(), call_id.encode(), caller.encode(), reason.encode()), number)


def beat(key: bytes, gateway: str, busy: Mapping[str, int] | None = None) -> Op[int]:
    pairs = [part for name, count in (busy or {}).items() for part in (name.encode(), b"%d" % count)]
    return call("sg_fn_beat", key, (gateway.encode(), b"%d" % LEASE_MS, *pairs), number)


def again(key: bytes, caller: str, calls: list[tuple[str, str]]) -> Op[int]:
    pairs = [part.encode() for pair in calls[:1000] for part in pair]
    return call("sg_fn_again", key, (caller.encode(), *pairs), number)


def gone(key: bytes, gateway: str) -> Op[int]:
    return call("sg_fn_gone", key, (gateway.encode(),), number)


def refused(error: SyncGateError, name: str) -> SyncGateError:
    """What it means for a call that Redis did not take it."""
    if isinstance(error, InvalidName):
        return NoSuchFunction(f"nobody serves {name}")
    if isinstance(error, Unavailable) and error.code == "SGAWAY":
        failed = CallFailed(f"nobody who serves {name} listens at the moment")
        failed.maybe_done = False
        return failed
    return error


def result_error(code: int, text: str) -> CallError:
    if code == 3:
        return NoSuchFunction(text)
    if code == 6:
        return InvalidArguments(text)
    if code == 8 and text == "cancelled":
        return CallCancelled(text)
    return CallFailed(text, error_code=code)


@dataclass
class Heard:
    """One message of a mailbox or of the catalogue. `kind` is its first word."""

    kind: str
    call: str = ""
    value: Any = None
    error: CallError | None = None
    gateway: str = ""


def hear(codec: Codec, payload: bytes) -> Heard | None:
    """What a caller understands of a message; `None` for all else."""
    kind, _, rest = payload.partition(b" ")
    try:
        if kind == b"r":
            call_id, _, result = rest.partition(b" ")
            heard = Heard("r", call_id.decode())
            what, _, more = result.partition(b" ")
            if what == b"v":
                heard.value = codec.decode(more, False)
            elif what == b"e":
                code, _, text = more.partition(b" ")
                heard.error = result_error(int(code), text.decode(errors="replace"))
            elif what == b"t":
                heard.error = CallTimeout("the function took too long")
            elif what != b"n":
                return None
            return heard
        if kind == b"p":
            call_id, _, value = rest.partition(b" ")
            return Heard("p", call_id.decode(), codec.decode(value, False))
        if kind == b"g-":
            return Heard("g-", gateway=rest.partition(b" ")[2].decode())
    except (ValueError, UnicodeDecodeError):
        return None
    return None


@dataclass
class Arrived:
    """A call, for who serves."""

    call: str
    caller: str
    executor: str
    timeout_ms: int
    function: str
    identity: Any
    args: bytes


def arrived(payload: bytes) -> Arrived | None:
    """A call as it comes to a worker that asked for identities."""
    parts = payload.split(b" ", 7)
    try:
        call_id, caller, executor = (part.decode() for part in parts[1:4])
        timeout, length, idlength = (int(part) for part in parts[4:7])
        rest = parts[7]
        name = rest[:length].decode()
        identity = json.loads(rest[length + 1 : length + 1 + idlength])
        return Arrived(call_id, caller, executor, timeout, name, identity, rest[length + idlength + 2 :])
    except (ValueError, IndexError):
        return None
