"""What both ways of talking to Redis share: clients of redis-py and where they connect to, and what an answer means.

redis-py is used for its pools and connections (addresses, TLS, login) alone: every request of ours is written and read here, so that it is
known whether it was sent, answers are bytes whatever the client decodes, and nothing is tried twice behind our back.
"""

from __future__ import annotations

import inspect
import threading
import time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis as _redis
import redis.crc as _crc
import redis.exceptions as _exceptions

from .errors import FunctionsMissing, Refused, SyncGateError, Unavailable, from_reply

redis: Any = _redis
exceptions: Any = _exceptions
key_slot: Any = getattr(_crc, "key_slot")

REPLY_ERRORS = (_exceptions.ResponseError,)
LOST = (_exceptions.ConnectionError, _exceptions.TimeoutError, OSError)
# Said instead of carrying anything out, although redis-py takes it for a broken connection.
SAID: tuple[tuple[Any, str], ...] = (
    (_exceptions.AuthenticationError, "NOAUTH"),
    (_exceptions.BusyLoadingError, "LOADING"),
    (_exceptions.NoPermissionError, "NOPERM"),
    (_exceptions.ReadOnlyError, "READONLY"),
    (_exceptions.ClusterDownError, "CLUSTERDOWN"),
    (_exceptions.MovedError, "MOVED"),
    (_exceptions.AskError, "ASK"),
    (_exceptions.TryAgainError, "TRYAGAIN"),
)
TRIES_OF_A_CLUSTER = 5


class Deadline(threading.local):
    """Until when the request of this thread may take, for connections that are made meanwhile."""

    until: float | None = None


deadline = Deadline()


def left(until: float) -> float:
    """Seconds, at least a moment: 0 would mean without waiting at all."""
    return max(0.001, until - time.monotonic())


def reply_text(error: BaseException) -> str:
    """An error of Redis with its first word, which redis-py takes off some."""
    text = str(error)
    for kind, word in SAID:
        if isinstance(error, kind):
            if text.split(" ", 1)[0] in (word, "WRONGPASS"):
                return text
            if word in ("MOVED", "ASK") and hasattr(error, "host"):
                return f"{word} {getattr(error, 'slot_id', 0)} {error.host}:{error.port}"
            return f"{word} {text}"
    if type(error).__name__ == "OutOfMemoryError":
        return f"OOM {text}"
    return text.removeprefix("ERR ")


def is_said(error: BaseException) -> bool:
    """Redis refused, so nothing was carried out."""
    return isinstance(error, tuple(kind for kind, _ in SAID))


def is_missing(text: str) -> bool:
    return "Function not found" in text


def redirect(text: str) -> tuple[str, str, int] | None:
    """MOVED or ASK, and where to."""
    parts = text.split(" ")
    if parts[0] not in ("MOVED", "ASK") or len(parts) < 3:
        return None
    host, _, port = parts[2].rpartition(":")
    return parts[0], host, int(port)


def raised(error: BaseException, sent: bool) -> SyncGateError:
    """Our error for one of redis-py that ended a request."""
    if isinstance(error, SyncGateError):
        return error
    if is_said(error):
        return from_reply(reply_text(error))
    if isinstance(error, exceptions.ResponseError):
        return from_reply(reply_text(error))
    text = str(error) or type(error).__name__
    return Unavailable(text, maybe_done=sent)


def missing(reason: str) -> FunctionsMissing:
    from . import library

    return FunctionsMissing(f"the functions of syncgate are not in this Redis or too old ({reason}); {library.HOW}")


def takes_command(pool_class: Any) -> bool:
    """Does get_connection want a name of a command, as it did before redis-py 5.3?"""
    parameter = inspect.signature(pool_class.get_connection).parameters.get("command_name")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def pool_options(url: str, timeout: float) -> dict[str, Any]:
    options: dict[str, Any] = {"socket_timeout": timeout}
    if not url.startswith("unix:"):
        options["socket_connect_timeout"] = timeout
    return options


def cluster_of_url(url: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """redis-cluster://[user:pw@]host:port[,host:port...][?ssl=true] as addresses and options of connections."""
    parts = urlsplit(url)
    options: dict[str, Any] = {}
    where = parts.netloc
    if "@" in where:
        login, _, where = where.rpartition("@")
        user, _, password = login.partition(":")
        options["username"] = unquote(user) or None
        options["password"] = unquote(password) or None
    if dict(parse_qsl(parts.query)).get("ssl", "").lower() in ("true", "1", "yes"):
        options["ssl"] = True
    nodes = []
    for each in where.split(","):
        host, _, port = each.rpartition(":") if ":" in each else (each, "", "6379")
        nodes.append((host.strip("[]") or "localhost", int(port)))
    return nodes, options


def cluster_of_client(client: Any) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """The same of a cluster client of redis-py."""
    manager = client.nodes_manager
    nodes = [(node.host, node.port) for node in list(manager.startup_nodes.values())]
    given = dict(getattr(manager, "connection_kwargs", None) or getattr(client, "connection_kwargs", {}))
    wanted = ("username", "password", "ssl", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
    return nodes, {name: given[name] for name in wanted if given.get(name) is not None}


def slots_of(reply: Any, seed: tuple[str, int]) -> list[tuple[str, int]]:
    """Who has which slot, from CLUSTER SLOTS."""
    slots = [seed] * 16384
    for first, last, master, *_ in reply:
        host = master[0].decode() if master[0] else seed[0]
        for slot in range(int(first), int(last) + 1):
            slots[slot] = (host, int(master[1]))
    return slots


def is_cluster(client: Any) -> bool:
    return hasattr(client, "nodes_manager") and not hasattr(client, "connection_pool")


__all__ = [
    "LOST", "REPLY_ERRORS", "Refused", "TRIES_OF_A_CLUSTER", "cluster_of_client", "cluster_of_url", "deadline", "exceptions", "is_cluster",
    "is_missing", "is_said", "key_slot", "left", "missing", "pool_options", "raised", "redirect", "redis", "reply_text", "slots_of", "takes_command",
]  # fmt: skip
