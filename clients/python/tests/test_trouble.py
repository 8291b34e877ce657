"""Redis away, frozen, full, without rights; cancelled requests; forks; a cluster."""

from __future__ import annotations

import asyncio
import os
import pathlib
import socket
import subprocess
import threading
import time
from typing import Any, Iterator

import pytest
import redis
from conftest import Both
from redis_server import LIBRARY, RedisServer, free_port

from syncgate import AsyncSyncGate, FunctionsMissing, PipelineError, Refused, SyncGate, Unavailable
from syncgate import errors, library


@pytest.fixture
def own() -> Iterator[Any]:
    with RedisServer(keep_data=True) as started:
        yield started


async def of_each_kind(url: str, test: Any, **options: Any) -> None:
    with SyncGate.from_url(url, **options) as gate:
        await test(Both(gate))
    async with AsyncSyncGate.from_url(url, **options) as agate:
        await test(Both(agate))


def test_no_redis_at_all() -> None:
    async def test(both: Both) -> None:
        var = both.gate.var("a")
        for call in (lambda: var.get(), lambda: var.set(1), lambda: both.gate.functions()):
            with pytest.raises(Unavailable) as failure:
                await both(call())
            assert not failure.value.maybe_done and isinstance(failure.value, ConnectionError)

    for where in ("unix:///nowhere/redis.sock", f"redis://127.0.0.1:{free_port()}", f"redis-cluster://127.0.0.1:{free_port()}"):
        asyncio.run(of_each_kind(where, test))


def test_a_bad_name_connects_to_nobody() -> None:
    """Acceptance 1."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        gate = SyncGate.from_url(f"redis://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(errors.InvalidName):
            gate.var("a{b").set(1)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_redis_restarts_between_calls(own: Any) -> None:
    """Acceptance 8: idle connections are looked at before they are used, and nothing is applied twice."""

    async def test(both: Both) -> None:
        var, todo = both.gate.var("a"), both.gate.list("l")
        await both(todo.drop())
        revision = await both(var.set(5))
        own.restart()
        assert await both(var.get()) == 5
        own.restart()
        assert await both(var.set(6)) == revision + 1
        own.restart()
        await both(todo.append(1, 1))
        assert await both(todo.page()) is not None and (await both(todo.read(1))).index == 0

    asyncio.run(of_each_kind(own.url, test))


def test_a_frozen_redis(own: Any) -> None:
    async def test(both: Both) -> None:
        var = both.gate.var("a")
        await both(var.set(1))
        own.pause()
        try:
            with pytest.raises(Unavailable) as failure:
                await both(var.set(2))
            assert failure.value.maybe_done
            with pytest.raises(Unavailable):
                await both(var.get())
            if isinstance(both.gate, SyncGate):
                with pytest.raises(PipelineError) as failed, both.gate.pipeline() as pipeline:
                    for number in range(3000):
                        pipeline.var(f"v{number}").set(number)
                results = failed.value.results
                assert len(results) == 3000 and isinstance(results[0], Unavailable) and isinstance(results[2999], Unavailable)
                assert not results[2999].maybe_done, "behind a piece without an answer nothing is sent"
        finally:
            own.resume()
        assert await both(both.gate.var("b").set(7)) >= 1
        assert await both(both.gate.var("b").get()) == 7
        assert await both(var.get()) in (1, 2)

    asyncio.run(of_each_kind(own.url, test, timeout=0.3))


def test_an_answer_is_never_somebody_elses(own: Any) -> None:
    """A cancelled call leaves its answer behind."""

    async def main() -> None:
        async with AsyncSyncGate.from_url(own.url, timeout=60) as agate:
            for number in range(20):
                await agate.var(f"v{number}").set(number)
            for number in range(20):
                own.pause()
                task = asyncio.create_task(agate.var(f"v{number}").get())
                await asyncio.sleep(0.02 if number % 2 else 0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                own.resume()
                other = (number + 1) % 20
                assert await agate.var(f"v{other}").get() == other

    asyncio.run(main())


def test_functions_are_loaded_again(own: Any) -> None:
    """Acceptance 9."""

    async def test(both: Both) -> None:
        await both(both.gate.var("a").set(1))
        with own.client() as client:
            client.execute_command("FUNCTION", "FLUSH")
        await both(both.gate.var("a").set(2))
        with own.client() as client:
            client.execute_command("FUNCTION", "FLUSH")
        if isinstance(both.gate, SyncGate):
            with both.gate.pipeline() as pipeline:
                answers = [pipeline.list("l").append(number, 1) for number in range(3)]
            assert [answer.result() for answer in answers] == [1, 2, 3]
        assert await both(both.gate.var("a").get()) == 2

    asyncio.run(of_each_kind(own.url, test))


def test_an_older_library_is_replaced_and_a_newer_one_is_not(own: Any) -> None:
    old = LIBRARY.replace(f"local VERSION = {library.version()}", "local VERSION = 4")
    new = LIBRARY.replace(f"local VERSION = {library.version()}", "local VERSION = 99")
    for text, version in ((old, library.version()), (new, 99)):
        with own.client() as client:
            client.execute_command("FUNCTION", "LOAD", "REPLACE", text)
            with SyncGate.from_url(own.url) as gate:
                gate.var("a").set(1)
                assert gate.library() == version
            assert client.execute_command("FCALL_RO", "sg_version", 0) == version


def test_without_rights(own: Any) -> None:
    with own.client() as client:
        client.execute_command("FUNCTION", "FLUSH")
        rights = "~sg:* &sg:* +fcall +fcall_ro +spublish +@hash +@sortedset +unlink +copy +expire +persist"
        client.execute_command("ACL", "SETUSER", "writer", "reset", "on", ">secret", *rights.split())
        client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">secret", *rights.replace("+spublish", "").split())

    async def test(both: Both) -> None:
        with pytest.raises(FunctionsMissing, match="FUNCTION LOAD"):
            await both(both.gate.var("a").set(1))

    login = own.url.replace("redis://", "redis://writer:secret@")
    asyncio.run(of_each_kind(login, test))
    with SyncGate.from_url(own.url) as gate:
        gate.var("a").set(1)

    async def allowed(both: Both) -> None:
        await both(both.gate.var("a").set(1))
        assert (await both(both.gate.list("l").replace([(1, 1, "a")]))).unchanged in (0, 1)

    asyncio.run(of_each_kind(login, allowed))

    async def refused(both: Both) -> None:
        with pytest.raises(Refused) as failure:
            await both(both.gate.var("a").set(1))
        assert failure.value.code in ("NOPERM", "NOAUTH", "WRONGPASS")

    asyncio.run(of_each_kind(login.replace("writer", "reader"), refused))
    asyncio.run(of_each_kind(login.replace("secret", "wrong"), refused))


def test_no_memory_left(own: Any) -> None:
    async def test(both: Both) -> None:
        await both(both.gate.var("a").set(1))
        with own.client() as client:
            client.config_set("maxmemory", 1)
        try:
            with pytest.raises(Refused) as failure:
                await both(both.gate.var("a").set(2))
            assert failure.value.code == "OOM"
            assert await both(both.gate.var("a").get()) == 1
        finally:
            with own.client() as client:
                client.config_set("maxmemory", 0)

    asyncio.run(of_each_kind(own.url, test))


def test_a_full_disk(own: Any) -> None:
    with own.client() as client:
        client.config_set("min-replicas-to-write", 1)
    with SyncGate.from_url(own.url) as gate, pytest.raises(Refused) as failure:
        gate.var("a").set(1)
    assert failure.value.code == "NOREPLICAS"


def test_many_threads_and_a_child(own: Any) -> None:
    gate = SyncGate.from_url(own.url)
    failures: list[BaseException] = []

    def work(mine: int) -> None:
        try:
            for number in range(100):
                gate.var(f"v{mine}").set([mine, number])
                assert gate.var(f"v{mine}").get() == [mine, number]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    child = os.fork()
    if child == 0:
        try:
            gate.var("child").set(gate.var("v0").get())
            os._exit(0)
        except BaseException:
            os._exit(1)
    for number in range(100):
        assert gate.var("v1").get() == [1, 99]
    assert os.waitpid(child, 0)[1] == 0
    assert gate.var("child").get() == [0, 99]
    gate.close()
    gate.close()
    assert gate.var("child").get() == [0, 99], "closed, it opens again"
    gate.close()


def test_a_slow_greeting_counts_too() -> None:
    """A server that takes the connection and says nothing, to a user who logs in first."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = f"redis://user:pw@127.0.0.1:{listening.getsockname()[1]}/3"

        async def test(both: Both) -> None:
            with pytest.raises(Unavailable) as failure:
                await both(both.gate.var("a").set(1))
            assert not failure.value.maybe_done

        asyncio.run(of_each_kind(where, test, timeout=0.2))


def test_loading_the_functions_by_hand(own: Any) -> None:
    source = str(pathlib.Path(library.__file__).parents[1])
    command = ["/usr/bin/python3", "-m", "syncgate.load", own.url]
    environment = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    assert done.stdout == f"version {library.version()}\n"
    command[-1] = f"redis://127.0.0.1:{free_port()}"
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 3


# --- a cluster ---


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Any]]:
    servers = [RedisServer(args=["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]) for _ in range(2)]
    for server in servers:
        server.start()
    for place, (first, last) in enumerate(((0, 8191), (8192, 16383))):
        with servers[place].client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
    with servers[0].client() as client:
        client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[1].port)
    until = time.monotonic() + 30
    while True:
        states = []
        for server in servers:
            with server.client() as client:
                states.append(dict(client.execute_command("CLUSTER INFO")))
        if all((state["cluster_state"], state["cluster_known_nodes"]) == ("ok", "2") for state in states):
            break
        assert time.monotonic() < until, states
        time.sleep(0.05)
    yield servers
    for server in servers:
        server.stop()


def test_cluster(cluster: list[Any]) -> None:
    async def test(both: Both) -> None:
        for number in range(30):
            assert await both(both.gate.var(f"v{number}").set(number)) >= 1
        for number in range(30):
            assert await both(both.gate.var(f"v{number}").get()) == number
        for place in range(3):
            assert (await both(both.gate.list(f"l{place}").replace([(number, 1) for number in range(20)]))).added in (0, 20)
        if isinstance(both.gate, SyncGate):
            with both.gate.pipeline() as pipeline:
                answers = [pipeline.var(f"v{number}").get() for number in range(30)]
            assert [answer.result() for answer in answers] == list(range(30))
        assert await both(both.gate.functions()) == set()

    url = cluster[0].url.replace("redis://", "redis-cluster://")
    asyncio.run(of_each_kind(url, test))
    client = redis.RedisCluster(host="127.0.0.1", port=cluster[1].port)
    with SyncGate(client) as gate:
        asyncio.run(test(Both(gate)))  # type: ignore[arg-type]


def test_a_slot_moves(cluster: list[Any]) -> None:
    """Where the map of the cluster is out of date the other server says so."""
    url = cluster[0].url.replace("redis://", "redis-cluster://")

    async def test(both: Both) -> None:
        await both(both.gate.var("v0").set(0))
        transport: Any = both.gate.transport
        transport.slots = list(reversed(transport.slots))
        assert await both(both.gate.var("v0").get()) == 0
        assert await both(both.gate.var("v1").get()) == 1
        transport.slots = list(reversed(transport.slots))
        if isinstance(both.gate, SyncGate):
            with both.gate.pipeline() as pipeline:
                answers = [pipeline.var(f"v{number}").set(number) for number in range(10)]
            assert all(answer.result() for answer in answers)

    asyncio.run(of_each_kind(url, test))
