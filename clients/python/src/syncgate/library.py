"""The function library that Redis needs, as this package ships it."""

from __future__ import annotations

import functools
import pathlib
import re


@functools.lru_cache(maxsize=None)
def text() -> bytes:
    return (pathlib.Path(__file__).parent / "functions.lua").read_bytes()


@functools.lru_cache(maxsize=None)
def version() -> int:
    found = re.search(rb"^local VERSION = (\d+)$", text(), re.M)
    assert found
    return int(found[1])


HOW = "load it as a user who may: python -m syncgate.load REDIS-URL, or redis-cli -x FUNCTION LOAD REPLACE <functions.lua"
