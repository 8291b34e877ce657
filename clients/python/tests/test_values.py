"""What is sent, and what is refused before anything is: no Redis here."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import re
import subprocess
import uuid
from typing import Any

import pytest
from conftest import REPOSITORY

import syncgate
from syncgate import Raw, SyncGate, errors, library
from syncgate.jsontext import encode, id_text, id_value

UTC = datetime.timezone.utc
EAST = datetime.timezone(datetime.timedelta(hours=2))


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str]


class Own:
    def __json__(self) -> Any:
        return ["own"]


class Model:
    def model_dump(self, mode: str) -> Any:
        return {"mode": mode}


@pytest.mark.parametrize(
    "value,text",
    [
        ({"a": [1, 2.5, None, True, "ü"]}, '{"a":[1,2.5,null,true,"ü"]}'),
        ({1: (1, 2)}, '{"1":[1,2]}'),
        ({3, 1, 2}, "[1,2,3]"),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (Point(1, {"b", "a"}), '{"x":1,"tags":["a","b"]}'),
        (datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), '"2024-05-06T07:08:09Z"'),
        (datetime.datetime(2024, 5, 6, 7, 8, 9, 5, tzinfo=EAST), '"2024-05-06T07:08:09.000005+02:00"'),
        (datetime.date(2024, 5, 6), '"2024-05-06"'),
        (datetime.time(7, 8), '"07:08:00"'),
        (uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (decimal.Decimal("5.00"), '"5.00"'),
        (Own(), '["own"]'),
        (Model(), '{"mode":"json"}'),
        (Raw("5.00"), "5.00"),
        (Raw(b" [1 ]"), " [1 ]"),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert encode(value).decode() == text


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {"a": [float("nan")]}, "\ud800", datetime.datetime(2024, 1, 1), decimal.Decimal("NaN")]
)
def test_what_is_no_json_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError) as failure:
        encode(value)
    assert isinstance(failure.value, errors.InvalidValue)


@pytest.mark.parametrize(
    "value,where",
    [
        (b"1", "value: bytes"),
        ({"x": b"1"}, "value.x: bytes"),
        ({"items": [1, 2, 3, {"photo": b""}]}, "value.items[3].photo: bytes"),
        ([Point(1, {b"a"})], "value[0].tags{}: bytes"),  # type: ignore[arg-type]
        ({(1, 2): 3}, "value: a key that is tuple"),
        (object, "value: type"),
        ({"r": Raw("1")}, "value.r: Raw"),
    ],
)
def test_what_cannot_be_sent_is_named(value: Any, where: str) -> None:
    with pytest.raises(TypeError, match=re.escape(where) + "$"):
        encode(value)


def test_circles_and_size() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError):
        encode(circle)
    with pytest.raises(errors.TooLarge):
        encode("x" * (8 * 1024 * 1024))


def test_own_encoding() -> None:
    gate = SyncGate.from_url("redis://nowhere", encode=lambda value: f"[{value}]", decode=lambda text: text.upper())
    assert gate.codec.encode(5) == b"[5]"
    assert gate.codec.decode(b"[a]", False) == b"[A]"
    assert gate.codec.decode(b"[a]", True) == "[a]"


@pytest.mark.parametrize("item,text", [(7, b"7"), ("7", b'"7"'), (-1, b"-1"), ('a"b', b'"a\\"b"'), (uuid.UUID(int=1), None), (Level.HIGH, b"3")])
def test_ids(item: Any, text: bytes | None) -> None:
    made = id_text(item)
    assert text in (None, made)
    assert id_value(made) == (str(item) if isinstance(item, uuid.UUID) else item)


@pytest.mark.parametrize("item", [True, 1.0, b"a", None, "", "x" * 257, "ü" * 129, "\ud800", (1,)])
def test_bad_ids(item: Any) -> None:
    gate = SyncGate.from_url("unix:///nowhere")
    with pytest.raises(errors.InvalidId):
        gate.list("l").append(item, 1)
    with pytest.raises(ValueError):
        gate.list("l").delete(item)


@pytest.mark.parametrize("name", ["", "x" * 513, "a{b", "a}", "a\nb", "\x7f", "\ud800", 5, None])
def test_bad_names_need_no_redis(name: Any) -> None:
    gate = SyncGate.from_url("unix:///nowhere")
    for call in (gate.var, gate.list, gate.pipeline().var, gate.call):
        with pytest.raises(errors.InvalidName):
            call(name)


def test_bad_arguments_need_no_redis() -> None:
    gate = SyncGate.from_url("unix:///nowhere")
    with pytest.raises(errors.TooLarge):
        gate.list("l").put("x" * 257, 1, 1)
    with pytest.raises(TypeError):
        gate.list("l").put(5, 1, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        gate.list("l").insert("0", 1, 1)  # type: ignore[arg-type]
    for revision in (-1, 1.0, True):
        with pytest.raises(ValueError):
            gate.var("a").set(1, if_revision=revision)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        gate.list("l").page(0, 0)
    with pytest.raises(ValueError):
        gate.list("l").replace([(1, 1), (2, 2, "a")])
    with pytest.raises(errors.InvalidId):
        gate.list("l").set_all([(1, 1), (1, 2)])
    with pytest.raises(TypeError):
        gate.list("l").set_all([1])
    for bad in ({"prefix": "a{"}, {"timeout": 0}):
        with pytest.raises(ValueError):
            SyncGate.from_url("unix:///nowhere", **bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        SyncGate.from_url("ftp://nowhere")


# The texts of the library, each with the class that it becomes; and those that cannot come to users of this package.
TEXTS = {
    "InvalidName": ["a name is 1 to 512", "not a function name", "no executor serves"],
    "InvalidValue": ["value is not JSON", "a JSON array of objects", "the identity is not JSON", "the record is not JSON"],
    "InvalidId": ["an id is an integer or a string", "two items have the same id"],
    "NotFound": ["no such item", "no item at this index"],
    "Exists": ["the list has this id already"],
    "WrongKind": ["the list is sorted", "the list is positional"],
    "OutOfRange": ["the index is not within"],
    "TooLarge": ["value larger", "arguments larger", "the array is larger", "the sort key is longer", "an identity larger"],
    "Unavailable": ["nobody who serves"],
    "Damaged": ["a key has a foreign type"],
    "SyncGateError": [
        "exactly one key", "wrong number of arguments", "the expected revision is", "since is a revision", "the room for", "the index is an integer",
        "an item needs", "an item id is", "a sort key is a string", "either every item", "page and page size", "expected: ", "an id is 1 to 64",
        "a lease is", "a place is", "calls in flight", "the timeout is", "this call, or one behind", "the number of a call", "features are",
        "the reason is", "records are kept", "a record larger",
    ],
}  # fmt: skip


def test_each_text_of_the_library_has_its_class() -> None:
    said = re.findall(r"refuse\('(SG[A-Z]+)', (?:kind == 's' and )?'([^']+)'(?: or '([^']+)')?", library.text().decode())
    assert len(said) > 40
    for word, *texts in said:
        if word == "SGREV":
            continue  # test_conflicts_are_read
        for text in filter(None, texts):
            error = errors.from_reply(f"{word} {text}")
            begins = TEXTS[type(error).__name__]
            assert any(text.startswith(begin) for begin in begins), (word, text, error)
            assert error.code == word


def test_conflicts_are_read() -> None:
    for text, expected, found in (
        ("expected revision 1, found 2", 1, 2),
        ("expected no change since revision 3, found 14", 3, 14),
        ("expected no change since revision 3, there may be one", 3, None),
        ("expected no change since revision 30, and the list is only at 4", 30, None),
    ):
        error = errors.from_reply("SGREV " + text)
        assert isinstance(error, errors.Conflict) and (error.expected, error.found, error.code) == (expected, found, "SGREV")
        head = re.sub(r"\d+", "", text).split(",")[0].strip()
        assert head.split(" revision")[0] in library.text().decode()


@pytest.mark.parametrize(
    "text,kind", [("NOPERM no", "Refused"), ("OOM x", "Refused"), ("READONLY x", "Refused"), ("LOADING x", "Unavailable"), ("CLUSTERDOWN x", "Unavailable")]
)
def test_words_of_redis(text: str, kind: str) -> None:
    error = errors.from_reply(text)
    assert type(error).__name__ == kind and error.code == text.split()[0]


def test_the_library_is_that_of_this_tree() -> None:
    joined = subprocess.check_output([REPOSITORY / "redis" / "functions" / "join"])
    assert library.text() == joined, "redis/functions/join >clients/python/src/syncgate/functions.lua"
    assert library.version() >= 5


def test_everything_that_is_exported_is_there() -> None:
    for name in syncgate.__all__:
        assert getattr(syncgate, name) is not None
