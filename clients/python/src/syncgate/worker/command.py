"""The command line: `python -m syncgate.worker MODULE[:ATTR] ...`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from types import ModuleType
from typing import Any, Sequence

from ..errors import SyncGateError, Unavailable
from ..functions import Functions, Registry
from ..gate import AsyncSyncGate, SyncGate
from . import logs
from .service import Worker

log = logging.getLogger("syncgate.worker")

START_S = 30.0
OK, FORCED, USAGE, NO_REDIS = 0, 1, 2, 3
RESTART_MIN_S, RESTART_MAX_S = 0.2, 10.0


class Unusable(Exception):
    """What was asked for cannot be served; the text says why."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m syncgate.worker", description="Serves functions to everybody who may call them.")
    environment = os.environ.get
    made.add_argument("targets", nargs="+", metavar="MODULE[:ATTR]", help="a module and the SyncGate or Functions in it")
    made.add_argument("--redis", metavar="URL", default=environment("SYNCGATE_REDIS"), help="instead of the gate's own")
    made.add_argument("--prefix", default=environment("SYNCGATE_PREFIX"))
    made.add_argument("--concurrency", type=int, metavar="N", default=int(environment("SYNCGATE_WORKER_CONCURRENCY", "10")), help="calls at a time")
    made.add_argument("--queue", type=int, metavar="N", default=int(environment("SYNCGATE_WORKER_QUEUE", "100")), help="calls that wait")
    made.add_argument("--processes", type=int, metavar="N", default=int(environment("SYNCGATE_WORKER_PROCESSES", "1")))
    made.add_argument("--grace", type=float, metavar="S", default=25.0, help="seconds for what runs when it stops")
    made.add_argument("--only", action="append", default=[], metavar="GLOB", help="serve these functions alone")
    made.add_argument("--except", action="append", default=[], metavar="GLOB", dest="excluded", help="but not these")
    made.add_argument("--wait", action="store_true", help="wait for Redis for ever")
    made.add_argument("--reload", action="store_true", help="begin again when a module below this folder changes")
    made.add_argument("--debug", action="store_true", help="callers see the text of internal errors")
    made.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    made.add_argument("--log-format", choices=["logfmt", "json"], default="logfmt")
    made.add_argument("--check", action="store_true", help="list the functions, ask Redis, and end")
    return made


def registry_of(target: str) -> Registry:
    """The registry that `MODULE[:ATTR]` names. Raises: `Unusable`."""
    name, _, attribute = target.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module: ModuleType = importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise Unusable(f"there is no module {name}") from None
        logging.getLogger("syncgate.worker").debug("import", exc_info=True)
        raise Unusable(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    if attribute:
        found = getattr(module, attribute, None)
        if not isinstance(found, Registry):
            raise Unusable(f"{target} is not a SyncGate or Functions")
        return found
    held = {id(value): value for value in vars(module).values() if isinstance(value, Registry)}
    if len(held) != 1:
        raise Unusable(f"{name} has {len(held) or 'no'} registries of functions: say which, {name}:NAME")
    return next(iter(held.values()))


def joined(targets: Sequence[str]) -> Registry:
    """One registry of several: the first gate, or a registry of its own, with all functions. Raises: `Unusable`."""
    registries: list[Registry] = []
    for target in targets:
        found = registry_of(target)
        if found not in registries:
            registries.append(found)
    if len(registries) == 1:
        return registries[0]
    gates = [each for each in registries if isinstance(each, (SyncGate, AsyncSyncGate))]
    whole: Registry = gates[0] if gates else Functions()
    try:
        for each in registries:
            if each is not whole:
                whole.include(each)
    except ValueError as error:
        raise Unusable(str(error)) from None
    return whole


def wait_for_redis(worker: Worker, patience: float | None) -> None:
    """Raises: `SyncGateError` when Redis is not there after `patience` seconds (`None`: for ever), or refuses."""
    until = None if patience is None else time.monotonic() + patience
    with SyncGate.from_url(worker.url, prefix=worker.prefix, timeout=min(worker.timeout, 5.0)) as gate:
        told = False
        while True:
            try:
                gate.functions()
                return
            except Unavailable as error:
                if until is not None and time.monotonic() >= until:
                    raise
                if not told:
                    log.warning("waiting for Redis: %s", error)
                    told = True
            time.sleep(0.25)


def check(worker: Worker) -> int:
    for served in worker.functions.values():
        print(f"{served.name}({', '.join(served.arguments)})")
    try:
        wait_for_redis(worker, 0)
    except SyncGateError as error:
        print(f"Redis: {error}", file=sys.stderr)
        return NO_REDIS
    return OK


def _files() -> dict[str, float]:
    """The files of imported modules below the working directory, and when they changed."""
    here = os.getcwd() + os.sep
    found: dict[str, float] = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py") and os.path.abspath(path).startswith(here):
            try:
                found[path] = os.stat(path).st_mtime
            except OSError:
                found[path] = 0.0
    return found


class Reloader:
    """Stops a worker when a file changes."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.changed = False
        threading.Thread(target=self._watch, name="syncgate-reload", daemon=True).start()

    def _watch(self) -> None:
        before = _files()
        while True:
            time.sleep(0.5)
            now = _files()
            changed = [path for path, moment in now.items() if path in before and before[path] != moment]
            before = {**now, **{path: moment for path, moment in before.items() if path in now and path not in changed}}
            if changed:
                log.info("changed, beginning again", extra={"file": changed[0]})
                self.changed = True
                self.worker.stop()
                return


class Processes:
    """A parent that keeps so many workers alive."""

    def __init__(self, count: int, arguments: list[str]) -> None:
        self.command = [sys.executable, "-m", "syncgate.worker", *arguments, "--processes", "1"]
        self.count = count
        self.children: list[subprocess.Popen[bytes]] = []
        self.signals = 0

    def _signal(self, number: int, frame: Any) -> None:
        self.signals += 1
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signal)
        self.children = [self._start() for _ in range(self.count)]
        failures = 0
        while True:
            time.sleep(0.1)
            ended = [place for place, child in enumerate(self.children) if child.poll() is not None]
            if self.signals:
                if len(ended) == len(self.children):
                    return FORCED if any(child.returncode for child in self.children) else OK
                continue
            codes = [self.children[place].returncode for place in ended]
            if any(code in (USAGE, NO_REDIS) for code in codes):
                self._signal(signal.SIGTERM, None)
                for child in self.children:
                    child.wait()
                return next(code for code in codes if code in (USAGE, NO_REDIS))
            failures = failures + len(ended) if ended else 0
            for place in ended:
                log.error("a worker ended, starting another", extra={"code": self.children[place].returncode})
                time.sleep(min(RESTART_MAX_S, RESTART_MIN_S * 2 ** min(failures, 6)))
                if not self.signals:
                    self.children[place] = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        # Ctrl-C reaches the parent, which tells them once.
        return subprocess.Popen(self.command, start_new_session=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and answers the exit code: 0 stopped, 1 forced, 2 usage or nothing to serve, 3 no Redis."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    logs.set_up(options.log_level, options.log_format)
    if options.processes < 1:
        print("--processes is at least 1", file=sys.stderr)
        return USAGE
    try:
        worker = Worker(
            joined(options.targets),
            redis=options.redis,
            prefix=options.prefix,
            concurrency=options.concurrency,
            queue=options.queue,
            grace=options.grace,
            only=options.only,
            excluded=options.excluded,
            debug=options.debug,
        )
    except (Unusable, ValueError) as error:
        print(f"syncgate.worker: {error}", file=sys.stderr)
        return USAGE
    if options.check:
        return check(worker)
    if options.processes > 1 and not options.reload:
        return Processes(options.processes, given).run()
    return _serve(worker, options, given)


def _serve(worker: Worker, options: argparse.Namespace, given: list[str]) -> int:
    def ended(number: int, frame: Any) -> None:
        sys.exit(OK)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ended)
    try:
        wait_for_redis(worker, None if options.wait else START_S)
    except SyncGateError as error:
        print(f"syncgate.worker: Redis: {error}", file=sys.stderr)
        return NO_REDIS
    reloader = Reloader(worker) if options.reload else None
    code = worker.run()
    sys.stdout.flush()
    sys.stderr.flush()
    if reloader is not None and reloader.changed:
        os.execv(sys.executable, [sys.executable, "-m", "syncgate.worker", *given])
    # Functions that nobody waits for must not hold up the end.
    os._exit(code)
