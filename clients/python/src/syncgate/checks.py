"""Arguments against annotations. An annotation becomes a checker once, when a function is registered."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from typing import Any, Callable, Literal, Union

# (value, where it stands) -> what the function gets
Checker = Callable[[Any, str], Any]


class Mismatch(Exception):
    """One or several texts for the caller."""

    def __init__(self, *texts: str) -> None:
        super().__init__("; ".join(texts))
        self.texts = texts


def kind_of(value: Any) -> str:
    """What a JSON value is, with its article."""
    for kind, text in ((bool, "a boolean"), (int, "an integer"), (float, "a number"), (str, "a string"), (list, "an array"), (dict, "an object")):
        if isinstance(value, kind):
            return text
    return "null"


def _wrong(path: str, wanted: str, value: Any) -> Mismatch:
    return Mismatch(f"{path} must be {wanted}, not {kind_of(value)}")


def _any(value: Any, path: str) -> Any:
    return value


def _int(value: Any, path: str) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise _wrong(path, "an integer", value)


def _float(value: Any, path: str) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise Mismatch(f"{path} must be a number that is not that large") from None
    raise _wrong(path, "a number", value)


def _str(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return value
    raise _wrong(path, "a string", value)


def _bool(value: Any, path: str) -> Any:
    if isinstance(value, bool):
        return value
    raise _wrong(path, "a boolean", value)


def _null(value: Any, path: str) -> Any:
    if value is None:
        return value
    raise _wrong(path, "null", value)


def _from_text(wanted: str, make: Callable[[str], Any]) -> Checker:
    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise _wrong(path, wanted, value)
        try:
            return make(value)
        except ValueError:
            raise Mismatch(f"{path} must be {wanted}") from None

    return check


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)


def _decimal(value: Any, path: str) -> Any:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            made = decimal.Decimal(str(value))
        except decimal.InvalidOperation:
            made = decimal.Decimal("NaN")
        if made.is_finite():
            return made
        raise Mismatch(f"{path} must be a decimal number")
    raise _wrong(path, "a decimal number", value)


_SIMPLE: dict[Any, Checker] = {
    Any: _any,
    inspect.Parameter.empty: _any,
    object: _any,
    int: _int,
    float: _float,
    str: _str,
    bool: _bool,
    None: _null,
    type(None): _null,
    decimal.Decimal: _decimal,
    datetime.datetime: _from_text("a date and time in ISO 8601", _moment),
    datetime.date: _from_text("a date in ISO 8601", datetime.date.fromisoformat),
    uuid.UUID: _from_text("a UUID", uuid.UUID),
}


def _list(inner: Checker) -> Checker:
    def check(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise _wrong(path, "an array", value)
        return [inner(each, f"{path}[{place}]") for place, each in enumerate(value)]

    return check


def _dict(inner: Checker) -> Checker:
    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {key: inner(each, f"{path}.{key}") for key, each in value.items()}

    return check


def _same(one: Any, other: Any) -> bool:
    return bool(type(one) is type(other) and one == other)


def _one_of(choices: tuple[Any, ...], make: Callable[[Any], Any]) -> Checker:
    import json

    wanted = " or ".join(json.dumps(choice, ensure_ascii=False, default=str) for choice in choices)

    def check(value: Any, path: str) -> Any:
        for choice in choices:
            if _same(choice, value):
                return make(choice)
        raise Mismatch(f"{path} must be {wanted}")

    return check


def _union(checkers: list[Checker]) -> Checker:
    def check(value: Any, path: str) -> Any:
        wanted: list[str] = []
        deeper: list[Mismatch] = []
        for each in checkers:
            try:
                return each(value, path)
            except Mismatch as mismatch:
                text = mismatch.texts[0]
                begin = f"{path} must be "
                if text.startswith(begin):
                    wanted.append(text[len(begin) :].split(", not ")[0])
                else:
                    deeper.append(mismatch)
        if deeper:
            raise deeper[0]
        raise _wrong(path, " or ".join(wanted), value)

    return check


def fields_checker(fields: dict[str, tuple[Checker, bool]], make: Callable[[dict[str, Any]], Any], more: bool = False) -> Checker:
    """An object with fields, each with its checker and whether it must be there; all that is wrong is told."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(path or "the argument", "an object", value)
        texts: list[str] = []
        made: dict[str, Any] = {}
        dot = f"{path}." if path else ""
        for name, (inner, needed) in fields.items():
            if name in value:
                try:
                    made[name] = inner(value[name], dot + name)
                except Mismatch as mismatch:
                    texts += mismatch.texts
            elif needed:
                texts.append(f"{dot}{name} is missing")
        for name in value:
            if name not in fields:
                if more:
                    made[name] = value[name]
                else:
                    texts.append(f"unknown {'argument' if not path else 'field'} {dot}{name}")
        if texts:
            raise Mismatch(*texts)
        return make(made)

    return check


def _dataclass(kind: Any) -> Checker:
    hints = typing.get_type_hints(kind)
    fields = {
        field.name: (
            checker(hints[field.name], field.name),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
        if field.init
    }

    def make(values: dict[str, Any]) -> Any:
        try:
            return kind(**values)
        except ValueError as error:
            raise Mismatch(str(error)) from None

    return fields_checker(fields, make)


def _typed_dict(kind: Any) -> Checker:
    needed = kind.__required_keys__
    fields = {name: (checker(hint, name), name in needed) for name, hint in typing.get_type_hints(kind).items()}
    return fields_checker(fields, dict)


def _model(kind: Any) -> Checker:
    def check(value: Any, path: str) -> Any:
        try:
            return kind.model_validate(value)
        except ValueError as error:  # what pydantic raises is one
            errors = getattr(error, "errors", None)
            if errors is None:
                raise Mismatch(f"{path}: {error}") from None
            raise Mismatch(*(f"{'.'.join([path, *map(str, each['loc'])])}: {each['msg']}" for each in errors())) from None

    return check


def checker(annotation: Any, name: str) -> Checker:
    """The checker of an annotation. Raises: `TypeError` for one that cannot be checked."""
    if isinstance(annotation, typing.Hashable) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return checker(inner[0], name)
    if annotation is list or origin is list:
        return _list(checker(inner[0], name) if inner else _any)
    if annotation is dict or origin is dict and inner[0] is str:
        return _dict(checker(inner[1], name) if inner else _any)
    if origin is Union or origin is types.UnionType:
        return _union([checker(each, name) for each in inner])
    if origin is Literal:
        return _one_of(inner, lambda choice: choice)
    if isinstance(annotation, type):
        if issubclass(annotation, enum.Enum):
            return _one_of(tuple(member.value for member in annotation), annotation)
        if dataclasses.is_dataclass(annotation):
            return _dataclass(annotation)
        if hasattr(annotation, "model_validate"):
            return _model(annotation)
    if typing.is_typeddict(annotation):
        return _typed_dict(annotation)
    raise TypeError(f"{name}: arguments cannot be checked against {annotation!r}")
