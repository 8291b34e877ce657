"""Wheel and source package: built, installed into an environment of their own, and used from there. And the types."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from typing import Any

import pytest

from conftest import HERE

PACKAGE = HERE.parent
TRY = """
import syncgate, syncgate.worker, sys
assert syncgate.__file__.startswith(sys.prefix), syncgate.__file__
gate = syncgate.SyncGate.from_url(sys.argv[1])
gate.list("l").drop()
assert gate.list("l").append("a", {"x": 1}) and gate.list("l").get("a") == {"x": 1}
print(gate.library(), syncgate.__version__)
"""


def run(*command: Any, **options: Any) -> str:
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("package")
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", ".mypy_cache", "build", "dist")
    shutil.copytree(PACKAGE, folder / "source", ignore=skipped)
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", folder / "dist", folder / "source")
    return folder / "dist"


@pytest.mark.parametrize("form", ["*.whl", "*.tar.gz"])
def test_installed_from(built: pathlib.Path, tmp_path: pathlib.Path, server: Any, form: str) -> None:
    (archive,) = built.glob(form)
    if form == "*.whl":
        names = set(zipfile.ZipFile(archive).namelist())
        assert {"syncgate/py.typed", "syncgate/functions.lua", "syncgate/worker/__main__.py"} <= names
        metadata = zipfile.ZipFile(archive).read(next(name for name in names if name.endswith("/METADATA"))).decode()
        (needed,) = re.findall(r"^Requires-Dist: (.*)$", metadata, re.M)
        assert re.fullmatch(r"redis ?\(?>=4\.3\.4\)?", needed)
    else:
        assert any(name.endswith("src/syncgate/functions.lua") for name in tarfile.open(archive).getnames())
    # Redis and the tools that build come from the system; nothing is downloaded.
    run(sys.executable, "-m", "venv", "--system-site-packages", tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-index", "--no-build-isolation", archive)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    url = f"unix://{server.socket_path}"
    assert run(python, "-c", TRY, url, env=clean, cwd=tmp_path).split()[1] == "0.1.0"
    assert "usage:" in run(python, "-m", "syncgate.worker", "--help", env=clean, cwd=tmp_path)


def test_types() -> None:
    run("mypy", cwd=PACKAGE)


def test_types_of_a_program(tmp_path: pathlib.Path) -> None:
    """What is exported is typed, and a mistake is found."""
    program = tmp_path / "program.py"
    program.write_text(
        "from syncgate import AsyncSyncGate, Context, SyncGate\n"
        "gate = SyncGate.from_url('redis://localhost')\n"
        "revision: int = gate.var('a').set(1)\n"
        "@gate.function\n"
        "def add(a: int, b: int = 0) -> int:\n    return a + b\n"
        "@gate.function('b', timeout=5)\n"
        "async def build(ctx: Context, year: int) -> str:\n    return str(ctx.user)\n"
        "total: int = add(1, 2)\n"
        "async def main(agate: AsyncSyncGate) -> None:\n    items = [item.id async for item in agate.list('l')]\n    print(items)\n"
    )
    surroundings = {**os.environ, "MYPYPATH": str(PACKAGE / "src")}
    command = ["mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"), "--config-file", "/dev/null", str(program)]
    assert "Success" in run(*command, env=surroundings)
    with program.open("a") as text:
        text.write("add('x')\n")
    done = subprocess.run(command, text=True, capture_output=True, env=surroundings)
    assert "incompatible type" in done.stdout and done.stdout.count("error:") == 1
