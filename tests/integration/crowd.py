"""A crowd of strict peers with random windows, and everybody who writes while they look.

Everything random comes from one seed. What happens is paced by the number of operations that were done, not by time.
"""
import asyncio
import json
import random

import websockets

from gateway import until
from peer import Closed, Peer, raw_dumps
from resp import RedisError, fcall
from strict import key_of
from truth import ListHistory, VarHistory, Wrong, clamp, parse

VARS = [f"var{n}" for n in range(5)]
POSITIONAL = [f"list{n}" for n in range(4)]
SORTED = [f"sorted{n}" for n in range(2)]
WILD = ["wild"]  # also dropped, and replaced by peers: only its end is compared
LISTS = POSITIONAL + SORTED + WILD


class Progress:
    """Counts what was done; others wait for a number."""

    def __init__(self):
        self.done = 0
        self._news = asyncio.Condition()

    async def advance(self, number=1):
        self.done += number
        async with self._news:
            self._news.notify_all()

    async def reach(self, number):
        async with self._news:
            await self._news.wait_for(lambda: self.done >= number)


class Writers:
    """Random operations on all names, through Redis. Values and new ids are unique."""

    def __init__(self, db, rng, progress):
        self.db, self.rng, self.progress = db, rng, progress
        self.ids = {name: [] for name in LISTS}  # what probably is in the lists
        self.numbers = 0
        self.outage = False  # Redis may be away
        self.silent = 0.0  # share of the operations whose events are lost on the way
        self.whole = {}  # (list, revision) -> content after a replacement of everything

    def value(self):
        """A JSON text that nobody wrote before."""
        self.numbers += 1
        return self.rng.choice(['%d', '{"n": %d}', '"v%d"', "[%d, 1.10]", "%d.0"]) % self.numbers

    def new_id(self, name):
        self.numbers += 1
        item_id = self.rng.choice([self.numbers, f"i{self.numbers}", f"ü {self.numbers}"])
        self.ids[name].append(item_id)
        return item_id

    def some_id(self, name):
        return self.rng.choice(self.ids[name]) if self.ids[name] else "nothing"

    async def fill(self, number=30):
        commands = [fcall("sg_var_set", name, self.value()) for name in VARS]
        for name in LISTS:
            commands += [self.insertion(name, [-1, 0]) for _ in range(number)]
        for reply in await self.db.pipeline(commands):
            assert not isinstance(reply, RedisError), reply

    def insertion(self, name, indexes=(-1, -1, 0, 1, 2)):
        item_id = json.dumps(self.new_id(name))
        if name in SORTED:
            return fcall("sg_list_put", name, f"{self.rng.randrange(1000):03}", item_id, self.value())
        return fcall("sg_list_insert", name, self.rng.choice(indexes), item_id, self.value())

    def operation(self):
        """One random operation as a list of commands. (A refused one changes nothing and is fine.)"""
        if self.rng.random() < 0.01:  # in one transaction, so that the variable stays known
            name = self.rng.choice(VARS)
            return [("MULTI",), fcall("sg_var_delete", name), fcall("sg_var_set", name, self.value()), ("EXEC",)]
        command = self._operation()
        if self.rng.random() < self.silent:
            command = (command[0], silent(command[1]), *command[2:])
        return [command]

    def _operation(self):
        if self.rng.random() < 0.35:
            return fcall("sg_var_set", self.rng.choice(VARS), self.value())
        name = self.rng.choice(LISTS)
        kind = self.rng.choices(["insert", "set", "delete", "move", "drop"], [30, 30, 22, 17, 1 if name in WILD else 0])[0]
        if kind == "insert":
            return self.insertion(name)
        if kind == "drop":
            self.ids[name].clear()
            return fcall("sg_list_drop", name)
        item_id = self.some_id(name)
        if kind == "set":
            return fcall("sg_list_set", name, json.dumps(item_id), self.value())
        if kind == "move":
            if name in SORTED:
                return fcall("sg_list_put", name, f"{self.rng.randrange(1000):03}", json.dumps(item_id), self.value())
            return fcall("sg_list_move", name, json.dumps(item_id), self.rng.choice([0, 1, 2, 3, -1]))
        if item_id in self.ids[name]:
            self.ids[name].remove(item_id)
        return fcall("sg_list_delete", name, json.dumps(item_id))

    async def replace(self, name):
        """Everything of one list at once; some items stay."""
        kept = self.rng.sample(self.ids[name], min(len(self.ids[name]), self.rng.randrange(12)))
        self.ids[name] = kept
        kept = kept + [self.new_id(name) for _ in range(self.rng.randrange(20))]
        self.ids[name] = list(kept)
        items = [(item_id, self.value()) for item_id in kept]
        if name in SORTED:
            keyed = sorted((f"{self.rng.randrange(1000):03}", json.dumps(i), i, v) for i, v in items)
            texts = [f'{{"id":{json.dumps(i)},"sort":"{k}","value":{v}}}' for k, _, i, v in keyed]
        else:
            texts = [f'{{"id":{json.dumps(i)},"value":{v}}}' for i, v in items]
        try:
            revision = await self.db.fcall("sg_list_set_all", name, f"[{','.join(texts)}]")
        except (RedisError, OSError):
            return
        if name in SORTED:  # ties are ordered by id in a way of Redis' own: ask
            page = await self.db.fcall("sg_list_page", name, 0, 10000)
            self.whole[name, revision] = contents(page) if page[0] == revision else None
        else:
            self.whole[name, revision] = tuple((key_of(i), v) for i, v in items)

    async def run(self, operations):
        """Does that many operations, alone and in bursts."""
        last = self.progress.done + operations
        while self.progress.done < last:
            if self.rng.random() < 0.02:
                await self.replace(self.rng.choice(LISTS))
                await self.progress.advance()
                continue
            batch = self.rng.choice([1, 1, 1, 2, 3, 30])
            try:
                await self.db.pipeline([command for _ in range(batch) for command in self.operation()])
            except OSError:
                assert self.outage, "Redis is away"
                await asyncio.sleep(0.01)  # done or not done: the next one will tell
                batch = 1
            await self.progress.advance(batch)


def silent(function):
    """The twin of a library function whose event nobody gets: see load_silent_library."""
    return "silent" + function[2:]


async def load_silent_library(db, source):
    """Loads a copy of the library that publishes where no gateway listens. What it does looks like lost messages."""
    for before, after in (("#!lua name=syncgate", "#!lua name=silent"), ("'SPUBLISH'", "'PUBLISH'"), ("'sg_", "'silent_")):
        assert before in source, f"{before} is not in the library"
        source = source.replace(before, after)
    await db.cmd("FUNCTION", "LOAD", "REPLACE", source)


def contents(page):
    """The items of an answer of sg_list_page."""
    flat = [field.decode() for field in page[4:]] if page else []
    return tuple((key_of(json.loads(item_id)), value) for item_id, value in zip(flat[::2], flat[1::2]))


class Member:
    """One place in the crowd: a connection that comes, looks at things, writes, goes and comes back."""

    def __init__(self, number, crowd, rng):
        self.number, self.crowd, self.rng = number, crowd, rng
        self.peer = None
        self.gateway = None
        self.seen = []  # (variable histories, list histories) of each connection

    async def connect(self):
        while True:
            self.gateway = self.rng.choice(self.crowd.gateways())
            try:
                self.peer = await Peer.connect(self.gateway, name=f"member {self.number}", unique_values=self.crowd.unique)
                break
            except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException):
                assert self.crowd.closing_is_fine, f"{self.gateway.url()} does not accept"
                await asyncio.sleep(0.02)  # the gateway that was chosen is going away
        state = self.peer.state
        state.outage = self.crowd.outage
        self.peer.keep = False
        state.history = {name: [] for name in POSITIONAL + SORTED}
        variables = {}
        self.seen.append((variables, state.history))

        def observe(frame):
            if frame.get("type") == "var" and frame["func"] == "set":
                variables.setdefault(frame["name"], []).append(frame.raw["value"])

        state.observe = observe
        for _ in range(3):
            await self.subscribe()

    async def subscribe(self):
        rng, peer = self.rng, self.peer
        if rng.random() < 0.4:
            return await peer.subscribe("var", rng.choice(VARS))
        name = rng.choice(LISTS)
        if name in WILD:
            peer.state.excuse("list", name, None, 3)  # while it is dropped
        await peer.subscribe("list", name)
        if rng.random() < 0.8 and name not in WILD:
            await self.turn(name)

    async def turn(self, name):
        await self.peer.get("list", name, page=self.rng.choice([0, 0, 0, 1, 1, 2, 3, 7]),
                            page_size=self.rng.choice([1, 2, 3, 5, 8, 13, 100]))

    async def act(self):
        """One random thing that a client may do."""
        rng, peer, state = self.rng, self.peer, self.peer.state
        lists = [key[1] for key, sub in state.subscriptions.items() if key[0] == "list" and sub.active and not sub.unsure]
        name = rng.choice(lists) if lists else None
        kind = rng.choices(["subscribe", "turn", "get", "fetch", "item", "unitem", "unsubscribe", "all", "reconnect", "write"],
                           [14, 22, 6, 8, 10, 4, 8, 1, 5, 30])[0]
        if kind == "subscribe":
            await self.subscribe()
        elif kind == "turn" and name and name not in WILD:
            await self.turn(name)
        elif kind == "get":
            variables = [key[1] for key, sub in state.subscriptions.items() if key[0] == "var" and sub.active and not sub.unsure]
            if variables:
                await peer.get("var", rng.choice(variables))
        elif kind in ("fetch", "item"):
            name = name if kind == "fetch" else rng.choice(POSITIONAL + SORTED)
            if name and name not in WILD:
                item_id = self.crowd.writers.some_id(name)
                state.excuse("list", name, item_id, 4)
                await (peer.get if kind == "fetch" else peer.subscribe)("list", name, id=item_id)
        elif kind in ("unitem", "unsubscribe"):
            keys = [key for key, sub in state.subscriptions.items()
                    if sub.active and not sub.unsure and (key[0] == "item") == (kind == "unitem") and key[1] not in WILD]
            if keys:
                key = rng.choice(keys)
                if key[0] == "item":
                    state.excuse("list", key[1], key[2][1], 1)  # it may have ended by itself just now
                    await peer.unsubscribe("list", key[1], id=key[2][1])
                else:
                    await peer.unsubscribe(key[0], key[1])
        elif kind == "all":
            await peer.send(func="unsubscribe_all")
            await self.subscribe()
        elif kind == "reconnect":
            await self.leave()
            await self.connect()
        elif kind == "write":
            await self.write()

    async def write(self):
        """A write of a granted peer; Redis may refuse it, then it changes nothing."""
        rng, peer, writers = self.rng, self.peer, self.crowd.writers
        kind, name = rng.choice(["var", "var", "insert", "set", "set", "delete", "all"]), rng.choice(LISTS)
        if kind == "var":
            await peer.say(raw_dumps(func='"set"', type='"var"', name=json.dumps(rng.choice(VARS)), value=writers.value()))
        elif kind == "all" and rng.random() < 0.3:
            items = ",".join(f'{{"id":{json.dumps(writers.new_id(WILD[0]))},"value":{writers.value()}}}' for _ in range(5))
            peer.state.excuse("list", WILD[0], None, 3)
            await peer.say(f'{{"func":"set_all","type":"list","name":"wild","page":0,"total_item_count":5,"items":[{items}]}}')
        elif kind == "insert":
            name = rng.choice(POSITIONAL)
            item_id = writers.new_id(name)
            peer.state.excuse("list", name, item_id, 6)
            await peer.say(raw_dumps(func='"insert"', type='"list"', name=json.dumps(name), index=rng.randrange(12),
                                     id=json.dumps(item_id), value=writers.value()))
        elif kind in ("set", "delete"):
            item_id = writers.some_id(name)
            peer.state.excuse("list", name, item_id, 4, *((3,) if name in WILD else ()))
            value = {"value": writers.value()} if kind == "set" else {}
            await peer.say(raw_dumps(func=f'"{kind}"', type='"list"', name=json.dumps(name), id=json.dumps(item_id),
                                     **value))

    async def leave(self):
        if self.rng.random() < 0.5:
            await self.peer.close()
        else:
            self.peer.check()
            self.peer.abort()

    async def live(self, moments):
        """Acts when the writers have done that much."""
        for moment in moments:
            await self.crowd.progress.reach(moment)
            try:
                await self.act()
            except Closed:
                assert self.crowd.closing_is_fine, f"{self.peer.name} was closed: {self.peer.broken}"
                await self.connect()

    # --- the end ---

    def difference(self, variables, lists):
        """What this member holds wrongly, or None."""
        self.peer.check()
        state = self.peer.state
        if isinstance(self.peer.broken, Closed):
            return f"{self.peer.name}: {self.peer.broken}"
        due = state.answers_due()
        if due:
            name = due[0][1] if due[0][0] in ("var", "list", "item") else due[0][0]
            return f"{self.peer.name}: answers are due: {due}{state.about(name)}"
        for key, sub in state.subscriptions.items():
            if not sub.active or sub.unsure:
                continue
            view = sub.view
            if key[0] == "var" and view.value != variables[key[1]]:
                return f"{self.peer.name}: {key[1]} is {view.value}, in Redis {variables[key[1]]}"
            if key[0] == "list":
                items = lists[key[1]]
                # A page that was asked for while Redis was away may or may not have become the window.
                sizes = set(view.sizes) if self.crowd.outage else {view.sizes[-1]}
                if not any(self._is_slice(view, size, items) for size in sizes):
                    page = clamp(view.page, view.sizes[-1], len(items))
                    return (f"{self.peer.name}: {key[1]} page {view.page} of {sizes}: "
                            f"count {view.counts}, items {view.items[:5]}… "
                            f"in Redis page {page}, count {len(items)}, items {items[page * view.sizes[-1]:][:5]}…"
                            + state.about(key[1]))
            if key[0] == "item":
                value = dict(lists[key[1]]).get(key[2])
                if view.value != value:
                    return f"{self.peer.name}: item {key[2]} of {key[1]} is {view.value}, in Redis {value}"\
                        + state.about(key[1], key[2][1])
        return None


    @staticmethod
    def _is_slice(view, size, items):
        page = clamp(view.page, size, len(items))
        held = tuple((item_id, value) for item_id, value in view.items)
        return (view.page, view.count, held) == (page, len(items), items[page * size : (page + 1) * size])


class Crowd:
    def __init__(self, gateways, db, seed, size, unique=True, outage=False, closing_is_fine=False):
        """`gateways`: a function that gives the gateways one may connect to. `unique`: the same change twice is a violation.
        `outage`: Redis may be away. `closing_is_fine`: gateways may be."""
        self.rng = random.Random(seed)
        self.gateways, self.db, self.unique = gateways, db, unique
        self.outage, self.closing_is_fine = outage, closing_is_fine
        self.progress = Progress()
        self.writers = Writers(db, random.Random(self.rng.random()), self.progress)
        self.writers.outage = outage
        self.members = [Member(n, self, random.Random(self.rng.random())) for n in range(size)]

    async def gather(self):
        for at in range(0, len(self.members), 10):
            await asyncio.gather(*(member.connect() for member in self.members[at : at + 10]))

    async def bustle(self, operations, actions):
        """The writers do their operations while each member does its actions."""
        first = self.progress.done
        lives = [member.live(sorted(first + member.rng.randrange(operations) for _ in range(actions)))
                 for member in self.members]
        await asyncio.gather(self.writers.run(operations), *lives)

    async def revive(self):
        """Those whose gateway went away connect again."""
        await asyncio.gather(*(member.connect() for member in self.members if isinstance(member.peer.broken, Closed)))

    async def truth(self):
        """(variables, lists) as they are in Redis."""
        replies = await self.db.pipeline([fcall("sg_var_get", name) for name in VARS]
                                         + [fcall("sg_list_page", name, 0, 10000) for name in LISTS])
        variables = {name: reply[1].decode() if reply else "null" for name, reply in zip(VARS, replies)}
        return variables, {name: contents(reply) for name, reply in zip(LISTS, replies[len(VARS):])}

    async def converged(self, patience_s=30):
        """Waits until everybody holds what Redis holds."""
        problem = None

        async def equal():
            nonlocal problem
            variables, lists = await self.truth()
            problem = next(filter(None, (member.difference(variables, lists) for member in self.members)), None)
            return problem is None

        await until(equal, lambda: f"all peers hold what Redis holds; {problem}", patience_s)

    async def leave(self):
        for member in self.members:
            if member.peer:
                await member.peer.close()

    def abandon(self):
        for member in self.members:
            if member.peer:
                member.peer.abort()

    def judge(self, log):
        """Compares what every connection saw with what Redis published (Observer.log)."""
        variables = {name: VarHistory() for name in VARS}
        lists = {name: ListHistory() for name in POSITIONAL + SORTED}
        for channel, payload in log:
            name = channel[channel.index("{") + 1 : -1]
            operation, revision, numbers, key, value = parse(payload)
            if name in variables:
                variables[name].apply(operation, revision, value)
            elif name in lists and lists[name] is not None:
                whole = self.writers.whole.get((name, revision)) if operation == "la" else ()
                if whole is None:
                    lists[name] = None  # somebody was quicker than our question: this list cannot be judged
                else:
                    lists[name].apply(operation, revision, numbers, key, value, whole)
        judged = 0
        for member in self.members:
            for number, (seen_variables, seen_lists) in enumerate(member.seen, 1):
                for name, values in seen_variables.items():
                    self._verdict(member, name, variables[name].check, values)
                for name, held in seen_lists.items():
                    if lists[name] is not None:
                        self._verdict(member, name, lists[name].check, held, number < len(member.seen))
                        judged += len(held)
        return judged

    @staticmethod
    def _verdict(member, name, check, *seen):
        try:
            check(*seen)
        except Wrong as wrong:
            raise AssertionError(f"member {member.number}, {name}: {wrong}") from None
