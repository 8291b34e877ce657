"""Functions that the tests of workers serve."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from syncgate import Context, FunctionError, InvalidArguments, SyncGate

gate = SyncGate.from_url(os.environ.get("SYNCGATE_REDIS", "redis://localhost:1"))


@gate.function
def add(a: int, b: int = 0) -> int:
    return a + b


@gate.function
def pid() -> int:
    return os.getpid()


@gate.function
def who(ctx: Context) -> Any:
    return [ctx.user, ctx.info, ctx.function, 0 < ctx.remaining() <= 30, ctx.call_id != ""]


@gate.function
def secret() -> None:
    raise KeyError("secret")


@gate.function
def refuse(code: int = 4) -> None:
    if code == 6:
        raise InvalidArguments("not these")
    raise FunctionError("no such year", code=code)


@gate.function
def bad_result() -> Any:
    return {"x": b"bytes"}


@gate.function("nap", timeout=60)
async def nap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@gate.function
def doze(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@gate.function(timeout=0.2)
async def short(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@gate.function(thread=False)
def quick(n: int) -> int:
    return n + 1


@gate.function("report.build", timeout=600, concurrency=2)
async def build(ctx: Context, count: int) -> dict[str, int]:
    for number in range(count):
        await asyncio.sleep(0.005)
        ctx.progress({"percent": number})
    return {"count": count}


async def _told(ctx: Context, what: str) -> None:
    assert ctx.agate is not None
    await ctx.agate.var("told").set([what, ctx.cancel_reason])


@gate.function
async def until_cancelled(ctx: Context) -> None:
    await _told(ctx, "runs")
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        await _told(ctx, "cancelled")
        raise


@gate.function
def until_checked(ctx: Context) -> None:
    assert ctx.gate is not None
    ctx.gate.var("told").set(["runs", None])
    try:
        while True:
            ctx.check()
            time.sleep(0.01)
    finally:
        ctx.gate.var("told").set(["checked", ctx.cancel_reason])


@gate.function
def holds_everything(seconds: float) -> None:
    """Keeps the interpreter to itself: nothing else of Python runs meanwhile."""
    import ctypes

    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@gate.function("numbered", concurrency=1)
def numbered(n: int) -> int:
    time.sleep(0.02)
    return n
