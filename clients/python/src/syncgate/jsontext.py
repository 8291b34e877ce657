"""Values, ids and names: from Python to what Redis gets, and back. Everything is checked here before anything is sent."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import re
import uuid
from typing import Any, Callable, Union

from .errors import InvalidId, InvalidName, InvalidValue, TooLarge

VALUE_MAX = 8 * 1024 * 1024
ALL_MAX = 64 * 1024 * 1024
SORT_MAX = 256

Id = Union[int, str]
Encode = Callable[[Any], Any]
Decode = Callable[[bytes], Any]

_NAME_BAD = re.compile(r"[\x00-\x1f\x7f{}]")


class Raw:
    """JSON text that is sent byte for byte: `Raw("5.00")`."""

    __slots__ = ("data",)
    data: bytes

    def __init__(self, text: str | bytes) -> None:
        self.data = text.encode() if isinstance(text, str) else bytes(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raw) and other.data == self.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"Raw({self.data.decode(errors='replace')!r})"


def _time_text(value: datetime.datetime | datetime.date | datetime.time) -> str:
    if isinstance(value, datetime.datetime):
        if value.utcoffset() is None:
            raise InvalidValue(f"a datetime without a time zone: {value!r}")
        text = value.isoformat()
        return text[:-6] + "Z" if text.endswith("+00:00") else text
    return value.isoformat()


def plain(value: Any) -> Any:
    """What `json.dumps` takes instead of a value that it does not; the `default` of the usual encoder.

    Raises: `TypeError` when there is none.
    """
    if isinstance(value, decimal.Decimal):
        if not value.is_finite():
            raise InvalidValue(f"not a number of JSON: {value}")
        return str(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return _time_text(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    own = getattr(type(value), "__json__", None)
    if own is not None:
        return own(value)
    model = getattr(type(value), "model_dump", None)
    if model is not None:
        return model(value, mode="json")
    raise TypeError(type(value).__name__)


def _culprit(value: Any, path: str, depth: int) -> str | None:
    """Where the value is that cannot be encoded: `value.items[3].photo: bytes`."""
    if depth > 64:
        return None
    if isinstance(value, dict):
        for key, held in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))):
                return f"{path}: a key that is {type(key).__name__}"
            found = _culprit(held, f"{path}.{key}", depth + 1)
            if found:
                return found
        return None
    if isinstance(value, (list, tuple)):
        for place, held in enumerate(value):
            found = _culprit(held, f"{path}[{place}]", depth + 1)
            if found:
                return found
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return None
    if isinstance(value, (set, frozenset)):
        for held in value:
            found = _culprit(held, f"{path}{{}}", depth + 1)
            if found:
                return found
    try:
        return _culprit(plain(value), path, depth + 1)
    except TypeError:
        return f"{path}: {type(value).__name__}"


# Made once: json.dumps with other arguments than its own makes one for each value.
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=plain).encode


def encode(value: Any, own: Encode | None = None) -> bytes:
    """The JSON text of a value.

    Raises: `TypeError` that names the path to what cannot be encoded; `InvalidValue` (a `ValueError`) for NaN, infinities, naive
    datetimes and half surrogate pairs; `TooLarge`.
    """
    if isinstance(value, Raw):
        data = value.data
    else:
        try:
            if own is not None:
                made = own(value)
                data = made if isinstance(made, bytes) else made.data if isinstance(made, Raw) else str(made).encode()
            else:
                data = _dumps(value).encode()
        except InvalidValue:
            raise
        except TypeError as error:
            raise TypeError("cannot be sent: " + (_culprit(value, "value", 0) or str(error))) from None
        except (ValueError, RecursionError) as error:
            raise InvalidValue(f"not JSON: {error}") from None
    if len(data) > VALUE_MAX:
        raise TooLarge(f"a value of {len(data)} bytes; at most 8 MiB")
    return data


def id_text(value: Any) -> bytes:
    """The JSON text of an item's id. Raises: `InvalidId`."""
    if isinstance(value, uuid.UUID):
        value = str(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidId(f"an id is an int or a str, not {type(value).__name__}")
    try:
        if isinstance(value, int):
            text = str(int(value)).encode()
            size = len(text)
        else:
            text = json.dumps(value, ensure_ascii=False).encode()
            size = len(value.encode())
    except ValueError:
        raise InvalidId("an id is UTF-8") from None
    if not 1 <= size <= 256:
        raise InvalidId(f"an id of {size} bytes; 1 to 256 are possible")
    return text


def id_value(text: bytes) -> Id:
    """An id as answers have it."""
    if text[:1] == b'"':
        return str(json.loads(text))
    return int(text)


def sort_text(sort: Any) -> bytes:
    """The bytes of a sort key. Raises: `TypeError`, `TooLarge`, `InvalidValue`."""
    if isinstance(sort, str):
        try:
            sort = sort.encode()
        except ValueError:
            raise InvalidValue("a sort key with half a surrogate pair") from None
    if not isinstance(sort, bytes):
        raise TypeError(f"a sort key is str or bytes, not {type(sort).__name__}")
    if len(sort) > SORT_MAX:
        raise TooLarge(f"a sort key of {len(sort)} bytes; at most 256")
    return sort


def name_bytes(name: Any) -> bytes:
    """A name as bytes. Raises: `InvalidName`."""
    if not isinstance(name, str):
        raise InvalidName(f"a name is a str, not {type(name).__name__}")
    try:
        raw = name.encode()
    except ValueError:
        raise InvalidName("a name is UTF-8") from None
    if not 1 <= len(raw) <= 512 or _NAME_BAD.search(name):
        raise InvalidName(f"not a name (1 to 512 bytes without control characters and braces): {name[:80]!r}")
    return raw
