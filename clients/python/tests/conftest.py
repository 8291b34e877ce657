"""A real Redis for each module of tests, and gates to it."""

from __future__ import annotations

import asyncio
import importlib.util
import pathlib
import sys
from typing import Any, Awaitable, Callable, Iterator

import pytest

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
sys.path.insert(0, str(HERE.parent / "src"))
sys.path.insert(0, str(REPOSITORY / "tests" / "integration"))

from redis_server import RedisServer  # noqa: E402

from syncgate import AsyncSyncGate, SyncGate  # noqa: E402


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with RedisServer() as started:
        yield started


@pytest.fixture
def url(server: Any) -> str:
    with server.client() as client:
        client.flushall()
    return f"unix://{server.socket_path}"


@pytest.fixture
def gate(url: str) -> Iterator[SyncGate]:
    with SyncGate.from_url(url) as made:
        yield made


class Both:
    """A gate of either kind, to be awaited: one test says what both do."""

    def __init__(self, gate: SyncGate | AsyncSyncGate) -> None:
        self.gate = gate

    async def __call__(self, thing: Any) -> Any:
        return await thing if isinstance(thing, Awaitable) else thing


@pytest.fixture(params=["waiting", "asyncio"])
def either(request: pytest.FixtureRequest, url: str) -> Callable[[Callable[[Both], Awaitable[None]]], None]:
    """Runs `test(both)` with a gate of each kind; `await both(both.gate.var("a").get())`."""

    def run(test: Callable[[Both], Awaitable[None]]) -> None:
        async def main() -> None:
            if request.param == "waiting":
                with SyncGate.from_url(url) as gate:
                    await test(Both(gate))
            else:
                async with AsyncSyncGate.from_url(url) as agate:
                    await test(Both(agate))

        asyncio.run(main())

    return run


@pytest.fixture
def gateways(tmp_path: pathlib.Path, server: Any) -> Iterator[Any]:
    """Real gateways on the Redis of the module."""
    module = importlib.util.spec_from_file_location("integration_conftest", REPOSITORY / "tests" / "integration" / "conftest.py")
    assert module is not None and module.loader is not None
    integration = importlib.util.module_from_spec(module)
    module.loader.exec_module(integration)
    pool = integration.Gateways(tmp_path, server.socket_path)
    yield pool
    pool.stop()
