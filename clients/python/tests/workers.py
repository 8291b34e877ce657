"""Worker processes for tests."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 30


class WorkerProcess:
    """`python -m syncgate.worker`, ready when it is made."""

    def __init__(self, url: str, *options: str, target: str = "jobs:gate", wait: bool = True, env: dict[str, str] | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{HERE.parent / 'src'}:{HERE / 'apps'}", "SYNCGATE_REDIS": url, "PYTHONDONTWRITEBYTECODE": "1"}
        environment.update(env or {})
        command = [sys.executable, "-m", "syncgate.worker", target, *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=HERE / "apps")
        self.lines: list[str] = []
        self.serving = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            self.until_serving()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if "msg=serving" in line or '"msg": "serving"' in line:
                self.serving.set()

    def until_serving(self) -> None:
        assert self.serving.wait(PATIENCE_S), self.lines

    @property
    def id(self) -> str:
        (found,) = re.findall(r"worker=(\S+)", "\n".join(self.lines))[-1:]
        return str(found)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def code(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(PATIENCE_S)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()
