"""JSON read without losing its text: a message's members stay exactly as they were written.

Values travel through the gateway byte for byte, so the tests compare texts and never the numbers a parser made of them.
"""
import json


class NotJson(ValueError):
    """The text is not what RFC 8259 calls JSON."""


def _refuse_constant(name):
    raise NotJson(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_SPACE = " \t\n\r"


def _skip(text, at):
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _value(text, at):
    try:
        return _DECODER.raw_decode(text, at)
    except (json.JSONDecodeError, RecursionError) as error:
        raise NotJson(f"{error} in {text[:200]!r}") from None


def _expect(text, at, chars):
    at = _skip(text, at)
    if at >= len(text) or text[at] not in chars:
        raise NotJson(f"one of {chars!r} expected at {at} in {text[:200]!r}")
    return text[at], at + 1


def members(text):
    """The members of one object as {key: raw text}, in their order. A key that comes twice is refused."""
    out = {}
    _, at = _expect(text, 0, "{")
    at = _skip(text, at)
    if text[at : at + 1] == "}":
        char, at = "}", at + 1
    else:
        char = ","
    while char == ",":
        at = _skip(text, at)
        key, at = _value(text, at)
        if not isinstance(key, str):
            raise NotJson(f"a key that is no string in {text[:200]!r}")
        if key in out:
            raise NotJson(f"key {key!r} twice in {text[:200]!r}")
        _, at = _expect(text, at, ":")
        start = _skip(text, at)
        _, at = _value(text, start)
        out[key] = text[start:at]
        char, at = _expect(text, at, ",}")
    if _skip(text, at) != len(text):
        raise NotJson(f"text behind the object in {text[:200]!r}")
    return out


def elements(text):
    """The elements of one array as raw texts."""
    out = []
    _, at = _expect(text, 0, "[")
    at = _skip(text, at)
    if text[at : at + 1] == "]":
        char, at = "]", at + 1
    else:
        char = ","
    while char == ",":
        start = _skip(text, at)
        _, at = _value(text, start)
        out.append(text[start:at])
        char, at = _expect(text, at, ",]")
    if _skip(text, at) != len(text):
        raise NotJson(f"text behind the array in {text[:200]!r}")
    return out


def decode(text):
    """The decoded value of one JSON text."""
    at = _skip(text, 0)
    value, at = _value(text, at)
    if _skip(text, at) != len(text):
        raise NotJson(f"text behind the value in {text[:200]!r}")
    return value


class Frame:
    """One message: `raw` has each member's text, `[]` and get() its decoded value."""

    def __init__(self, text):
        self.text = text
        self.raw = members(text)

    def __getitem__(self, key):
        return decode(self.raw[key])

    def get(self, key, default=None):
        return decode(self.raw[key]) if key in self.raw else default

    def __contains__(self, key):
        return key in self.raw

    def __repr__(self):
        return self.text if len(self.text) <= 400 else f"{self.text[:300]}… ({len(self.text)} characters)"
