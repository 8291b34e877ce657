"""Everything at once, at random: what the parts of the gateway promise one by one must hold where they meet.

A few strict peers, some of which read in fits and starts, look at a few names through two gateways whose links to Redis are cut
now and then. Meanwhile names are written, deleted, damaged, mended and forgotten by Redis, and values are small or large. Every
frame must be applicable all the time; when it is quiet again everybody holds what Redis holds and everything that is asked is
answered. Calls likewise end, each once.

SYNCGATE_SEED=S repeats a run (as far as processes can be repeated), SYNCGATE_SEEDS=N runs the first N seeds, SYNCGATE_STEPS=N makes
a run longer.
"""
import asyncio
import collections
import json
import os
import random
import socket

import pytest

from gateway import until
from peer import Peer, raw_dumps
from redis_proxy import RedisProxy
from resp import RedisError, fcall
from strict import key_of
from truth import clamp

NAMES = [f"n{number}" for number in range(4)]  # a variable and a list each
IDS = ["a", "b", "c", 4, 5, "six", "ü 7", 8, 9, "ten"]
SIZES = [1, 2, 3, 5, 100]
STEPS = int(os.environ.get("SYNCGATE_STEPS", "400"))
SMALL_RCVBUF = 4096
LINK_LIMIT = 1 << 20  # Redis cuts a link over more than this, in some runs


def seeds():
    if "SYNCGATE_SEED" in os.environ:
        return [int(os.environ["SYNCGATE_SEED"])]
    return list(range(1, 1 + int(os.environ.get("SYNCGATE_SEEDS", "3"))))


def is_limited(seed):
    """Some values are larger than what Redis lets a link have."""
    return seed % 3 == 0


class Looker:
    """One place: a peer that asks for all kinds of things, reads or does not, and comes back elsewhere."""

    def __init__(self, number, world):
        self.number, self.world, self.rng = number, world, world.rng
        self.peer = None

    async def connect(self):
        gateway = self.rng.choice(self.world.gateways)
        sock = socket.socket()
        if self.rng.random() < 0.6:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_RCVBUF)
        sock.connect(("127.0.0.1", gateway.port))
        sock.setblocking(False)
        self.peer = await Peer.connect(gateway, name=f"looker {self.number}", tolerant=True, sock=sock)
        self.peer.keep = False
        self.peer.state.observe = self.observe
        self.asked = set()  # what was subscribed on this connection: once each
        for _ in range(4):
            await self.subscribe()

    def state(self):
        return self.peer.state

    def observe(self, frame):
        """An error for an item may be the end of its subscription; which request it answers cannot always be told."""
        if frame["func"] != "error" or frame.get("type") != "list" or "id" not in frame:
            return
        subscriptions, key = self.state().subscriptions, ("item", frame["name"], key_of(frame["id"]))
        sub = subscriptions.get(key)
        if sub and (frame["error_code"] == 4 or sub.view.value is None or ("list", frame["name"]) in subscriptions):
            sub.leave()

    def pause(self):
        self.peer._socket.transport.pause_reading()

    def resume(self):
        self.peer._socket.transport.resume_reading()

    async def subscribe(self):
        name, kind = self.rng.choice(NAMES), self.rng.choice(["var", "list", "list", "item"])
        fields = {"id": self.rng.choice(IDS)} if kind == "item" else {}
        key = (kind, name, *map(key_of, fields.values()))
        if key in self.asked:
            return
        self.asked.add(key)
        await self.peer.subscribe("var" if kind == "var" else "list", name, **fields)

    def subscribed(self, *kinds):
        return [key for key, sub in self.state().subscriptions.items() if sub.active and key[0] in kinds]

    async def ask(self, key):
        if key[0] == "var":
            await self.peer.get("var", key[1])
        elif key[0] == "item":
            await self.peer.get("list", key[1], id=key[2][1])
        else:
            await self.peer.get("list", key[1], page=self.rng.choice([0, 0, 1, 2, 9]), page_size=self.rng.choice(SIZES))

    async def ask_something(self, times=1):
        for _ in range(times):
            keys = self.subscribed("var", "list", "item")
            if keys:
                await self.ask(self.rng.choice(keys))

    async def unsubscribe(self):
        keys = self.subscribed("var", "list", "item")
        if self.rng.random() < 0.1:
            await self.peer.send(func="unsubscribe_all")
        elif keys:
            key = self.rng.choice(keys)
            fields = {"id": key[2][1]} if key[0] == "item" else {}
            await self.peer.unsubscribe("var" if key[0] == "var" else "list", key[1], **fields)

    async def write(self):
        name, value = self.rng.choice(NAMES), self.rng.randrange(1000)
        if self.rng.random() < 0.5:
            await self.peer.send(func="set", type="var", name=name, value=value)
        else:
            await self.peer.send(func="set", type="list", name=name, id=self.rng.choice(IDS), value=value)

    async def reconnect(self):
        self.peer.check()
        self.peer.abort()
        await self.connect()

    async def act(self):
        does = self.rng.choices(
            [self.subscribe, self.ask_something, lambda: self.ask_something(40), self.unsubscribe, self.write,
             self.reconnect, self.halt, self.go_on], [20, 20, 4, 4, 10, 3, 6, 6])[0]
        await does()

    async def halt(self):
        self.pause()

    async def go_on(self):
        self.resume()

    # --- the end ---

    def difference(self, variables, lists):
        self.peer.check()
        state = self.state()
        if self.peer.broken:
            return f"{self.peer.name}: {self.peer.broken}"
        for key, sub in state.subscriptions.items():
            if not sub.active:
                continue
            if key[0] == "var" and sub.view.value not in (None, variables[key[1]]):
                return f"{self.peer.name}: var {key[1]} is {sub.view.value[:80]}, in Redis {variables[key[1]][:80]}" + state.about(key[1])
            if key[0] == "item" and sub.view.value not in (None, dict(lists[key[1]]).get(key[2])):
                return (f"{self.peer.name}: item {key[2]} of {key[1]} is {sub.view.value[:80]}, in Redis "
                        f"{str(dict(lists[key[1]]).get(key[2]))[:80]}" + state.about(key[1], key[2][1]))
            if key[0] == "list" and sub.view.page is not None:
                problem = self._page_difference(sub.view, lists[key[1]])
                if problem:
                    return f"{self.peer.name}: list {key[1]} {problem}" + state.about(key[1])
        return None

    @staticmethod
    def _page_difference(view, items):
        held = tuple((item_id, value) for item_id, value in view.items)
        for size in set(view.sizes):  # a page that was refused is not the window
            page = clamp(view.page, size, len(items))
            if (view.page, view.count, held) == (page, len(items), items[page * size : (page + 1) * size]):
                return None
        return f"page {view.page} of {set(view.sizes)}, {view.counts}: {str(held)[:300]}, in Redis {len(items)}: {str(items)[:300]}"

    async def all_is_answered(self):
        """Everything that is held is asked for; it comes, and nothing else was left over."""
        state = self.state()
        for sub in state.subscriptions.values():
            if sub.view:
                sub.view.answers_due = 0
        state.fetches.clear()
        keys = [key for key in self.subscribed("var", "list", "item") if self._is_held(key)]
        for key in keys:
            await self.ask(key)
        await self.peer.until(lambda: not state.answers_due(), lambda: f"answers to {state.answers_due()}")

    def _is_held(self, key):
        view = self.state().subscriptions[key].view
        return (view.page if key[0] == "list" else view.value) is not None


class World:
    def __init__(self, seed, db, gateways, proxies):
        self.rng = random.Random(seed)
        self.db, self.gateways, self.proxies = db, gateways, proxies
        self.lookers = [Looker(number, self) for number in range(6)]
        self.numbers = 0
        self.hurt = set()  # (kind, name) that raw commands touched
        self.limited = is_limited(seed)

    def value(self):
        self.numbers += 1
        size = self.rng.choice([0] * 12 + [300, 20_000, 200_000])
        if self.limited and self.rng.random() < 0.03:
            size = 2 * LINK_LIMIT
        return f'{{"n":{self.numbers},"pad":"{"x" * size}"}}' if size else str(self.numbers)

    def item_id(self):
        return json.dumps(self.rng.choice(IDS))

    def change(self, name):
        rng = self.rng
        what = rng.choices(["set", "unset", "insert", "put", "delete", "move", "all", "drop"],
                           [20, 2, 25, 15, 15, 12, 3, 1])[0]
        if what == "set":
            return fcall("sg_var_set", name, self.value())
        if what == "unset":
            return fcall("sg_var_delete", name)
        if what == "insert":
            return fcall("sg_list_insert", name, rng.choice([-1, 0, 1, 2]), self.item_id(), self.value())
        if what == "put":
            return fcall("sg_list_set", name, self.item_id(), self.value())
        if what == "delete":
            return fcall("sg_list_delete", name, self.item_id())
        if what == "move":
            return fcall("sg_list_move", name, self.item_id(), rng.choice([0, 1, -1]))
        if what == "all":
            return self.whole(name)
        return fcall("sg_list_drop", name)

    def whole(self, name):
        ids = self.rng.sample(IDS, self.rng.randrange(len(IDS)))
        items = ",".join(f'{{"id":{json.dumps(i)},"value":{self.value()}}}' for i in ids)
        return fcall("sg_list_set_all", name, f"[{items}]")

    def hurting(self, name):
        """Raw commands that leave something which is not ours, or nothing."""
        part = self.rng.choice("vlhm")
        key = f"sg:{{{name}}}:{part}"
        self.hurt.add(("var" if part == "v" else "list", name))
        return self.rng.choice([[("DEL", key)], [("SET", key, "x")], [("DEL", key), ("LPUSH", key, "x")],
                                [("HSET", f"sg:{{{name}}}:m", "r", "x")], [("HDEL", f"sg:{{{name}}}:v", "r")]])

    def mending(self, kind, name):
        if self.rng.random() < 0.3:  # a new life
            return [("DEL", *(f"sg:{{{name}}}:{part}" for part in "lhmv")), self.change(name)]
        return [fcall("sg_var_set", name, self.value()) if kind == "var" else self.whole(name)]

    async def do(self, *commands):
        for reply in await self.db.pipeline(commands):
            if isinstance(reply, RedisError):
                assert str(reply).startswith(("SG", "WRONGTYPE")), reply

    async def step(self):
        rng = self.rng
        name = rng.choice(NAMES)
        what = rng.choices(["act", "change", "burst", "hurt", "mend", "forget", "flush", "cut", "cut and mend", "link back", "look"],
                           [60, 50, 8, 4, 6, 2, 1, 1, 1, 4, 8])[0]
        if what == "act":
            looker = rng.choice(self.lookers)
            await looker.act()
        elif what == "change":
            await self.do(self.change(name))
        elif what == "burst":
            await self.do(*(self.change(name) for _ in range(20)))
        elif what == "hurt":
            await self.do(*self.hurting(name))
        elif what == "mend" and self.hurt:
            await self.do(*self.mending(*rng.choice(sorted(self.hurt))))
        elif what == "forget":
            await self.do(("DEL", *(f"sg:{{{name}}}:{part}" for part in "lhmv")), *(self.change(name) for _ in range(rng.randrange(4))))
        elif what == "flush":
            await self.do(("FLUSHALL",), *(self.change(rng.choice(NAMES)) for _ in range(rng.randrange(8))))
        elif what.startswith("cut"):
            proxy = rng.choice(self.proxies)
            await proxy.cut()
            if what == "cut and mend":
                proxy.mend()
        elif what == "link back":
            for proxy in self.proxies:
                proxy.mend()
        elif what == "look":
            await asyncio.sleep(rng.choice([0, 0.001, 0.01, 0.05]))

    async def quiet(self):
        for looker in self.lookers:
            looker.resume()
        for proxy in self.proxies:
            proxy.mend()
        for name in NAMES:
            await self.do(fcall("sg_var_set", name, str(self.numbers)))
            items = ",".join(f'{{"id":{json.dumps(i)},"value":{n}}}' for n, i in enumerate(IDS[:7]))
            await self.do(fcall("sg_list_set_all", name, f"[{items}]"))
        for name in NAMES * 4:
            await self.do(self.small_change(name))

    def small_change(self, name):
        return self.rng.choice([fcall("sg_list_insert", name, self.rng.randrange(4), self.item_id(), self.rng.randrange(1000)),
                                fcall("sg_list_delete", name, self.item_id()),
                                fcall("sg_var_set", name, self.rng.randrange(1000))])

    async def truth(self):
        replies = await self.db.pipeline([fcall("sg_var_get", name) for name in NAMES]
                                         + [fcall("sg_list_page", name, 0, 10000) for name in NAMES])
        variables = {name: reply[1].decode() if reply else "null" for name, reply in zip(NAMES, replies)}
        lists = {}
        for name, reply in zip(NAMES, replies[len(NAMES):]):
            flat = [field.decode() for field in reply[4:]] if reply else []
            lists[name] = tuple((key_of(json.loads(i)), v) for i, v in zip(flat[::2], flat[1::2]))
        return variables, lists

    async def converged(self):
        problem = None

        async def equal():
            nonlocal problem
            variables, lists = await self.truth()
            problem = next(filter(None, (looker.difference(variables, lists) for looker in self.lookers)), None)
            return problem is None

        await until(equal, lambda: f"all hold what Redis holds; {problem}")


async def all_is_given_back(gateways, *names):
    for gateway in gateways:
        for name in names:
            async def is_zero(gateway=gateway, name=name):
                return await gateway.metric(name) == 0
            await until(is_zero, lambda name=name: f"{name} is 0")


@pytest.mark.parametrize("seed", seeds())
async def test_whatever_happens(gateways, tmp_path, redis_server, db, seed):
    print(f"SYNCGATE_SEED={seed}")
    limit = f"pubsub {LINK_LIMIT if is_limited(seed) else 32 << 20} 0 0"
    await db.cmd("CONFIG", "SET", "client-output-buffer-limit", limit)
    await db.cmd("FLUSHALL")
    async with RedisProxy(tmp_path / "a.sock", redis_server.socket_path) as a:
        async with RedisProxy(tmp_path / "b.sock", redis_server.socket_path) as b:
            fleet = [gateways.new("--sweep-interval", "1s", "--stall-timeout", "60s", "--errors-per-minute", "1000000",
                                  "--linger", "100ms", redis=proxy.path) for proxy in (a, b)]
            for gateway in fleet:
                await gateway.start_async()
            world = World(seed, db, fleet, [a, b])
            try:
                for name in NAMES:
                    await world.do(fcall("sg_var_set", name, 0), world.whole(name))
                for looker in world.lookers:
                    await looker.connect()
                for _ in range(STEPS):
                    await world.step()
                await world.quiet()
                await world.converged()
                for looker in world.lookers:
                    await looker.all_is_answered()
                await world.converged()
                for looker in world.lookers:
                    await looker.peer.close()
                await all_is_given_back(fleet, "syncgate_dirty_subscriptions", "syncgate_queued_bytes", "syncgate_names_stale",
                                        "syncgate_names_too_large")
            except BaseException:
                for looker in world.lookers:
                    if looker.peer:
                        looker.peer.abort()
                raise
            finally:
                for gateway in fleet:  # while its Redis is there
                    await gateway.stop_async()


# --- calls ---

FUNCTIONS = ["f0", "f1", "f2"]


class Bustle:
    """Callers and executors on two gateways. Each call has a number, which its executor gets and returns."""

    def __init__(self, seed, gateways, proxies):
        self.rng = random.Random(seed)
        self.gateways, self.proxies = gateways, proxies
        self.executors, self.callers = [], []
        self.numbers = 0
        self.ran = collections.Counter()
        self.waiting = []  # calls that executors have not answered yet
        self.made = []  # (caller, id, number)
        self.leavers = set()

    async def connect(self, slow):
        sock = socket.socket()
        if slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_RCVBUF)
        gateway = self.rng.choice(self.gateways)
        sock.connect(("127.0.0.1", gateway.port))
        sock.setblocking(False)
        return await Peer.connect(gateway, name=f"peer {self.rng.random():.6f}", tolerant=True, sock=sock)

    async def run(self, peer, frame):
        number = json.loads(frame.raw["args"])["n"]
        self.ran[number] += 1
        assert self.ran[number] == 1, f"call {number} ran twice"
        self.waiting.append((peer, frame, number))

    async def new_executor(self):
        executor = await self.connect(self.rng.random() < 0.5)
        for function in FUNCTIONS:
            executor.handlers[function] = self.run
            await executor.subscribe("function", function)
        self.executors.append(executor)

    async def new_caller(self):
        self.callers.append(await self.connect(self.rng.random() < 0.3))

    async def call(self):
        caller = self.rng.choice(self.callers)
        for _ in range(self.rng.choice([1, 1, 1, 30])):
            self.numbers += 1
            pad = "x" * self.rng.choice([0, 0, 0, 1000, 50_000])
            await caller.send(func="call", type="function", name=self.rng.choice(FUNCTIONS), id=f"c{self.numbers}",
                              args={"n": self.numbers, "pad": pad})
            self.made.append((caller, f"c{self.numbers}", self.numbers))

    async def answer_some(self, all_of_them=False):
        for _ in range(len(self.waiting) if all_of_them else self.rng.choice([1, 5])):
            if not self.waiting:
                return
            peer, frame, number = self.waiting.pop(0)
            if peer.broken or peer in self.leavers:
                continue
            await peer.say(raw_dumps(func='"return"', type='"function"', name=frame.raw["name"], id=frame.raw["id"],
                                     value=frame.raw["args"]))

    async def step(self):
        rng = self.rng
        what = rng.choices(["call", "answer", "executor", "leave", "caller", "caller leaves", "pause", "resume", "cut", "link back", "look"],
                           [30, 40, 2, 2, 2, 1, 4, 6, 2, 5, 10])[0]
        if what == "call":
            await self.call()
        elif what == "answer":
            await self.answer_some()
        elif what == "executor" and len(self.executors) < 8:
            await self.new_executor()
        elif what == "leave" and len(self.executors) > 1:
            executor = self.executors.pop(rng.randrange(len(self.executors)))
            self.leavers.add(executor)
            executor.check()
            executor.abort()
        elif what == "caller" and len(self.callers) < 8:
            await self.new_caller()
        elif what == "caller leaves" and len(self.callers) > 1:
            caller = self.callers.pop(rng.randrange(len(self.callers)))
            caller.check()
            caller.abort()
            self.made = [made for made in self.made if made[0] is not caller]
        elif what in ("pause", "resume"):
            transport = rng.choice(self.executors + self.callers)._socket.transport
            transport.pause_reading() if what == "pause" else transport.resume_reading()
        elif what == "cut":
            await rng.choice(self.proxies).cut()
        elif what == "link back":
            for proxy in self.proxies:
                proxy.mend()
        elif what == "look":
            await asyncio.sleep(rng.choice([0, 0.001, 0.01, 0.05]))

    async def quiet(self):
        for proxy in self.proxies:
            proxy.mend()
        for peer in self.executors + self.callers:
            peer._socket.transport.resume_reading()

        async def all_ended():
            await self.answer_some(all_of_them=True)
            for peer in self.executors + self.callers:
                peer.check()
                assert not peer.broken, f"{peer.name}: {peer.broken}"
            return all(key_of(call_id) in caller.state.settled for caller, call_id, _ in self.made)

        await until(all_ended, lambda: f"every call ends, also {self.stuck()[:20]} of {self.numbers}")

    def stuck(self):
        """(number, times it ran) of what has not ended."""
        return [(number, self.ran[number]) for caller, call_id, number in self.made
                if key_of(call_id) not in caller.state.settled]

    def judge(self):
        """Whoever got a value got the right one, of a call that ran."""
        returned = 0
        for caller, call_id, number in self.made:
            frame = caller.state.settled[key_of(call_id)]
            if frame["func"] == "return":
                assert json.loads(frame.raw["value"])["n"] == number
                assert self.ran[number] == 1
                returned += 1
        assert returned, "no call returned: nothing was looked at"


@pytest.mark.parametrize("seed", seeds())
async def test_every_call_ends_once(gateways, tmp_path, redis_server, db, seed):
    print(f"SYNCGATE_SEED={seed}")
    await db.cmd("FLUSHALL")
    async with RedisProxy(tmp_path / "a.sock", redis_server.socket_path) as a:
        async with RedisProxy(tmp_path / "b.sock", redis_server.socket_path) as b:
            fleet = [gateways.new("--stall-timeout", "60s", "--errors-per-minute", "1000000", "--call-timeout", "15s",
                                  "--calls-per-connection", "65536", redis=proxy.path) for proxy in (a, b)]
            for gateway in fleet:
                await gateway.start_async()
            bustle = Bustle(seed, fleet, [a, b])
            try:
                for _ in range(3):
                    await bustle.new_executor()
                    await bustle.new_caller()
                for function in FUNCTIONS:
                    for caller in bustle.callers:
                        await caller.offered(function)
                for _ in range(STEPS):
                    await bustle.step()
                await bustle.quiet()
                bustle.judge()
                for peer in bustle.executors + bustle.callers:
                    await peer.close()
                await all_is_given_back(fleet, "syncgate_queued_bytes", "syncgate_calls_in_flight")
            except BaseException:
                for peer in bustle.executors + bustle.callers:
                    peer.abort()
                raise
            finally:
                for gateway in fleet:
                    await gateway.stop_async()
