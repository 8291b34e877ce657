"""The manuals: their programs run as they are printed."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from conftest import REPOSITORY
from workers import WorkerProcess

import syncgate
from syncgate import SyncGate


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (REPOSITORY / "docs" / page).read_text(), re.M | re.S)


def test_python(url: str) -> None:
    names: dict[str, Any] = {}
    for block in blocks("python.md"):
        exec(compile(block.replace("redis://localhost", url), "docs/python.md", "exec"), names)
    asyncio.run(names["main"]())
    names["gate"].close()


def test_workers(url: str, gate: SyncGate, tmp_path: Any) -> None:
    (block,) = blocks("workers.md")
    (tmp_path / "printed.py").write_text(block)
    with WorkerProcess("unused", "--redis", url, target="printed:gate", env={"PYTHONPATH": f"{REPOSITORY}/clients/python/src:{tmp_path}"}):
        assert gate.call("add", {"a": 1, "b": 2}) == 3
        try:
            gate.call("report.build", {"year": 1980})
        except syncgate.CallFailed as failed:
            assert (failed.error_code, str(failed)) == (4, "no such year")


def test_every_error_is_in_the_manual() -> None:
    text = (REPOSITORY / "docs" / "python.md").read_text() + (REPOSITORY / "docs" / "workers.md").read_text()
    errors = [name for name in syncgate.__all__ if isinstance(getattr(syncgate, name), type) and issubclass(getattr(syncgate, name), Exception)]
    assert len(errors) > 20
    for name in errors:
        assert f"`{name}" in text or name in ("CallError",), name
