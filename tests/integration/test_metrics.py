"""What /metrics tells: every row of the table, in a form that Prometheus' own tool accepts, moved by what happened and by nothing
else; of all workers in one answer.
"""
import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from conftest import Database
from crowd import load_silent_library
from gateway import REPOSITORY, until
from redis_server import LIBRARY
from test_workers import by_worker, workers_seen

ROW = re.compile(r'^    ([XH])\(\w+, (?:"(\w+)"|\d+, \d+), "(\w+)",', re.M)


def table():
    """{name: type} as gateway/observe/metrics.h has it."""
    text = re.sub(r"\s*\\\n", "\n", (REPOSITORY / "gateway/observe/metrics.h").read_text())
    rows = {name: kind or "histogram" for _, kind, name in ROW.findall(text)}
    assert len(rows) > 50 and "histogram" in rows.values(), rows
    return rows


async def scrape(gateway):
    return await asyncio.to_thread(gateway.metrics)


async def text_of(gateway):
    return (await gateway.get_async("/metrics")).body.decode()


def heads(text, word):
    """{name: what stands behind it} of all HELP or TYPE lines."""
    found = re.findall(rf"^# {word} (\w+) (.+)$", text, re.M)
    assert len(found) == len(dict(found)), f"{word} twice"
    return dict(found)


def family(sample):
    """The metric that a sample belongs to."""
    name = sample.split("{")[0]
    short = re.sub(r"_(bucket|sum|count)$", "", name)
    return short if table().get(short) == "histogram" else name


def check_histograms(metrics):
    """Buckets rise, the last is the count."""
    series = {}
    for key, value in metrics.items():
        if "_bucket{" in key:
            bound = float(re.search(r'le="([^"]+)"', key)[1])
            series.setdefault(re.sub(r',?le="[^"]+"', "", key), []).append((bound, value))
    assert series
    for key, buckets in series.items():
        assert buckets == sorted(buckets) and buckets[-1][0] == float("inf"), key
        assert [value for _, value in buckets] == sorted(value for _, value in buckets), key
        count = metrics[key.replace("_bucket", "_count").replace("{}", "")]
        assert count == buckets[-1][1], key


@pytest.fixture
def gateway(gateways):
    return gateways.start()


async def moved(gateway, before, **expected):
    """Waits until these have moved by so much since; a sample is named by its name, with __ before each label's value."""
    wanted = {}
    for key, value in expected.items():
        wanted["syncgate_" + key] = value

    async def right():
        now = await scrape(gateway)
        found = {}
        for key in wanted:
            name, *labels = key.split("__")
            found[key] = sum(value - before.get(sample, 0) for sample, value in now.items()
                             if sample.split("{")[0] == name and all(f'="{label}"' in sample for label in labels))
        right.found = found
        return found == wanted
    await until(right, lambda: f"{wanted}, not {right.found}")


# --- form ---


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_every_row_is_there(gateways, flags):
    gateway = gateways.start(*flags)
    text = await text_of(gateway)
    assert heads(text, "TYPE") == table()
    assert set(heads(text, "HELP")) == set(table())
    metrics = await scrape(gateway)
    assert {family(sample) for sample in metrics} == set(table())
    check_histograms(metrics)
    assert all(('worker="' in sample) == bool(flags) for sample in metrics)


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one process", "two workers"])
async def test_promtool_finds_nothing(gateways, flags):
    gateway = gateways.start(*flags)
    done = subprocess.run(["promtool", "check", "metrics"], input=await text_of(gateway), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_the_process_and_the_build(gateway):
    for _ in range(1000):  # something that takes time
        gateway.get("/metrics")
        if cpu_seconds(gateway.process.pid) > 0:
            break
    earlier = cpu_seconds(gateway.process.pid)
    assert earlier > 0
    metrics = await scrape(gateway)
    version = subprocess.run([gateway.command()[0], "--version"], text=True, capture_output=True, check=True).stdout.split()[-1]
    assert metrics[f'syncgate_build_info{{version="{version}"}}'] == 1
    assert metrics["syncgate_ready"] == 1
    pages = int(pathlib.Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert 0.5 < metrics["process_resident_memory_bytes"] / pages < 2
    assert metrics["process_max_fds"] >= metrics["process_open_fds"] > 5
    started = os.stat(f"/proc/{gateway.process.pid}").st_ctime
    assert abs(metrics["process_start_time_seconds"] - started) < 60
    assert earlier <= metrics["process_cpu_seconds_total"] <= cpu_seconds(gateway.process.pid)


def section(title):
    """A section of docs/metrics.md, without the next one of the same rank."""
    text = (REPOSITORY / "docs/metrics.md").read_text()
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def first_cells(text):
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]


def test_the_document_has_every_metric():
    """Each once, in the first column of a table; and none that is not there."""
    named = [name for cell in first_cells(section("Metrics")) for name in re.findall(r"`((?:syncgate|process)_\w+)`", cell)]
    assert sorted(named) == sorted(table())


def values_of(metric, label):
    rows = re.sub(r"\s*\\\n\s*", " ", (REPOSITORY / "gateway/observe/metrics.h").read_text())
    return {value for labels in re.findall(rf'"{metric}", (".*?[^\\]"),', rows) for value in re.findall(rf'{label}=\\"(\w+)', labels)}


def test_the_document_has_every_reason_and_code():
    """The tables of label values."""
    text = section("Metrics")
    reasons = re.search(r"### Why names are read\n(.*?)\n###", text, re.S)[1]
    assert set(re.findall(r"^\| `(\w+)` \|", reasons, re.M)) - {"reason"} == values_of("syncgate_redis_reads_total", "reason")
    codes = " ".join(first_cells(re.search(r"### How connections end\n(.*?)\n###", text, re.S)[1]))
    assert set(re.findall(r"\b(\d{4}|other)\b", codes)) == values_of("syncgate_closes_total", "code")


def test_the_document_has_every_alert():
    rules = re.findall(r"- alert: (\w+)", (REPOSITORY / "deploy/prometheus/alerts.yml").read_text())
    named = [re.search(r"`(\w+)`", cell)[1] for cell in first_cells(section("Alerts"))]
    assert named == rules


# --- counters move by what happened ---


async def test_connections_and_how_they_end(gateways, peers):
    gateway = gateways.start("--errors-per-minute", "3", "--max-message", "1KiB")
    before = await scrape(gateway)
    many = [await peers(gateway, tolerant=True) for _ in range(3)]
    raw = await peers.bare(gateway.address)
    await moved(gateway, before, connections__open=4, connections_total=4, closes_total=0)
    await many[0].close()
    await many[1].send_text("x" * 2000)
    assert await many[1].closed() == 1009
    for _ in range(4):
        await many[2].send_text("{}")
    assert await many[2].closed() == 1008
    raw.close()
    await moved(gateway, before, connections__open=0, connections__closing=0, connections_total=4, closes_total=4, closes_total__gateway__1009=1,
                closes_total__gateway__1008=1, closes_total__peer__1006=1, closes_total__peer__1000=1)


async def test_a_connection_that_closes(gateways, peers):
    """Who does not answer our close frame is closing, not open."""
    gateway = gateways.start("--max-message", "1KiB")
    before = await scrape(gateway)
    raw = await peers.bare(gateway.address)
    await moved(gateway, before, connections__open=1)
    await raw.send_frame(1, b"x" * 2000)
    await moved(gateway, before, connections__open=0, connections__closing=1, closes_total=0)
    raw.close()
    await moved(gateway, before, connections__closing=0, closes_total__gateway__1009=1)


async def test_changes_and_writes(gateway, peers, db, name):
    """Each delivery is a message; each change has a delay; the changes of one turn leave in one write."""
    await db.fcall("sg_var_set", name, "0")
    many = [await peers(gateway) for _ in range(5)]
    for peer in many:
        await peer.subscribed("var", name)
    before = await scrape(gateway)
    await db.cmd("EVAL", "for i = 1, 10 do redis.call('SPUBLISH', KEYS[1], 'vs ' .. i + 1 .. ' ' .. i) end", 1, f"sg:{{{name}}}")
    for peer in many:
        await peer.until(lambda peer=peer: peer.state.value(name) == "10", "the last value")
    await moved(gateway, before, changes_total=10, messages_sent_total=50, messages_per_write_sum=50, change_to_write_seconds_count=10)
    after = await scrape(gateway)
    writes = after["syncgate_writes_total"] - before["syncgate_writes_total"]
    assert 5 <= writes < 50, f"{writes} writes for 50 messages"
    assert after["syncgate_messages_per_write_count"] - before["syncgate_messages_per_write_count"] == writes
    assert after["syncgate_change_to_write_seconds_sum"] > before["syncgate_change_to_write_seconds_sum"]
    assert after["syncgate_loop_turn_seconds_count"] > before["syncgate_loop_turn_seconds_count"]
    assert after["syncgate_loop_turn_seconds_sum"] > before["syncgate_loop_turn_seconds_sum"]


async def test_conflation(gateway, peers, db, name):
    """A reader that does not read: what it is not sent is counted, each change once, until it goes or reads again."""
    await db.fcall("sg_var_set", name, "0")
    idle = await scrape(gateway)
    raw = await peers.bare(gateway.address, receive_buffer=4096)
    await raw.send(func="subscribe", type="var", name=name)
    await moved(gateway, idle, subscriptions=1)
    large = 0

    async def full():
        nonlocal large
        large += 1
        await db.fcall("sg_var_set", name, json.dumps("x" * 20_000))  # in one piece: a longer one waits for room between its own
        return await gateway.metric("syncgate_dirty_subscriptions") == 1
    await until(full, "the socket is full")
    await moved(gateway, idle, changes_total=large, partial_writes_total=1)
    before = await scrape(gateway)
    for number in range(1, 6):
        await db.fcall("sg_var_set", name, number)
        await moved(gateway, before, changes_total=number)
    await moved(gateway, before, conflated_total=5, dirty_subscriptions=0, writes_total=0, messages_sent_total=0, queued_bytes=0)
    value = None
    while value != 5:
        value = json.loads(await raw.recv_text())["value"]
    await moved(gateway, before, dirty_subscriptions=-1, conflated_total=5)
    await moved(gateway, idle, dirty_subscriptions=0, queued_bytes=0)


async def test_calls_by_outcome(gateways, peers, name):
    gateway = gateways.start("--call-timeout", "3s")  # what is answered, or abandoned, is so in less
    executor, caller, leaving = await peers(gateway), await peers(gateway), await peers(gateway)
    calls = []

    async def answer(peer, frame):
        calls.append(frame)
        if frame["args"]["how"] == "return":
            await peer.send(func="return", type="function", name=name, id=frame["id"], value=1)
        elif frame["args"]["how"] == "error":
            await peer.send(func="error", type="function", name=name, id=frame["id"], error_code=8, error="no")

    await executor.serve(name, answer)
    for peer in (caller, leaving):
        await peer.offered(name)
    before = await scrape(gateway)
    assert (await caller.call(name, "1", '{"how":"return"}'))["func"] == "return"
    assert (await caller.call(name, "2", '{"how":"return"}'))["func"] == "return"
    assert (await caller.call(name, "3", '{"how":"error"}'))["func"] == "error"
    assert (await caller.call(name, "4", '{"how":"nothing"}'))["error_code"] == 8
    await leaving.send(func="call", type="function", name=name, id="5", args={"how": "nothing"})
    await executor.until(lambda: len(calls) == 5, "the call")
    leaving.abort()
    await moved(gateway, before, calls_total=5, calls_total__return=2, calls_total__error=1, calls_total__timeout=1, calls_total__abandoned=1,
                call_duration_seconds_count__return=2, call_duration_seconds_count__error=1, call_duration_seconds_count__timeout=1,
                calls_in_flight=0)
    after = await scrape(gateway)
    key = 'syncgate_call_duration_seconds_sum{outcome="timeout"}'
    assert after[key] - before[key] > 2.9


async def test_reads_by_reason(gateways, peers, durable):
    db = Database(durable.socket_path)
    gateway = gateways.start("--sweep-interval", "1h", redis=durable.socket_path)
    swept = gateways.start("--sweep-interval", "100ms", redis=durable.socket_path)
    await load_silent_library(db, LIBRARY)
    await db.fcall("sg_var_set", "v", "1")
    await db.fcall("sg_list_insert", "l", 0, "a", "1")
    before, before_swept = await scrape(gateway), await scrape(swept)
    peer, other = await peers(gateway), await peers(swept)
    await peer.subscribed("var", "v")
    await peer.subscribed("list", "l")
    await other.subscribed("var", "v")
    await moved(gateway, before, redis_reads_total=2, redis_reads_total__first=2)
    await db.fcall("silent_list_insert", "l", 0, "b", "1")
    await db.fcall("sg_list_insert", "l", 0, "c", "1")
    await peer.until(lambda: peer.state.list("l").count == 3, "the list is whole again")
    await moved(gateway, before, redis_reads_total__gap=1, gaps_total=1)
    await db.cmd("SPUBLISH", "sg:{v}", "vs 2 NaN")
    await moved(gateway, before, redis_reads_total__malformed=1, bad_changes_total=1)
    await moved(swept, before_swept, redis_reads_total__malformed=1)  # or it would read what comes now for that reason
    await db.fcall("silent_var_set", "v", "3")
    await other.until(lambda: other.state.value("v") == "3", "the sweep heals")
    await moved(swept, before_swept, redis_reads_total__sweep=1)
    reads = await scrape(gateway)
    await db.cmd("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
    await moved(gateway, reads, redis_reads_total__reconnect=2, redis_link_connects_total=1, redis_link_losses_total=1)
    assert (await scrape(gateway))['syncgate_redis_link_state{state="up"}'] == 1
    await db.close()


async def test_the_link_to_redis(gateway, peers, db, name):
    before = await scrape(gateway)
    await db.fcall("sg_var_set", name, "1")
    await (await peers(gateway)).subscribed("var", name)
    after = await scrape(gateway)
    for key in ("commands", "pushes", "sent_bytes", "received_bytes"):
        assert after[f"syncgate_redis_{key}_total"] > before[f"syncgate_redis_{key}_total"], key

    async def pinged():
        now = await scrape(gateway)
        return now["syncgate_redis_round_trip_seconds_count"] > before["syncgate_redis_round_trip_seconds_count"]
    await until(pinged, "a ping is answered")
    assert (await scrape(gateway))["syncgate_redis_round_trip_seconds_sum"] > 0


async def test_memory_by_kind(gateway, peers, db, name):
    """What is held is counted, and given back."""
    def kinds(metrics):
        return {re.search('kind="(.*?)"', key)[1]: value for key, value in metrics.items() if key.startswith("syncgate_memory_bytes")}

    idle = kinds(await scrape(gateway))
    assert idle["variables"] == idle["list_items"] == idle["subscriptions"] == idle["connections"] == idle["receiving"] == 0
    await db.fcall("sg_var_set", name, json.dumps("x" * 10000))
    await db.fcall("sg_list_insert", name, 0, "a", json.dumps("y" * 20000))
    peer, raw = await peers(gateway), await peers.bare(gateway.address)
    await peer.subscribed("var", name)
    await peer.subscribed("list", name)
    await raw.send_frame(1, b"z" * 5000, fin=False)

    async def received():
        return kinds(await scrape(gateway))["receiving"] >= 5000
    await until(received, "the fragment is counted")
    held = kinds(await scrape(gateway))
    assert held["variables"] == 10002 and held["list_items"] > 20002 and held["frames"] > 30000
    assert held["subscriptions"] > 0 and held["connections"] > 0
    if (REPOSITORY / "build/deps/libwebsockets.stamp").exists():  # Debian's own package does not tell
        assert held["libwebsockets"] > idle["libwebsockets"]
    await db.fcall("sg_var_set", name, "1")
    await peer.until(lambda: peer.state.value(name) == "1", "the short value")
    raw.close()

    async def given_back():
        now = kinds(await scrape(gateway))
        return now["variables"] == 1 and now["receiving"] == 0 and now["frames"] < held["frames"] - 10000
    await until(given_back, "the memory is given back")


# --- workers ---


async def test_one_answer_tells_of_all_workers(gateways, peers, db, name):
    gateway = gateways.start("--workers", "3")
    await db.fcall("sg_var_set", name, "1")
    many = [await peers(gateway) for _ in range(12)]
    for peer in many:
        await peer.subscribed("var", name)
    await workers_seen(gateway, 3)

    async def all_there():
        seen = by_worker(await scrape(gateway))
        return sum(samples["syncgate_subscriptions"] for samples in seen.values()) == 12
    await until(all_there, "twelve subscriptions")
    seen = by_worker(await scrape(gateway))
    assert sorted(seen) == [0, 1, 2]
    assert len({samples["process_start_time_seconds"] for samples in seen.values()}) == 3
    assert sum(samples['syncgate_connections{protocol="socksync",state="open"}'] for samples in seen.values()) == 12


async def test_counters_of_a_worker_outlive_it(gateways, peers, db, name):
    """Its gauges begin anew, what it counted stays."""
    gateway = gateways.start("--workers", "2")
    await workers_seen(gateway, 2)
    many = [await peers(gateway) for _ in range(20)]
    before = by_worker(await scrape(gateway))
    assert sum(samples["syncgate_connections_total"] for samples in before.values()) == 20
    dying = gateway.children()[0]
    os.kill(dying, signal.SIGKILL)
    await until(lambda: len(gateway.children()) == 2 and dying not in gateway.children(), "the worker is replaced")
    await workers_seen(gateway, 2)
    after = by_worker(await scrape(gateway))
    for peer in many:
        peer.abort()
    again = [worker for worker in before if before[worker]["process_start_time_seconds"] != after[worker]["process_start_time_seconds"]]
    assert len(again) == 1, again
    worker = again[0]
    assert after[worker]["syncgate_connections_total"] == before[worker]["syncgate_connections_total"]
    assert after[worker]['syncgate_connections{protocol="socksync",state="open"}'] == 0
    assert after[worker]["syncgate_redis_link_connects_total"] == 2
