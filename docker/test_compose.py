#!/usr/bin/python3
"""What docker/test.sh looks at once compose.yaml runs: clients through the balancer, changes from outside, gateways that die
and come back. Prints `ok` or `FAILED` for each check and stops at the first failure, since the next ones stand on it.

    test_compose.py docker|podman PROJECT HOST:PORT
"""
import asyncio
import itertools
import json
import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import websockets
import yaml

ENGINE, PROJECT, ADDRESS = sys.argv[1:4]
CLIENTS = 90  # who hear every change
CROWD = 500  # for kills and restarts, with fewer changes
PATIENCE_S = 120  # a hang guard; Podman's name server may need half a minute until it knows a container again
VAR, LIST = "test:price", "test:list"
PAGE_SIZE = 10


class Failed(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Failed(what)


async def until(condition, what):
    """Asks until it is true; `what` may be a function that says how it is instead."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        expect(time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what() if callable(what) else what}")
        await asyncio.sleep(0.1)


# --- containers, Redis, HTTP --------------------------------------------------------------------------------


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    expect(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


async def engine(*arguments):
    return await asyncio.to_thread(run, ENGINE, *arguments)


async def containers(service):
    names = await engine("ps", "-a", "--format", "{{.Names}}", "--filter", f"label=com.docker.compose.project={PROJECT}",
                         "--filter", f"label=com.docker.compose.service={service}")
    return sorted(names.split())


async def inspect(name, what):
    return await engine("inspect", "-f", what, name)


async def address_of(name):
    addresses = await inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}")
    return addresses.split()[0]


def http(url):
    """(status, body)"""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError as error:
        return 0, str(error)


async def get(path, address=ADDRESS):
    return await asyncio.to_thread(http, f"http://{address}{path}")


async def is_ready(name):
    return (await get("/readyz", f"{await address_of(name)}:8080"))[0] == 200


async def connections(name):
    """WebSockets on that gateway, as it counts them."""
    _, text = await get("/metrics", f"{await address_of(name)}:8080")
    return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith("syncgate_connections{"))


async def spread():
    return {name: await connections(name) for name in await containers("gateway")}


def cli(user, password, *more):
    """The beginning of a redis-cli in Redis' own container."""
    return ["exec", "-i", "-e", f"REDISCLI_AUTH={password}", REDIS, "redis-cli", "--user", user, "--no-auth-warning", *more]


async def redis(*command, user="admin", password=os.environ["ADMIN_PASSWORD"]):
    return await engine(*cli(user, password, "--json"), *command)


async def fcall(function, name, *arguments):
    return json.loads(await redis("FCALL", function, "1", f"sg:{{{name}}}", *arguments))


class Writer:
    """Changes the variable and the list one after the other, each after the answer to the one before, until it is told to stop.
    The variable only grows, over all writers."""

    numbers = itertools.count(1)

    def __init__(self, pause_s=0.01):
        self.pause_s = pause_s
        self.written = 0  # rounds
        self.stopping = False
        self.task = asyncio.ensure_future(self._write())

    async def _write(self):
        process = await asyncio.create_subprocess_exec(
            ENGINE, *cli("admin", os.environ["ADMIN_PASSWORD"]), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        while not self.stopping:
            number = next(self.numbers)
            for command in (f"FCALL sg_var_set 1 sg:{{{VAR}}} {number}",
                            f"FCALL sg_list_move 1 sg:{{{LIST}}} {random.randrange(30)} {random.randrange(30)}",
                            f"FCALL sg_list_set 1 sg:{{{LIST}}} {random.randrange(30)} {number}"):
                process.stdin.write(command.encode() + b"\n")
                answer = (await process.stdout.readline()).decode().strip()
                expect(answer.isdigit(), f"{command}: {answer}")
            self.written += 1
            await asyncio.sleep(self.pause_s)
        process.stdin.close()
        await process.wait()

    async def stop(self):
        self.stopping = True
        await self.task


# --- clients ------------------------------------------------------------------------------------------------


class Client:
    """Watches the variable and the first page of the list; comes back when it loses its connection, at the moment that the
    gateway says if it says one."""

    def __init__(self):
        self.socket = None
        self.value, self.items, self.count = None, None, None
        self.losses = []  # (close code, reason)
        self.refused = self.most_refused = 0  # attempts in a row that led to no connection
        self.wrong = None  # what no gateway may say
        self.task = asyncio.ensure_future(self._run())

    async def _run(self):
        while True:
            wait_s = random.uniform(0.05, 0.5)
            try:
                async with websockets.connect(f"ws://{ADDRESS}/ws/socksync/", compression=None, ping_interval=None,
                                              open_timeout=10, close_timeout=2) as self.socket:
                    self.refused = 0
                    await self._talk()
            except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException):
                pass  # the balancer has no gateway for it at the moment, or the gateway is gone
            if self.socket:
                self.losses.append((self.socket.close_code, self.socket.close_reason))
                told = re.fullmatch(r"retry=(\d+)ms", self.socket.close_reason or "")
                if told:
                    wait_s = int(told[1]) / 1000
            else:
                self.refused += 1
                self.most_refused = max(self.most_refused, self.refused)
            self.socket, self.value, self.items = None, None, None
            await asyncio.sleep(wait_s)

    async def _talk(self):
        newest = 0
        await self.say(func="subscribe", type="var", name=VAR)
        await self.say(func="subscribe", type="list", name=LIST)
        await self.say(func="get", type="list", name=LIST, page=0, page_size=PAGE_SIZE)
        async for text in self.socket:
            frame = json.loads(text)
            if frame["func"] == "error":
                self.wrong = text
            elif frame.get("name") == VAR:
                if frame["value"] < newest:
                    self.wrong = f"{text} after {newest}"
                newest = self.value = frame["value"]
            elif frame.get("name") == LIST:
                self._apply(frame)

    def _apply(self, frame):
        ids = [item_id for item_id, _ in self.items or []]
        func = frame["func"]
        if func == "set_all":
            self.items = [(item["id"], item["value"]) for item in frame["items"]]
            self.count = frame["total_item_count"]
        elif func == "delete":
            del self.items[ids.index(frame["id"])]
            self.count -= 1
        elif func == "insert":
            self.items.insert(frame["index"], (frame["id"], frame["value"]))
            self.count += 1
        elif func == "set":
            self.items[ids.index(frame["id"])] = (frame["id"], frame["value"])
        elif func == "set_count":
            self.count = frame["total_item_count"]
        else:
            self.wrong = json.dumps(frame)

    async def say(self, **fields):
        await self.socket.send(json.dumps(fields))

    async def close(self):
        self.task.cancel()
        await asyncio.wait([self.task])


async def truth():
    """What Redis holds, in the form of a client's (value, items, count)."""
    _, value = await fcall("sg_var_get", VAR)
    answer = await fcall("sg_list_page", LIST, "0", str(PAGE_SIZE))
    texts = answer[4:]
    items = [(json.loads(texts[i]), json.loads(texts[i + 1])) for i in range(0, len(texts), 2)]
    return json.loads(value), items, answer[1]


async def all_hold_the_truth(clients):
    wanted = await truth()

    def lagging():
        return [client for client in clients if (client.value, client.items, client.count) != wanted]

    await until(lambda: not lagging(), lambda: (
        f"{len(lagging())} of {len(clients)} clients differ: {lagging()[0].value} {lagging()[0].items} "
        f"{lagging()[0].count}, Redis has {wanted}"))
    wrong = [client.wrong or client.task.exception() for client in clients if client.wrong or client.task.done()]
    expect(not wrong, f"a client heard {wrong[:1]}")


# --- the checks, each on top of those before ----------------------------------------------------------------


async def everything_is_up(_):
    gateways = await containers("gateway")
    expect(len(gateways) == 3, f"gateways: {gateways}")
    for name in gateways:
        await until(lambda: is_ready(name), f"{name} is ready")
    async def answers():
        return (await get("/readyz"))[0] == 200
    await until(answers, "a gateway is ready behind the balancer")


async def the_page_comes_through_the_balancer(_):
    for path in ("/", "/app.js", "/syncgate.js"):
        status, body = await get(path)
        expect(status == 200 and len(body) > 500, f"{path}: {status}")


async def figures_stay_inside(_):
    for path in ("/metrics", "/metrics?x", "/admin/drain", "/%6detrics", "//metrics"):
        expect((await get(path))[0] == 404, path)
    expect((await get("/x/../metrics"))[0] == 400, "a path that climbs")


async def the_ticker_ticks(_):
    async with websockets.connect(f"ws://{ADDRESS}/ws/socksync/", compression=None) as socket:
        await socket.send('{"func":"subscribe","type":"var","name":"demo:clock"}')
        await socket.send('{"func":"subscribe","type":"list","name":"demo:todo"}')
        times, ticks = set(), set()

        async def watch():
            while len(times) < 3 or not ticks:
                frame = json.loads(await socket.recv())
                if frame.get("name") == "demo:clock":
                    times.add(frame["value"])
                elif frame.get("name") == "demo:todo":
                    ticks.update(item["id"] for item in frame.get("items", [frame]) if "id" in item)
        await asyncio.wait_for(watch(), PATIENCE_S)


async def prometheus(path):
    status, text = await get(path, os.environ["SYNCGATE_PROMETHEUS"])
    return json.loads(text)["data"] if status == 200 else {}


async def prometheus_watches_all(_):
    async def number(query):
        answer = await prometheus("/api/v1/query?query=" + urllib.parse.quote(query))
        return sum(float(sample["value"][1]) for sample in answer.get("result", []))

    async def all_up():
        return await number('sum(up{job="syncgate"})') == 3 and await number('up{job="haproxy"}') == 1
    await until(all_up, "Prometheus reaches the gateways and the balancer")
    groups = (await prometheus("/api/v1/rules"))["groups"]
    states = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    expect(states and set(states.values()) <= {"ok", "unknown"}, f"alert rules: {states}")
    firing = [alert["labels"]["alertname"] for alert in (await prometheus("/api/v1/alerts"))["alerts"] if alert["state"] == "firing"]
    expect(not firing, f"alerts: {firing}")


async def grafana_has_the_dashboard(_):
    async def shows():
        status, text = await get("/api/search?type=dash-db", os.environ["SYNCGATE_GRAFANA"])
        return status == 200 and json.loads(text)
    await until(shows, "the dashboard is there")


async def what_is_mounted_is_there(_):
    """An engine makes a folder of what is missing, without a word."""
    folder, mounted = pathlib.Path(__file__).parent, {}
    for service in yaml.safe_load((folder / "compose.yaml").read_text())["services"].values():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if source.startswith("."):
                expect((folder / source).exists(), f"{source} is missing")
                mounted[target] = folder / source
        home = service.get("environment", {}).get("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")
        if home:
            where, _, file = home.rpartition("/")
            expect((mounted[where] / file).is_file(), f"there is no {home}")
    expect(len(mounted) >= 8, f"{mounted}")


async def clients_spread(clients):
    await fcall("sg_var_set", VAR, "0")
    await fcall("sg_list_set_all", LIST, json.dumps([{"id": number, "value": 0} for number in range(30)]))
    clients += [Client() for _ in range(CLIENTS)]
    await all_hold_the_truth(clients)
    counts = await spread()
    print("        ", counts)
    expect(sum(counts.values()) == CLIENTS and min(counts.values()) >= CLIENTS // 3 - 3, f"{counts}")


async def changes_reach_all(clients):
    writer = Writer()
    await until(lambda: writer.task.done() or writer.written >= 100, "100 changes")
    await writer.stop()
    await all_hold_the_truth(clients)
    expect(not any(client.losses for client in clients), "nobody lost a connection")


async def the_page_may_write_what_it_shows(clients):
    await clients[0].say(func="set", type="var", name="demo:slider", value=42)
    async def is_set():
        answer = await fcall("sg_var_get", "demo:slider")
        return answer and answer[1] == "42"
    await until(is_set, "demo:slider is 42")
    value, _, _ = await truth()
    await clients[0].say(func="set", type="var", name=VAR, value=-1)
    await until(lambda: clients[0].wrong, "an error")
    expect(json.loads(clients[0].wrong)["error_code"] == 1, clients[0].wrong)
    clients[0].wrong = None
    expect((await truth())[0] == value, "a stranger changed what is not theirs")


async def balancer_knows(number):
    """How many gateways the balancer sends clients to."""
    _, text = await get("/metrics", f"{await address_of((await containers('haproxy'))[0])}:8404")
    lines = [line for line in text.splitlines() if line.startswith("haproxy_server_status{") and 'state="UP"' in line]
    return sum(float(line.split()[-1]) for line in lines) == number


def losses(clients):
    return [loss for client in clients for loss in client.losses]


async def a_crowd_comes(clients):
    while len(clients) < CROWD:
        clients += [Client() for _ in range(min(50, CROWD - len(clients)))]
        await until(lambda: all(client.items is not None for client in clients), "the newcomers are served")
    await all_hold_the_truth(clients)
    counts = await spread()
    print("        ", counts)
    expect(sum(counts.values()) == CROWD and min(counts.values()) >= CROWD // 3 - 10, f"{counts}")
    expect(not losses(clients), "nobody lost a connection")


async def a_killed_gateway_loses_nothing(clients):
    writer = Writer(0.2)
    victim = (await containers("gateway"))[0]
    its_clients = await connections(victim)
    before = len(losses(clients))
    await engine("kill", victim)
    started = writer.written
    await until(lambda: len(losses(clients)) >= before + its_clients, "its clients notice")
    await until(lambda: all(client.items is not None for client in clients), "all are connected again")
    await until(lambda: writer.task.done() or writer.written > started + 5, "changes go on")
    await writer.stop()
    await all_hold_the_truth(clients)
    lost = len(losses(clients)) - before
    expect(lost == its_clients, f"{lost} connections were lost, and {its_clients} were on the gateway that was killed")
    if await inspect(victim, "{{.State.Running}}") != "true":
        await engine("start", victim)
    await until(lambda: is_ready(victim), f"{victim} is back")


async def it_fills_up_first_when_it_is_back(clients):
    victim = (await containers("gateway"))[0]
    newcomers = []
    async def has_some():
        """The balancer notices within seconds; whoever connects from then on goes there."""
        if len(newcomers) < 30:
            newcomers.append(Client())
            await until(lambda: newcomers[-1].items is not None, "a newcomer is served")
        return await connections(victim) >= 5
    await until(has_some, "newcomers on the gateway that is back")
    await all_hold_the_truth(newcomers)
    for client in newcomers:
        await client.close()
    expect(all(client.items is not None for client in clients), "the others stay")


async def a_rolling_restart_goes_unnoticed(clients):
    """One gateway after the other ends as it should and is started again, while changes go on. Nobody is told a lie or kept out,
    everybody is told when to come back, and in the end holds what was written last."""
    writer = Writer(0.2)
    before, sent_away = [len(client.losses) for client in clients], 0
    for client in clients:
        client.most_refused = 0
    gateways = await containers("gateway")
    for name in gateways:
        await until(lambda: balancer_knows(len(gateways)), "the balancer knows all gateways")
        sent_away += await connections(name)
        await engine("stop", "-t", "30", name)
        code = await inspect(name, "{{.State.ExitCode}}")
        expect(code == "0", f"{name} ended with {code}")
        expect((await get("/readyz"))[0] == 200, "the others serve")
        await until(lambda: all(client.items is not None for client in clients), "its clients are connected again")
        await engine("start", name)
        await until(lambda: is_ready(name), f"{name} is back")
    expect(writer.written > 10 and not writer.task.done(), "changes went on all the time")
    await writer.stop()
    await all_hold_the_truth(clients)
    ends = [loss for client, known in zip(clients, before) for loss in client.losses[known:]]
    expect(len(ends) == sent_away > 0, f"{len(ends)} connections ended, and {sent_away} had to go")
    strange = [end for end in ends if end[0] != 1012 or not re.fullmatch(r"retry=\d+ms", end[1])]
    expect(not strange, f"{len(strange)} of {len(ends)} were closed in another way: {strange[:5]}")
    worst = max(client.most_refused for client in clients)
    print(f"         {sent_away} clients sent away and back, {writer.written} rounds of changes, "
          f"at most {worst} attempts in a row without a connection")
    expect(worst <= 2, f"a client was refused {worst} times in a row")


async def redis_keeps_the_state(clients):
    before = await truth()
    await engine("restart", "-t", "30", REDIS)
    why = None

    async def answers():
        nonlocal why
        try:
            return await truth()
        except (Failed, ValueError, TypeError) as error:
            why = error
            return None
    expect(await until(answers, lambda: f"Redis answers: {why!r}") == before, "the state is another one")
    await fcall("sg_var_set", VAR, "1000000")
    await all_hold_the_truth(clients)


async def redis_refused_the_gateways_nothing(_):
    log = await redis("ACL", "LOG")
    expect(log == "[]", log)


async def redis_gives_each_user_its_own(_):
    refused = [
        ("gateway", "FLUSHALL"), ("gateway", "KEYS", "*"), ("gateway", "CONFIG", "GET", "*"), ("gateway", "GET", "other"),
        ("gateway", "SPUBLISH", "other", "x"), ("gateway", "FUNCTION", "FLUSH"), ("gateway", "ACL", "LIST"),
        ("gateway", "SHUTDOWN"), ("gateway", "EVAL", "return 1", "0"),
        ("ticker", "FCALL", "sg_var_set", "1", f"sg:{{{VAR}}}", "1"), ("ticker", "FUNCTION", "DELETE", "syncgate"),
        ("app", "FCALL", "sg_var_set", "1", "other", "1"), ("app", "FUNCTION", "FLUSH"),
    ]
    passwords = {name: os.environ[f"{name.upper()}_PASSWORD"] for name in ("gateway", "ticker", "app")}
    for user, *command in refused:
        answer = await asyncio.to_thread(subprocess.run, [ENGINE, *cli(user, passwords[user]), *command],
                                         capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        said = answer.stdout + answer.stderr
        expect("NOPERM" in said or "No permissions" in said, f"{user} may {command}: {said}")
    await redis("FCALL", "sg_var_set", "1", "sg:{app}", "1", user="app", password=passwords["app"])
    stranger = await asyncio.to_thread(subprocess.run, [ENGINE, "exec", REDIS, "redis-cli", "PING"], capture_output=True,
                                       text=True, timeout=30, stdin=subprocess.DEVNULL)
    expect("NOAUTH" in stranger.stdout + stranger.stderr, f"without a password: {stranger.stdout}")


async def redis_is_set_as_written(_):
    wanted = {"maxmemory-policy": "noeviction", "appendonly": "yes",
              "client-output-buffer-limit": "pubsub 33554432 8388608 30"}
    for key, value in wanted.items():
        answer = json.loads(await redis("CONFIG", "GET", key))
        expect(value in answer[key], f"{key}: {answer}")


async def containers_know_that_they_are_well(_):
    for service in ("gateway", "redis"):
        name = (await containers(service))[0]
        if ENGINE == "podman":  # has no one who asks regularly where systemd is missing
            await engine("healthcheck", "run", name)
        else:
            async def healthy():
                return await inspect(name, "{{.State.Health.Status}}") == "healthy"
            await until(healthy, f"{name} is healthy")


CHECKS = [what_is_mounted_is_there, everything_is_up, containers_know_that_they_are_well, the_page_comes_through_the_balancer,
          figures_stay_inside, the_ticker_ticks, prometheus_watches_all, grafana_has_the_dashboard, clients_spread,
          changes_reach_all, the_page_may_write_what_it_shows, a_crowd_comes, a_killed_gateway_loses_nothing,
          it_fills_up_first_when_it_is_back, a_rolling_restart_goes_unnoticed, redis_is_set_as_written,
          redis_refused_the_gateways_nothing, redis_keeps_the_state, redis_gives_each_user_its_own]


async def main():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    clients, code = [], 0
    if not await containers("grafana"):  # test.sh says why
        CHECKS.remove(grafana_has_the_dashboard)
    for step in CHECKS:
        name = step.__name__.replace("_", " ")
        started = time.monotonic()
        try:
            await asyncio.wait_for(step(clients), 3 * PATIENCE_S)
            print(f"ok      {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception as error:  # whatever it is, the containers must be taken down
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
            code = 1
            break
    for client in clients:
        client.task.cancel()
    return code


REDIS = f"{PROJECT}-redis-1" if ENGINE == "docker" else f"{PROJECT}_redis_1"
sys.exit(asyncio.run(main()))
