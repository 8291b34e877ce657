"""The program as a whole: several workers on one port, the end of a process, the private Redis, and what it listens on."""
import asyncio
import os
import pathlib
import re
import signal
import socket
import sys

import pytest
import websockets

from gateway import free_port, http_get, poll, session_members, until
from peer import Closed, Peer
from redis_server import RedisServer
from resp import Redis


def var(name, value):
    return f'{{"func":"set","type":"var","name":"{name}","value":{value}}}'


async def crowd_of(peers, gateway, name, number):
    """Peers that are subscribed to a variable."""
    many = await asyncio.gather(*(peers(gateway) for _ in range(number)))
    for peer in many:
        await peer.subscribed("var", name)
    return many


def by_worker(metrics):
    """Samples of one scrape; {worker: {sample without that label: value}}."""
    seen = {}
    for key, value in metrics.items():
        worker = re.search(r'worker="(\d+)"', key)
        assert worker, f"a sample without a worker: {key}"
        rest = re.sub(r',?worker="\d+"', "", key).replace("{,", "{").replace("{}", "")
        seen.setdefault(int(worker[1]), {})[rest] = value
    return seen


async def workers_seen(gateway, number):
    """Asks /metrics until that many workers have Redis; any of them tells of all."""
    seen = {}

    async def asked():
        seen.update(by_worker(await asyncio.to_thread(gateway.metrics)))
        assert len(seen) == number, f"all workers are told of: {list(seen)}"
        return all(samples["syncgate_redis_up"] for samples in seen.values())
    await until(asked, f"{number} workers have Redis")
    return seen


# --- workers ---


async def test_workers_share_a_port(gateways, peers, db, name):
    gateway = gateways.start("--workers", "2")
    assert len(gateway.children()) == 2
    await db.fcall("sg_var_set", name, "0")
    await workers_seen(gateway, 2)  # both listen
    many = await crowd_of(peers, gateway, name, 40)
    for number in range(1, 11):
        await db.fcall("sg_var_set", name, number)
    for peer in many:
        for number in range(1, 11):
            await peer.expect(var(name, number))
    seen = await workers_seen(gateway, 2)
    connections = [value for metrics in seen.values() for key, value in metrics.items() if 'protocol="socksync",state="open"' in key]
    assert sum(connections) == 40 and all(connections), f"connections of the workers: {connections}"


async def test_a_call_between_workers(gateways, peers, name):
    """Whichever worker a peer is on: executors and callers find each other."""
    gateway = gateways.start("--workers", "3")

    async def echo(peer, frame):
        await peer.say(f'{{"func":"return","type":"function","name":"{name}","id":{frame.raw["id"]},"value":{frame.raw["args"]}}}')

    for _ in range(3):
        await (await peers(gateway)).serve(name, echo)
    callers = [await peers(gateway) for _ in range(12)]
    for number, caller in enumerate(callers):
        await caller.offered(name)
        assert (await caller.call(name, "1", f'{{"n":{number}}}'))["value"] == {"n": number}


async def test_a_worker_that_dies_is_replaced(gateways, peers, db, name):
    """Its connections end, those of the other one do not, and soon there are two again."""
    gateway = gateways.start("--workers", "2")
    await db.fcall("sg_var_set", name, "1")
    await workers_seen(gateway, 2)  # both listen
    many = await crowd_of(peers, gateway, name, 30)
    dying, staying = gateway.children()
    os.kill(dying, signal.SIGKILL)
    await until(lambda: len(gateway.children()) == 2 and dying not in gateway.children(), "the worker is replaced")
    assert staying in gateway.children()
    await workers_seen(gateway, 2)
    await db.fcall("sg_var_set", name, "2")
    alive = []
    for peer in many:
        await until(lambda peer=peer: peer.broken or peer.state.value(name) == "2", "every peer is told or closed")
        if not peer.broken:
            alive.append(peer)
    assert 0 < len(alive) < 30, f"{len(alive)} of 30 connections live"
    again = await crowd_of(peers, gateway, name, 20)
    await db.fcall("sg_var_set", name, "3")
    for peer in alive + again:
        await peer.until(lambda peer=peer: peer.state.value(name) == "3", "the newest value")


async def test_the_workers_end_with_their_parent(gateways, peers):
    """A parent that is killed takes its workers with it, so that nobody serves unattended."""
    gateway = gateways.start("--workers", "2")
    await peers(gateway)
    await asyncio.to_thread(gateway.kill)  # checks that no process of the session is left


async def test_sigterm_ends_all_workers(gateways, peers, db, name):
    gateway = gateways.start("--workers", "2")
    await db.fcall("sg_var_set", name, "1")
    await workers_seen(gateway, 2)  # both listen
    many = await crowd_of(peers, gateway, name, 20)
    await gateway.stop_async()
    for peer in many:
        assert await peer.closed() == 1012


async def test_a_port_that_is_taken(gateways):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for flags in ((), ("--workers", "2")):
            gateway = gateways.new(*flags)
            gateway.port = taken.getsockname()[1]
            gateway.launch()
            assert gateway.wait_exit() != 0
            assert str(gateway.port) in gateway.stderr(), "the message names the address"


# --- the end of a process ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
async def test_a_drain_closes_1012_and_ends_with_0(gateways, peers, db, name, number):
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "1")
    many = await crowd_of(peers, gateway, name, 20)
    gateway.signal(number)
    for peer in many:
        assert await peer.closed() == 1012
    assert await asyncio.to_thread(gateway.wait_exit) == 0


async def test_a_drain_without_clients_is_immediate(gateways):
    """The time is for clients: with none, ten minutes of it are nothing."""
    gateways.start("--drain-seconds", "600").stop()


async def test_a_draining_gateway_takes_nobody_and_serves_who_is_there(gateways, peers, db, name):
    """Until its turn comes, a connection lives on: its changes and its calls arrive."""
    gateway, staying = gateways.start("--drain-seconds", "600"), gateways.start()
    await db.fcall("sg_var_set", name, "1")
    executor = await peers(staying)
    first, *_, last = [await peers(gateway) for _ in range(5)]

    async def echo(who, frame):
        await who.send(func="return", type="function", name=name, id=frame["id"], value=1)

    await last.subscribed("var", name)
    await executor.serve(name, echo)
    await last.offered(name)
    gateway.signal(signal.SIGTERM)
    assert await first.closed() == 1012

    async def refused():
        try:
            await Peer.connect(gateway)
        except (OSError, websockets.WebSocketException):
            return True
        return False
    await until(refused, "new connections are refused")
    last.take()
    await db.fcall("sg_var_set", name, "2")
    await last.expect(var(name, "2"))
    assert (await last.call(name, "1"))["func"] == "return"
    gateway.signal(signal.SIGINT)
    assert await asyncio.to_thread(gateway.wait_exit) == 1, "a second signal ends it at once, and says that it did"


async def test_a_call_in_flight_holds_its_connection_during_a_drain(gateways, peers, name):
    """The caller gets its answer before it is sent away."""
    leaving, staying = gateways.start("--drain-seconds", "5"), gateways.start()
    executor, caller, idle = await peers(staying), await peers(leaving), await peers(leaving)
    calls = []

    async def hold(_, frame):
        calls.append(frame)

    await executor.serve(name, hold)
    await caller.offered(name)
    await caller.send(func="call", type="function", name=name, id="1")
    await executor.until(lambda: calls, "the call")
    leaving.signal(signal.SIGTERM)
    assert await idle.closed() == 1012
    await executor.send(func="return", type="function", name=name, id=calls[0]["id"], value=7)
    assert (await caller.settled("1"))["value"] == 7
    assert await caller.closed() == 1012
    assert await asyncio.to_thread(leaving.wait_exit) == 0


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_a_second_signal_ends_at_once(gateways, peers, flags):
    gateway = gateways.start("--drain-seconds", "600", *flags)
    many = [await peers(gateway) for _ in range(10)]
    gateway.signal(signal.SIGTERM)
    await until(lambda: "draining" in gateway.stderr(), "it drains")
    gateway.signal(signal.SIGINT)
    await asyncio.to_thread(gateway.wait_exit)
    for peer in many:
        assert await peer.closed() in (1001, 1006, 1012)


async def test_readiness_ends_with_the_drain(gateways, peers):
    """Who is asked over a connection that is open already says 503; new ones are refused."""
    gateway = gateways.start("--drain-seconds", "600")
    await peers(gateway)
    reader, writer = await asyncio.open_connection(*gateway.address)
    gateway.signal(signal.SIGTERM)
    await until(lambda: "draining" in gateway.stderr(), "it drains")
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: g\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 30)
    assert not line or b" 503 " in line, line
    writer.close()
    gateway.signal(signal.SIGINT)
    await asyncio.to_thread(gateway.wait_exit)


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_a_signal_that_comes_twice_at_once_is_one(gateways, peers, flags):
    """timeout(1) passes it on to its child and to the group that both are in."""
    gateway = gateways.new("--drain-seconds", "1", *flags)
    gateway.launcher = ["timeout", "600"]
    gateway.start()
    many = [await peers(gateway) for _ in range(10)]
    gateway.signal(signal.SIGTERM)
    for peer in many:
        assert await peer.closed() == 1012
    assert await asyncio.to_thread(gateway.wait_exit) == 0


INHERITS = """
import os, sys
for _ in range(3):
    if os.fork() == 0:
        os._exit(0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def zombies_of(parent):
    out = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == parent:
            out.append(int(entry))
    return out


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("private", [False, True], ids=["named Redis", "private Redis"])
def test_children_of_others_leave_no_zombies(gateways, workers, private):
    """As the first process of a container inherits them; its own are waited for by their owners, and are started again."""
    options = {"redis": None} if private else {}
    gateway = gateways.new("--workers", workers, **options)
    gateway.launcher = [sys.executable, "-c", INHERITS]
    gateway.start()
    poll(lambda: not zombies_of(gateway.process.pid), "they are waited for")
    for child in gateway.children():
        os.kill(child, signal.SIGKILL)
    poll(lambda: len(gateway.children()) == private + (int(workers) if workers != "1" else 0) and not zombies_of(gateway.process.pid),
         "its own are started again")
    gateway.wait_ready()


# --- the private Redis ---


async def redis_of(folder):
    """A client of the private redis-server whose data is in that folder."""
    for root, _, files in os.walk(folder):
        for file in files:
            path = os.path.join(root, file)
            if os.path.exists(path) and file.endswith(".sock"):
                return Redis(path)
    raise AssertionError(f"no socket in {folder}")


async def test_the_private_redis_keeps_its_data(gateways, peers, tmp_path):
    """The same code path as production, for one machine: what was written is there after a restart."""
    for turn in range(2):
        gateway = gateways.start("--data-dir", tmp_path / "data", redis=None)
        children = gateway.children()
        assert len(children) == 1, f"one redis-server: {children}"
        peer = await peers(gateway)
        if turn == 0:
            await peer.send(func="set", type="var", name="kept", value={"n": 1})
            items = [{"id": "a", "value": 1}, {"id": "b", "value": 2}]
            await peer.send(func="set_all", type="list", name="rows", page=0, total_item_count=2, items=items)
        await until_known(peer, "kept")
        assert (await peer.subscribed("var", "kept"))["value"] == {"n": 1}
        assert [item["id"] for item in (await peer.subscribed("list", "rows"))["items"]] == ["a", "b"]
        assert oct((tmp_path / "data").stat().st_mode & 0o777) == "0o700", "nobody else may look into the data"
        await gateway.stop_async()  # checks that the redis-server is gone too
        assert await peer.closed() == 1012


async def until_known(peer, name):
    """Writes are not answered: asks until the variable is there."""
    while True:
        peer.state.excuse("var", name, None, 3)
        await peer.subscribe("var", name)
        frame = await peer.recv()
        if frame["func"] == "set":
            return


async def test_the_private_redis_ends_with_a_killed_gateway(gateways, peers, tmp_path):
    gateway = gateways.start("--data-dir", tmp_path / "data", redis=None)
    peer = await peers(gateway)
    await peer.send(func="set", type="var", name="kept", value=5)
    await until_known(peer, "kept")
    gateway.kill()  # checks that the redis-server ends with it
    second = gateways.start("--data-dir", tmp_path / "data", redis=None)
    assert (await (await peers(second)).subscribed("var", "kept"))["value"] == 5


async def test_the_private_redis_is_started_again_when_it_dies(gateways, peers, tmp_path):
    gateway = gateways.start("--data-dir", tmp_path / "data", redis=None)
    peer = await peers(gateway)
    await peer.send(func="set", type="var", name="kept", value=1)
    await until_known(peer, "kept")
    peer.take()
    [redis] = gateway.children()
    os.kill(redis, signal.SIGKILL)
    await until(lambda: gateway.children() and redis not in gateway.children(), "another redis-server")
    await asyncio.to_thread(gateway.wait_ready)
    await peer.send(func="set", type="var", name="kept", value=2)
    await peer.until(lambda: peer.state.value("kept") == "2", "the new value")
    peer.take()
    late = await peers(gateway)
    assert (await late.subscribed("var", "kept"))["value"] == 2


async def test_a_data_folder_belongs_to_one_gateway(gateways, tmp_path):
    gateways.start("--data-dir", tmp_path / "data", redis=None)
    second = gateways.new("--data-dir", tmp_path / "data", redis=None)
    second.launch()
    assert second.wait_exit() != 0
    assert str(tmp_path / "data") in second.stderr() or "data" in second.stderr(), "the message names the folder"


async def test_workers_share_a_private_redis(gateways, peers, tmp_path):
    gateway = gateways.start("--data-dir", tmp_path / "data", "--workers", "2", redis=None)
    assert len(gateway.children()) == 3
    many = [await peers(gateway) for _ in range(12)]
    await many[0].send(func="set", type="var", name="shared", value=1)
    await until_known(many[0], "shared")
    for peer in many[1:]:
        await peer.subscribed("var", "shared")
    await many[-1].send(func="set", type="var", name="shared", value=2)
    for peer in many:
        await peer.until(lambda peer=peer: peer.state.value("shared") == "2", "the new value")


async def test_the_private_redis_is_reached_by_its_socket_only(gateways, tmp_path):
    gateway = gateways.start("--data-dir", tmp_path / "data", redis=None)
    [redis] = gateway.children()
    listening = open(f"/proc/{redis}/net/tcp").read().splitlines()[1:]
    inodes = {os.readlink(link) for link in map(str, pathlib.Path(f"/proc/{redis}/fd").iterdir())}
    ours = [line for line in listening if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in inodes]
    assert not ours, "the private redis-server listens on TCP"
    client = await redis_of(tmp_path / "data")
    await client.fcall("sg_var_set", "by-hand", "1")
    await client.close()


# --- listeners, addresses of Redis ---


async def test_two_listeners(gateways, peers, db, name):
    ports = [free_port(), free_port()]
    gateway = gateways.new(listen=[f"127.0.0.1:{port}" for port in ports])
    gateway.port = ports[0]
    gateway.start()
    await db.fcall("sg_var_set", name, "1")
    many = [await peers(f"ws://127.0.0.1:{port}/ws") for port in ports]
    for peer in many:
        await peer.subscribed("var", name)
    await db.fcall("sg_var_set", name, "2")
    for peer in many:
        await peer.expect(var(name, "2"))


async def test_a_unix_listener(gateways, peers, db, name, tmp_path):
    """Beside a port; a socket file that a killed gateway left behind is no hindrance."""
    with_socket = f"/tmp/syncgate-{os.getpid()}.sock"
    try:
        await db.fcall("sg_var_set", name, "1")
        for end in ("kill", "stop"):
            port = free_port()
            gateway = gateways.new(listen=[f"127.0.0.1:{port}", f"unix:{with_socket}"])
            gateway.port = port
            gateway.start()
            assert http_get(with_socket, "/readyz").status == 200
            peer = await peers.bare(with_socket)
            await peer.send(func="subscribe", type="var", name=name)
            assert await peer.recv_text() == var(name, "1")
            peer.close()
            getattr(gateway, end)()
    finally:
        if os.path.exists(with_socket):
            os.unlink(with_socket)


async def test_an_ipv6_listener(gateways, peers, db, name):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    ports = [free_port(), free_port()]
    gateway = gateways.new(listen=[f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}"])
    gateway.port = ports[0]
    gateway.start()
    await db.fcall("sg_var_set", name, "1")
    await (await peers(f"ws://[::1]:{ports[1]}/ws")).subscribed("var", name)


async def test_redis_over_tcp_with_a_user(gateways, peers, redis_server, db, name):
    """redis://user:password@host:port: greeted, served, and a wrong password is never ready."""
    await db.cmd("ACL", "SETUSER", "app", "on", ">p@ss/word", "~*", "&*", "+@all")
    good = gateways.new("--redis", f"redis://app:p%40ss%2Fword@127.0.0.1:{redis_server.port}/0", redis=None).start()
    await db.fcall("sg_var_set", name, "1")
    await (await peers(good)).subscribed("var", name)
    wrong = gateways.new("--redis", f"redis://app:wrong@127.0.0.1:{redis_server.port}", redis=None)
    wrong.launch()

    async def says_so():
        return "WRONGPASS" in wrong.stderr() or "AUTH" in wrong.stderr() or "password" in wrong.stderr()
    await until(says_so, "the log tells that Redis refuses the password")
    assert wrong.get("/readyz").status == 503
    assert "p%40ss" not in good.stderr() and "p@ss" not in good.stderr(), "the password is in the log"


async def test_nothing_is_left_behind(gateways):
    gateway = gateways.start("--workers", "2")
    session = gateway.process.pid
    assert len(session_members(session)) == 3
    gateway.stop()
    assert session_members(session) == []


async def test_a_gateway_on_another_redis_sees_nothing_of_this_one(gateways, peers, db, name):
    with RedisServer() as other:
        here, there = gateways.start(), gateways.start(redis=other.socket_path)
        await db.fcall("sg_var_set", name, "1")
        await (await peers(here)).subscribed("var", name)
        stranger = await peers(there, tolerant=True)
        await stranger.subscribe("var", name)
        await stranger.expect_error(3, type="var", name=name)
        await stranger.close()
        await there.stop_async()
