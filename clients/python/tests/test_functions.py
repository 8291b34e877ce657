"""Registering functions, and arguments against annotations. No Redis."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Any, Callable, Literal, Optional, TypedDict, Union

import pytest

from syncgate import Context, Functions, InvalidArguments, SyncGate
from syncgate.errors import InvalidName
from syncgate.functions import Served


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    name: str
    year: int


class Model:
    """Shaped like a model of pydantic."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        if not isinstance(value, dict):
            raise ValueError("not a model")
        return cls(value)


def served(fn: Callable[..., Any], **options: Any) -> Served:
    functions = Functions()
    functions.function("f", **options)(fn)
    return next(functions.served())


def bind(fn: Callable[..., Any], args: Any) -> Any:
    return served(fn).bind(args, Context())


def refused(fn: Callable[..., Any], args: Any) -> str:
    with pytest.raises(InvalidArguments) as refusal:
        bind(fn, args)
    assert refusal.value.error_code == 6
    return str(refusal.value)


def add(a: int, b: int = 0) -> int:
    return a + b


def test_texts() -> None:
    """Acceptance 10."""
    assert bind(add, {"a": 1}) == {"a": 1}
    assert bind(add, {"a": 1.0, "b": -2}) == {"a": 1, "b": -2}
    assert type(bind(add, {"a": 1.0})["a"]) is int
    assert refused(add, {}) == refused(add, None) == "a is missing"
    assert refused(add, {"a": 1, "c": 2}) == "unknown argument c"
    assert refused(add, {"a": "x"}) == "a must be an integer, not a string"
    assert refused(add, {"a": True}) == "a must be an integer, not a boolean"
    assert refused(add, {"a": 1.5}) == "a must be an integer, not a number"
    assert refused(add, {"b": None, "c": 1}) == "a is missing; b must be an integer, not null; unknown argument c"
    assert "must be an object" in refused(add, [1])


@pytest.mark.parametrize(
    "annotation,good,bad",
    [
        (float, [(1, 1.0), (1.5, 1.5)], ["1", True, None]),
        (str, [("a", "a")], [1, None]),
        (bool, [(True, True)], [0, "true"]),
        (None, [(None, None)], [0]),
        (Any, [([1], [1])], []),
        (list, [([1, "a"], [1, "a"])], [{}]),
        (list[int], [([1, 2.0], [1, 2])], [["a"], {}, None]),
        (dict[str, int], [({"a": 1}, {"a": 1})], [{"a": "x"}, []]),
        (Optional[int], [(None, None), (1, 1)], ["a"]),
        (int | None, [(None, None), (1, 1)], ["a"]),
        (Union[int, list[str]], [(1, 1), (["a"], ["a"])], ["a", [1]]),
        (Literal["a", 1], [("a", "a"), (1, 1)], ["b", True, 1.0]),
        (Colour, [("red", Colour.RED)], ["green", 1]),
        (Point, [({"x": 1}, Point(1)), ({"x": 1, "y": 2}, Point(1, 2))], [{}, {"x": "a"}, {"x": 1, "z": 1}, 5]),
        (Movie, [({"name": "a", "year": 1}, {"name": "a", "year": 1})], [{"name": "a"}]),
        (datetime.datetime, [("2024-01-02T03:04:05Z", datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc))], ["x", 1]),
        (datetime.date, [("2024-01-02", datetime.date(2024, 1, 2))], ["2024-13-01", None]),
        (uuid.UUID, [(str(uuid.UUID(int=3)), uuid.UUID(int=3))], ["x", 3]),
        (decimal.Decimal, [("5.00", decimal.Decimal("5.00")), (5, decimal.Decimal(5)), (0.1, decimal.Decimal("0.1"))], ["x", True, "NaN"]),
    ],
    ids=str,
)
def test_annotations(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = annotation
    for given, made in good:
        bound = bind(function, {"value": given})["value"]
        assert bound == made and type(bound) is type(made)
    for given in bad:
        assert refused(function, {"value": given}).startswith(("value", "unknown field value"))


def test_places_are_named() -> None:
    def function(rows: list[Point], more: dict[str, list[int]] = {}) -> None: ...

    text = refused(function, {"rows": [{"x": 1}, {"y": 1}], "more": {"a": [1, "b"]}})
    assert text == "rows[1].x is missing; more.a[1] must be an integer, not a string"
    assert refused(lambda v: v, {}) == "v is missing"


def test_a_model() -> None:
    def function(model: Model) -> None: ...

    assert bind(function, {"model": {"a": 1}})["model"].value == {"a": 1}
    assert refused(function, {"model": 5}) == "model: not a model"


def test_context_is_no_argument() -> None:
    context = Context(info={"user": 42, "name": "Amy"}, function="f", call_id="7")

    def by_name(ctx, a: int) -> None:  # type: ignore[no-untyped-def]
        ...

    def by_type(a: int, *, me: Context) -> None: ...

    assert served(by_name).bind({"a": 1}, context) == {"a": 1, "ctx": context}
    assert served(by_type).bind({"a": 1}, context) == {"a": 1, "me": context}
    assert "unknown argument ctx" in refused(by_name, {"a": 1, "ctx": 1})
    assert (context.user, context.info["name"]) == ("42", "Amy")
    context.progress(5)
    context.check()
    context.cancel("gone")
    context.cancel("deadline")
    assert context.cancelled and context.cancel_reason == "gone"
    with pytest.raises(Exception, match="gone"):
        context.check()


def test_a_function_stays_a_function() -> None:
    gate = SyncGate.from_url("redis://nowhere")
    assert gate.function(add)(1, 2) == 3
    assert gate.function("other", timeout=5, concurrency=2)(add) is add
    with pytest.raises(ValueError, match="registered already"):
        gate.function(add)
    functions = Functions()
    functions.function(add)
    gate.include(functions, prefix="billing.")
    assert [each.name for each in gate.served()] == ["add", "other", "billing.add"]


def test_what_cannot_be_registered() -> None:
    def generator() -> Any:
        yield 1

    async def agenerator() -> Any:
        yield 1

    def positional(a: int, /) -> None: ...

    def many(*a: int) -> None: ...

    def strange(a: set[int]) -> None: ...

    def bad_key(a: dict[int, int]) -> None: ...

    def unknown(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function in (generator, agenerator, positional, many, strange, bad_key, unknown):
        with pytest.raises(TypeError):
            served(function)
    with pytest.raises(InvalidName):
        Functions().function("a{b")(add)
    for options in ({"timeout": 0}, {"concurrency": 0}):
        with pytest.raises(ValueError):
            served(add, **options)


def test_more_arguments() -> None:
    def function(a: int, **more: Any) -> None: ...

    assert bind(function, {"a": 1, "b": [2]}) == {"a": 1, "b": [2]}
