"""Workers as processes: calls from Python and by real gateways, concurrency, cancellation, death, restarts, stopping."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Awaitable, Callable, Iterator

import pytest
from redis_server import RedisServer, free_port
from workers import HERE, PATIENCE_S, WorkerProcess

from syncgate import (
    AsyncSyncGate, CallCancelled, CallFailed, CallTimeout, InvalidArguments, NoSuchFunction, SyncGate, Unavailable,
)  # fmt: skip


@pytest.fixture
def worker(url: str) -> Iterator[WorkerProcess]:
    with WorkerProcess(url) as started:
        yield started


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


def has(gate: SyncGate, worker: WorkerProcess, count: int) -> None:
    """Waits until a worker has so many calls."""
    command = (b"HGET", b"sg:@{calls}:e:" + worker.id.encode(), b"w")
    until(lambda: gate.transport.execute(command, gate.calls_root, True) == b"%d" % count, f"it has {count} calls")


def test_calls(worker: WorkerProcess, gate: SyncGate) -> None:
    assert "add" in gate.functions()
    assert gate.call("add", {"a": 1, "b": 2}) == 3
    assert gate.call("quick", {"n": 1}) == 2
    assert gate.call("nap", {"seconds": 0}) == "slept"
    assert gate.call("who") == [None, {}, "who", True, True]
    with pytest.raises(NoSuchFunction) as nobody:
        gate.call("nobody")
    assert not nobody.value.maybe_done
    for args in ({}, {"a": 1, "c": 2}, {"a": "x"}, {"a": True}):
        with pytest.raises(InvalidArguments) as refusal:
            gate.call("add", args)
        assert refusal.value.error_code == 6 and not refusal.value.maybe_done
    with pytest.raises(TypeError):
        gate.call("add", {"a": b"1"})
    with pytest.raises(TypeError):
        gate.call("add", [1])  # type: ignore[arg-type]


def test_errors(worker: WorkerProcess, gate: SyncGate) -> None:
    """Acceptance 11."""
    with pytest.raises(CallFailed) as internal:
        gate.call("secret")
    assert "secret" not in str(internal.value) and str(internal.value).startswith("internal error ")
    mark = str(internal.value).split()[-1]
    line = until(lambda: [line for line in worker.lines if mark in line], "the log has it")[0]
    assert "KeyError: 'secret'" in line and "function=secret" in line
    with pytest.raises(CallFailed) as failed:
        gate.call("refuse")
    assert failed.value.error_code == 4 and str(failed.value) == "no such year"
    with pytest.raises(InvalidArguments, match="not these"):
        gate.call("refuse", {"code": 6})
    with pytest.raises(CallFailed, match="internal error"):
        gate.call("bad_result")
    with pytest.raises(CallTimeout):
        gate.call("short", {"seconds": 600})


def test_debug_tells_the_caller(url: str, gate: SyncGate) -> None:
    with WorkerProcess(url, "--debug", "--only", "se*", "--only", "a*", "--except", "add", "--log-format", "json") as worker:
        with pytest.raises(CallFailed, match="KeyError: 'secret'"):
            gate.call("secret")
        assert gate.functions() == {"secret"}
        assert json.loads(worker.lines[0])["functions"] == "secret"


def test_progress(worker: WorkerProcess, gate: SyncGate) -> None:
    seen: list[int] = []
    assert gate.call("report.build", {"count": 60}, on_progress=lambda value: seen.append(value["percent"])) == {"count": 60}
    assert seen == sorted(set(seen)) and seen[-1] == 59 and len(seen) < 60


def told(gate: SyncGate, what: str) -> list[Any]:
    return until(lambda: (held := gate.var("told").get()) and held[0] == what and held, f"the function says {what}")


@pytest.mark.parametrize("function,end", [("until_cancelled", "cancelled"), ("until_checked", "checked")])
def test_a_task_that_is_cancelled_cancels_its_call(worker: WorkerProcess, url: str, gate: SyncGate, function: str, end: str) -> None:
    async def main() -> None:
        async with AsyncSyncGate.from_url(url) as agate:
            task = asyncio.create_task(agate.call(function))
            await asyncio.to_thread(told, gate, "runs")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await asyncio.to_thread(told, gate, end))[1] == "caller"

    asyncio.run(main())


@pytest.mark.parametrize("function,end", [("until_cancelled", "cancelled"), ("until_checked", "checked")])
def test_the_deadline_is_the_callers(worker: WorkerProcess, gate: SyncGate, function: str, end: str) -> None:
    with pytest.raises(CallTimeout):
        gate.call(function, timeout=0.5)
    assert told(gate, end)[1] == "deadline"
    assert gate.call("add", {"a": 1}) == 1


def many(gate: SyncGate, calls: list[tuple[str, Any]], threads: int = 30, timeout: float = 30) -> list[Any]:
    """The answers, exceptions among them."""

    def one(call: tuple[str, Any]) -> Any:
        try:
            return gate.call(*call, timeout=timeout)
        except Exception as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, calls))


def test_two_workers_share(url: str, gate: SyncGate) -> None:
    """Acceptance 13."""
    with WorkerProcess(url) as one, WorkerProcess(url) as two:
        answers = many(gate, [("doze", {"seconds": 0.05})] * 200)
        assert set(answers) == {one.process.pid, two.process.pid}
        assert 80 <= answers.count(one.process.pid) <= 120


def test_concurrency_and_queue(url: str, gate: SyncGate) -> None:
    with WorkerProcess(url, "--concurrency", "2", "--queue", "3"):
        answers = many(gate, [("nap", {"seconds": 0.5})] * 12, threads=12)
        busy = [answer for answer in answers if isinstance(answer, CallFailed)]
        assert answers.count("slept") == 5 and len(busy) == 7 and {str(error) for error in busy} == {"busy"}
        held = threading.Thread(target=many, args=(gate, [("nap", {"seconds": 2})] * 2, 2))
        held.start()
        until(lambda: isinstance(many(gate, [("quick", {"n": 1})], timeout=0.2)[0], CallTimeout), "a call that waits ends by its deadline")
        held.join()
        assert gate.call("quick", {"n": 1}) == 2


def test_concurrency_of_one_function(worker: WorkerProcess, gate: SyncGate) -> None:
    """What has no room of its own lets others pass."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(gate.call, "report.build", {"count": 100}) for _ in range(4)]
        assert gate.call("add", {"a": 1}) == 1
        assert all(each.result() == {"count": 100} for each in slow)
    assert many(gate, [("numbered", {"n": number}) for number in range(20)], threads=20) == list(range(20))


# --- death ---


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies(url: str, gate: SyncGate, how: int) -> None:
    """Acceptance 14. Nobody else beats: who waits sees to it that the dead are buried."""
    with WorkerProcess(url) as dies:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            running = [pool.submit(gate.call, "nap", {"seconds": 50}, timeout=60) for _ in range(3)]
            has(gate, dies, 3)
            dies.signal(how)
            if how == signal.SIGKILL:
                dies.process.wait()
            with WorkerProcess(url):
                if how == signal.SIGKILL:
                    assert many(gate, [("add", {"a": 1})] * 50, threads=5) == [1] * 50, "no call that begins now fails"
                for each in running:
                    with pytest.raises(CallFailed, match="executor gone") as gone:
                        each.result(PATIENCE_S)
                    assert gone.value.maybe_done
                assert many(gate, [("add", {"a": 1})] * 50, threads=5) == [1] * 50
                if how == signal.SIGSTOP:
                    dies.signal(signal.SIGCONT)
                    until(lambda: dies.id.encode() in gate.transport.execute((b"ZRANGE", b"sg:@{calls}:g", b"0", b"-1"), gate.calls_root, True), "it serves again")
                    assert gate.call("add", {"a": 1}) == 1


def test_a_caller_alone_notices_the_death(url: str, gate: SyncGate) -> None:
    with WorkerProcess(url) as dies, concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(gate.call, "nap", {"seconds": 50}, timeout=60)
        has(gate, dies, 1)
        dies.signal(signal.SIGKILL)
        with pytest.raises(CallFailed, match="executor gone"):
            running.result(PATIENCE_S)
    with pytest.raises((NoSuchFunction, CallFailed)):
        gate.call("add", {"a": 1})


def test_what_holds_the_interpreter_is_not_dead() -> None:
    """Acceptance 16."""
    with RedisServer(args=["--enable-debug-command", "yes"]) as own, SyncGate.from_url(own.url) as gate, WorkerProcess(own.url) as worker:
        client = own.client()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            holding = pool.submit(gate.call, "holds_everything", {"seconds": 2}, timeout=60)
            client.execute_command("DEBUG", "SLEEP", 2)
            assert holding.result() is None
        assert gate.call("add", {"a": 1}) == 1
        assert not [line for line in worker.lines if "buried" in line]


@pytest.fixture
def own() -> Iterator[Any]:
    with RedisServer(keep_data=True) as started:
        yield started


@pytest.mark.parametrize("loss", ["restart", "cut", "flush"])
def test_redis_goes_away_during_calls(own: Any, loss: str) -> None:
    """What runs goes on, and its result is delivered when Redis is back."""
    with SyncGate.from_url(own.url) as gate, WorkerProcess(own.url) as worker:
        assert gate.call("add", {"a": 1}) == 1
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            running = [pool.submit(gate.call, name, {"seconds": 1.5}, timeout=60) for name in ("nap", "doze")]
            has(gate, worker, 2)
            if loss == "restart":
                own.restart()
            elif loss == "flush":
                with own.client() as client:
                    client.flushall()
            else:
                with own.client() as client:
                    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert running[0].result() == "slept" and isinstance(running[1].result(), int)

        def answers() -> bool:
            try:
                return bool(gate.call("add", {"a": 1}) == 1)
            except (NoSuchFunction, CallFailed, Unavailable):
                return False

        until(answers, "it serves again")


# --- stopping ---


def test_stopping_under_load(url: str, gate: SyncGate) -> None:
    """Acceptance 15."""
    stop = threading.Event()
    answers: list[Any] = []

    def load() -> None:
        while not stop.is_set():
            answers.extend(many(gate, [("nap", {"seconds": 0.02})], 1))

    with WorkerProcess(url) as leaves, WorkerProcess(url):
        threads = [threading.Thread(target=load) for _ in range(8)]
        slow = concurrent.futures.ThreadPoolExecutor(4)
        long = [slow.submit(gate.call, "nap", {"seconds": 2}) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 50, "the load runs")
        leaves.signal(signal.SIGTERM)
        assert leaves.code() == 0
        before = len(answers)
        until(lambda: len(answers) > before + 50, "the load goes on")
        stop.set()
        for thread in threads:
            thread.join()
        assert set(answers) == {"slept"} and {each.result() for each in long} == {"slept"}


def test_a_rolling_restart(url: str, gate: SyncGate) -> None:
    stop = threading.Event()
    failures: list[Any] = []
    count = 0

    def load() -> None:
        nonlocal count
        while not stop.is_set():
            try:
                assert gate.call("add", {"a": 1}) == 1
                count += 1
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(WorkerProcess(url)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            stack.enter_context(fresh := WorkerProcess(url))
            workers.append(fresh)
            leaving = workers.pop(0)
            leaving.signal(signal.SIGTERM)
            assert leaving.code() == 0
        until(lambda: count >= 3000, "some thousand calls")
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_what_does_not_end_within_the_grace(url: str, gate: SyncGate) -> None:
    with WorkerProcess(url, "--grace", "0.2", "--concurrency", "2", "--queue", "5") as worker, concurrent.futures.ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(gate.call, "until_cancelled") for _ in range(2)]
        has(gate, worker, 2)
        calls.append(pool.submit(gate.call, "add"))
        has(gate, worker, 3)
        worker.signal(signal.SIGTERM)
        for each in calls:
            with pytest.raises(CallFailed, match="worker stopped"):
                each.result(PATIENCE_S)
        assert worker.code() == 0
        assert told(gate, "cancelled")[1] == "stopping"


def test_a_second_signal_ends_it_at_once(url: str, gate: SyncGate) -> None:
    with WorkerProcess(url) as worker, concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(gate.call, "doze", {"seconds": 5}, timeout=8)
        has(gate, worker, 1)
        worker.signal(signal.SIGTERM)
        until(lambda: [line for line in worker.lines if "msg=stopping" in line], "it stops")
        worker.signal(signal.SIGTERM)
        assert worker.code() == 1
        with pytest.raises((CallFailed, CallTimeout)):
            running.result(PATIENCE_S)


def test_a_thread_that_never_ends_does_not_hold_up_the_stop(url: str, gate: SyncGate) -> None:
    with WorkerProcess(url, "--grace", "0") as worker, concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(gate.call, "doze", {"seconds": 600})
        has(gate, worker, 1)
        worker.signal(signal.SIGINT)
        with pytest.raises(CallFailed, match="worker stopped"):
            running.result(PATIENCE_S)
        assert worker.code() == 0


def test_nothing_is_left_in_redis(url: str, gate: SyncGate, server: Any) -> None:
    with WorkerProcess(url) as worker:
        gate.call("add", {"a": 1})
        worker.signal(signal.SIGTERM)
        assert worker.code() == 0
    gate.close()
    with server.client() as client:
        assert set(client.keys("sg:@{calls}*")) <= {b"sg:@{calls}:r", b"sg:@{calls}:k"}


# --- the command line ---


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "PYTHONPATH": f"{HERE.parent / 'src'}:{HERE / 'apps'}", **environment}
    return subprocess.run([sys.executable, "-m", "syncgate.worker", *arguments], env=surroundings, text=True, capture_output=True, cwd=HERE / "apps", timeout=60)


def test_check(url: str) -> None:
    done = command("jobs:gate", "--check", "--redis", url)
    assert done.returncode == 0 and "add(a: int, b: int = 0)\n" in done.stdout and "report.build(count: int)\n" in done.stdout
    away = command("jobs", "--check", "--redis", f"redis://127.0.0.1:{free_port()}")
    assert away.returncode == 3 and "Redis:" in away.stderr


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["nowhere"], "no module nowhere"),
        (["jobs:nothing"], "not a SyncGate"),
        (["json"], "no registries"),
        (["two"], "2 registries"),
        (["broken"], "cannot be imported: ZeroDivisionError"),
        (["jobs", "--only", "zzz"], "nothing to serve"),
        (["jobs", "two:second"], "registered already"),
        (["jobs", "--concurrency", "0"], "at least 1"),
        (["jobs", "--processes", "0"], "at least 1"),
        ([], "usage"),
    ],
)
def test_what_cannot_be_served(arguments: list[str], says: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2 and says in done.stderr


def test_environment_and_prefix(url: str) -> None:
    with WorkerProcess("redis://127.0.0.1:1", "--redis", url, "--prefix", "acme:", target="two:first") as worker:
        with SyncGate.from_url(url, prefix="acme:") as gate:
            assert gate.call("double", {"n": 4}) == 8
        assert "functions=double" in worker.lines[0]


def test_several_processes(url: str, gate: SyncGate) -> None:
    with WorkerProcess(url, "--processes", "2") as parent:
        until(lambda: sum("msg=serving" in line for line in parent.lines) == 2, "both serve")
        pids = set()
        until(lambda: pids.add(gate.call("pid")) or len(pids) == 2, "both answer")
        os.kill(next(iter(pids)), signal.SIGKILL)
        until(lambda: sum("msg=serving" in line for line in parent.lines) == 3, "another is started")
        parent.signal(signal.SIGTERM)
        assert parent.code() == 0
        assert parent.lines[-1].count("stopping") == 1


def test_reload(url: str, gate: SyncGate, tmp_path: Any) -> None:
    module = tmp_path / "changing.py"
    text = "from syncgate import SyncGate\ngate = SyncGate.from_url('redis://localhost')\n@gate.function\ndef which() -> str:\n    return '{}'\n"
    module.write_text(text.format("one"))
    surroundings = {**os.environ, "PYTHONPATH": str(HERE.parent / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([sys.executable, "-m", "syncgate.worker", "changing", "--redis", url, "--reload"], env=surroundings, cwd=tmp_path)

    def which() -> Any:
        try:
            return gate.call("which")
        except (NoSuchFunction, CallFailed):
            return None

    try:
        until(lambda: which() == "one", "it serves")
        module.write_text(text.format("three"))
        until(lambda: which() == "three", "it serves what was written")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


# --- by gateways ---


def socksync(test: Callable[[Any], Awaitable[None]], gateway: Any) -> None:
    from peer import Peer

    async def main() -> None:
        peer = await Peer.connect(gateway)
        try:
            await test(peer)
        finally:
            await peer.close()

    asyncio.run(main())


def test_a_browser_calls_a_worker(url: str, gateways: Any) -> None:
    gateway = gateways.start()

    async def test(peer: Any) -> None:
        with WorkerProcess(url) as worker:
            await peer.offered("add")
            reply = await peer.call("add", "1", '{"a":1,"b":2}')
            assert reply["func"] == "return" and reply["value"] == 3, reply
            reply = await peer.call("add", "2", '{"a":"x"}')
            assert reply["func"] == "error" and reply["error_code"] == 6, reply
            worker.signal(signal.SIGTERM)
            assert await asyncio.to_thread(worker.code) == 0
            await peer.offered("add", False)

    socksync(test, gateway)


def test_python_calls_a_browser(url: str, gate: SyncGate, gateways: Any) -> None:
    gateway = gateways.start()

    async def test(peer: Any) -> None:
        async def handler(peer: Any, frame: Any) -> None:
            await peer.send(func="return", type="function", name="echo", id=frame["id"], value=frame["args"])

        await peer.serve("echo", handler)
        async with AsyncSyncGate.from_url(url) as agate:
            await agate.wait_for("echo", PATIENCE_S)
            with pytest.raises(TimeoutError):
                await agate.wait_for("nobody", 0.05)
            assert (await agate.call("echo", {"a": [1, "ü"]})) == {"a": [1, "ü"]}

    socksync(test, gateway)
