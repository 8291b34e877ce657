"""Calls over WebSocket: who runs them, how they end, and what becomes of them when somebody goes away.

The gateways of this file have a call timeout of ten minutes: whatever ends a call here is not the timeout, unless a test
starts a gateway of its own with a short one.
"""
import asyncio
import json
import random

import pytest

from conftest import Gateways
from gateway import until
from jsontext import Frame
from peer import dumps
from strict import key_of

SHORT = "3s"  # a call timeout that a test waits for, and that the calls which are answered beside it never reach


@pytest.fixture(scope="module")
def pair(tmp_path_factory, redis_server):
    """Two gateways of one fleet."""
    pool = Gateways(tmp_path_factory.mktemp("calls"), redis_server.socket_path)
    yield [pool.start("--call-timeout", "10m") for _ in range(2)]
    pool.stop()


class Held:
    """A handler that keeps its calls until the test ends them."""

    def __init__(self):
        self.calls = []

    async def __call__(self, peer, frame):
        self.calls.append((peer, frame))


async def answer(call, value):
    peer, frame = call
    await peer.say(f'{{"func":"return","type":"function","name":{frame.raw["name"]},"id":{frame.raw["id"]},"value":{value}}}')


async def fail(call, code, message):
    peer, frame = call
    await peer.send(func="error", type="function", name=frame["name"], id=frame["id"], error_code=code, message=message)


async def echo(peer, frame):
    """Returns its args as they were written; nothing when there were none."""
    value = f',"value":{frame.raw["args"]}' if "args" in frame else ""
    await peer.say(f'{{"func":"return","type":"function","name":{frame.raw["name"]},"id":{frame.raw["id"]}{value}}}')


async def begin(peer, name, call_id, **fields):
    await peer.send(func="call", type="function", name=name, id=call_id, **fields)


async def received(held, peer, number=1):
    """Waits until the executor got that many calls."""
    await peer.until(lambda: len(held.calls) >= number, f"{number} calls reach {peer.name}")


# --- one call ---


@pytest.mark.parametrize("where", [0, 1], ids=["same gateway", "another gateway"])
async def test_a_call_is_run_and_returned(pair, peers, name, where):
    executor, caller = await peers(pair[0]), await peers(pair[where])
    await executor.serve(name, echo)
    await caller.offered(name)
    frame = await caller.call(name, "7f1c", '{"a":1,"b":2}')
    assert frame["func"] == "return" and frame["id"] == "7f1c" and frame["value"] == {"a": 1, "b": 2}


TEXTS = ["{}", '{ "a" : 1.10 ,\n"b":[ ] }', '{"a":12345678901234567890,"e":1E400}', '{"\\u0061":"\\/\\ud83d\\ude00","é":"😀"}',
         '{"a":1,"a":2}', '{"x":"' + "y" * 100000 + '"}', '{"a":' * 59 + "1" + "}" * 59, '{"with space":" "}']


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: t[:20].encode("unicode_escape").decode())
@pytest.mark.parametrize("where", [0, 1], ids=["same gateway", "another gateway"])
async def test_args_and_value_are_the_same_bytes(pair, peers, name, where, text):
    executor, caller = await peers(pair[0]), await peers(pair[where])
    await executor.serve(name, echo)
    await caller.offered(name)
    frame = await caller.call(name, "1", text)
    assert frame.raw["value"] == text
    call = next(f for f in executor.frames if f["func"] == "call")
    assert call.raw["args"] == text and set(call.raw) == {"func", "type", "name", "id", "args"}


@pytest.mark.parametrize("value", [None, "null", "1.0", '"x"', "[]", "false", '"' + "z" * 70000 + '"'], ids=lambda v: str(v)[:10])
async def test_a_return_with_and_without_value(pair, peers, name, value):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    _, frame = held.calls[0]
    tail = "" if value is None else f',"value":{value}'
    await executor.say(f'{{"func":"return","type":"function","name":"{name}","id":{frame.raw["id"]}{tail}}}')
    frame = await caller.settled("1")
    assert frame.raw.get("value") == value


@pytest.mark.parametrize("args", ["", ',"args":null'], ids=["absent", "null"])
async def test_no_args_stay_no_args(pair, peers, name, args):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await caller.say(f'{{"func":"call","type":"function","name":"{name}","id":"1"{args}}}')
    await received(held, executor)
    assert "args" not in held.calls[0][1]
    await answer(held.calls[0], 1)
    await caller.settled("1")


async def test_row_34_and_35_an_executor_says_why_it_failed(pair, peers, name):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    for number, (code, message) in enumerate([(6, "b is missing"), (8, "raised"), (8, 'é "quoted" \\ \n 😀'), (8, "")]):
        await begin(caller, name, f"c{number}")
        await received(held, executor, number + 1)
        await fail(held.calls[number], code, message)
        frame = await caller.settled(f"c{number}")
        assert frame["func"] == "error" and frame["error_code"] == code and frame.get("message", "") == message
        assert (frame["type"], frame["name"], frame["id"]) == ("function", name, f"c{number}")


@pytest.mark.parametrize("rest", ['"error_code":99', '"error_code":"x"', '"message":"m"', '"error_code":0,"message":5', '"error_code":-1',
                                  '"error_code":1e400,"message":{}'])
async def test_a_strange_error_of_an_executor_still_ends_the_call(pair, peers, name, rest):
    """It carries the id of the call: that is enough to end it, with a code that exists."""
    executor, caller = await peers(pair[0]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    call_id = held.calls[0][1].raw["id"]
    await executor.say(f'{{"func":"error","type":"function","name":"{name}","id":{call_id},{rest}}}')
    frame = await caller.settled("1")
    assert frame["func"] == "error"


@pytest.mark.parametrize("call_id", ["x", 7, "7", -1, 0, "é😀", 'q"\\', "i" * 128, 12345678901234567890123, "\u007f"], ids=repr)
async def test_call_ids_are_echoed(pair, peers, name, call_id):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    await executor.serve(name, echo)
    await caller.offered(name)
    frame = await caller.call(name, call_id)
    assert frame["id"] == call_id and type(frame["id"]) is type(call_id)


async def test_ids_are_scoped_to_a_connection_and_a_direction(pair, peers, name):
    """Two callers use one id, an integer and its text differ, and the gateway's ids are its own."""
    executor, one, two = await peers(pair[0]), await peers(pair[0]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    for peer in (one, two):
        await peer.offered(name)
        for call_id in ("1", 1):
            await begin(peer, name, call_id, args={"who": peer.name, "id": call_id})
    await received(held, executor, 4)
    assert len({frame.raw["id"] for _, frame in held.calls}) == 4
    for number, call in enumerate(held.calls):
        await answer(call, call[1].raw["args"])
    for peer in (one, two):
        for call_id in ("1", 1):
            assert (await peer.settled(call_id))["value"] == {"who": peer.name, "id": call_id}


async def test_a_peer_may_call_itself(pair, peers, name):
    peer = await peers(pair[0])
    await peer.serve(name, echo)
    await peer.offered(name)
    assert (await peer.call(name, "1", '{"x":1}'))["value"] == {"x": 1}


async def test_several_calls_end_in_any_order(pair, peers, name):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    for number in range(10):
        await begin(caller, name, f"c{number}", args={"n": number})
    await received(held, executor, 10)
    random.Random(5).shuffle(held.calls)
    for call in held.calls:
        await answer(call, call[1]["args"]["n"] * 2)
    for number in range(10):
        assert (await caller.settled(f"c{number}"))["value"] == number * 2


async def test_many_calls_across_the_fleet(pair, peers, name):
    """Every call ends once, with its own result, and runs once."""
    ran = []

    async def double(peer, frame):
        ran.append(frame["args"]["n"])
        await peer.send(func="return", type="function", name=name, id=frame["id"], value=frame["args"]["n"] * 2)

    executors = [await peers(pair[number % 2]) for number in range(4)]
    for executor in executors:
        await executor.serve(name, double)
    callers = [await peers(pair[number % 2]) for number in range(5)]

    async def work(which, caller):
        await caller.offered(name)
        for number in range(40):
            assert (await caller.call(name, f"{number}", f'{{"n":{which * 1000 + number}}}'))["value"] == 2 * (which * 1000 + number)

    await asyncio.gather(*(work(which, caller) for which, caller in enumerate(callers)))
    assert sorted(ran) == sorted(which * 1000 + number for which in range(5) for number in range(40))


# --- who runs it ---


@pytest.mark.parametrize("spread", [(0, 0, 0), (0, 1, 1)], ids=["same gateway", "two gateways"])
async def test_the_least_busy_executor_runs_it(pair, peers, name, spread):
    executors, held = [await peers(pair[where]) for where in spread], Held()
    for executor in executors:
        await executor.serve(name, held)
    caller = await peers(pair[1])
    await caller.offered(name)

    async def one_more():
        number = len(held.calls)
        await begin(caller, name, f"c{number}")
        await until(lambda: len(held.calls) > number, f"call {number} reaches an executor")

    def load():
        return [sum(peer is executor for peer, _ in held.calls) for executor in executors]

    for round_ in range(1, 4):
        for _ in executors:
            await one_more()
        assert load() == [round_] * len(executors), "not the least busy one was chosen"
    for call in list(held.calls):
        if call[0] is executors[1]:
            await answer(call, 1)
    ended = [f"c{n}" for n, call in enumerate(held.calls) if call[0] is executors[1]]
    for call_id in ended:
        await caller.settled(call_id)
    busy = load()
    for _ in ended:
        await one_more()
    assert load() == [busy[0], busy[1] + len(ended), busy[2]], "an executor that is free again was passed over"


async def test_serving_twice_is_serving_once(pair, peers, name):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    await executor.serve(name, echo)
    await executor.serve(name, echo)
    await caller.offered(name)
    assert (await caller.call(name, "1"))["func"] == "return"
    await executor.unsubscribe("function", name)
    await caller.offered(name, False)


# --- who is told ---


async def told(peer, func, name):
    """The next that the peer hears of this function. Those of other tests may still be going."""
    frame = await peer.recv(f"{func} of {name}")
    while frame["type"] == "function" and frame["name"] != name:
        frame = await peer.recv(f"{func} of {name}")
    assert frame.raw == Frame(dumps(func=func, type="function", name=name)).raw, frame


async def test_callers_are_told_when_the_first_executor_appears_and_the_last_goes(pair, peers, name):
    callers = [await peers(gateway) for gateway in pair]
    first, second = await peers(pair[0]), await peers(pair[1])
    await first.serve(name, Held())
    for caller in callers:
        await told(caller, "subscribe", name)
    await second.serve(name, Held())
    late = await peers(pair[1])
    await told(late, "subscribe", name)
    await first.unsubscribe("function", name)
    await second.close()
    for caller in (*callers, late):
        await told(caller, "unsubscribe", name)
        await caller.say(dumps(func="call", type="function", name=name, id="gone"))
        assert (await caller.settled("gone"))["error_code"] == 3


async def test_one_of_two_executors_goes(pair, peers, name):
    """Nobody is told, and the other one runs the calls."""
    leaving, staying, caller = await peers(pair[0]), await peers(pair[1]), await peers(pair[0])
    await leaving.serve(name, Held())
    await staying.serve(name, echo)
    await caller.offered(name)
    await leaving.unsubscribe("function", name)
    await leaving.serve(name + "other", Held())  # Redis knows that it has left
    for number in range(5):
        assert (await caller.call(name, f"c{number}"))["func"] == "return"
    assert name in caller.state.callable


async def test_unsubscribe_of_a_function_lets_its_calls_end(pair, peers, name):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    await executor.unsubscribe("function", name)
    await caller.offered(name, False)
    await answer(held.calls[0], '"late but good"')
    assert (await caller.settled("1"))["value"] == "late but good"


async def test_unsubscribe_of_a_function_that_one_does_not_serve(pair, peers, name):
    executor, other = await peers(pair[0]), await peers(pair[0], tolerant=True, quiet=True)
    await executor.subscribe("function", name)
    await other.offered(name)
    await other.send_text(dumps(func="unsubscribe", type="function", name=name))
    await other.expect_error(1, type="function", name=name)
    await other.send_text(dumps(func="unsubscribe", type="function", name="nowhere"))
    await other.expect_error(3, type="function", name="nowhere")


@pytest.mark.parametrize("function", ["ä😀", "a b", 'q"uo\\te', "*", "%41", "x" * 512, "\u0080"])
async def test_function_names_of_every_kind(pair, peers, function):
    executor, caller = await peers(pair[0]), await peers(pair[1])
    await executor.serve(function, echo)
    await caller.offered(function)
    assert (await caller.call(function, "1", '{"a":1}'))["name"] == function


# --- ids ---


async def test_row_33_an_id_that_is_in_flight(pair, peers, name):
    executor, caller = await peers(pair[0]), await peers(pair[1], tolerant=True, quiet=True)
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    caller.state.calls.pop(key_of("1"))  # the model would take the error for the end of the first call
    await caller.send_text(dumps(func="call", type="function", name=name, id="1"))
    await caller.expect_error(4, type="function", name=name, id="1")
    caller.state.calls[key_of("1")] = name
    await answer(held.calls[0], 1)
    assert (await caller.settled("1"))["value"] == 1
    await begin(caller, name, "1")  # ended: it may be used again
    await received(held, executor, 2)
    await answer(held.calls[1], 2)
    assert (await caller.settled("1"))["value"] == 2


async def test_row_32_a_second_return(pair, peers, name):
    executor, caller = await peers(pair[0], tolerant=True, quiet=True), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    await answer(held.calls[0], 1)
    assert (await caller.settled("1"))["value"] == 1
    executor.take()
    await executor.send_text(dumps(func="return", type="function", name=name, id=held.calls[0][1]["id"], value=2))
    await executor.expect_error(4, type="function", name=name, id=held.calls[0][1]["id"])


async def test_row_32_the_return_of_somebody_elses_call(pair, peers, name):
    executor, thief, caller = await peers(pair[0]), await peers(pair[0], tolerant=True, quiet=True), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    await thief.subscribe("function", name)
    await thief.offered(name)
    await thief.send_text(dumps(func="return", type="function", name=name, id=held.calls[0][1]["id"] + "x", value="stolen"))
    await thief.expect_error(4, type="function", name=name)
    await answer(held.calls[0], '"mine"')
    assert (await caller.settled("1"))["value"] == "mine"


async def test_row_35_too_many_calls_of_one_connection(gateways, peers, name):
    gateway = gateways.start("--calls-per-connection", "3", "--call-timeout", "10m")
    executor, caller, other = await peers(gateway), await peers(gateway), await peers(gateway)
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    for number in range(4):
        await begin(caller, name, f"c{number}")
    frame = await caller.settled("c3")
    assert frame["func"] == "error" and frame["error_code"] == 8 and frame["id"] == "c3"
    await received(held, executor, 3)
    await begin(other, name, "x")  # another connection has its own
    await received(held, executor, 4)
    await answer(held.calls[0], 0)
    await caller.settled("c0")
    await begin(caller, name, "c4")
    await received(held, executor, 5)


# --- timeouts ---


async def test_row_35_a_call_times_out_and_its_late_result_is_silence(gateways, peers, name):
    gateway, other = gateways.start("--call-timeout", SHORT), gateways.start("--call-timeout", "10m")
    executor, caller = await peers(other), await peers(gateway)
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    frame = await caller.call(name, "1")
    assert frame["func"] == "error" and frame["error_code"] == 8 and "timeout" in frame["message"]
    await received(held, executor)
    await answer(held.calls[0], '"late"')
    assert [f for f in await executor.fence() if f["func"] == "error"] == []
    held.calls.clear()
    await executor.serve(name, echo)
    assert (await caller.call(name, "1", '{"a":1}'))["value"] == {"a": 1}, "the id is free again, and the executor works"
    assert await gateway.metric("syncgate_calls_in_flight") == 0


async def test_a_late_error_is_silence_too(gateways, peers, name):
    gateway = gateways.start("--call-timeout", SHORT)
    executor, caller = await peers(gateway), await peers(gateway)
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    assert (await caller.call(name, "1"))["error_code"] == 8
    await received(held, executor)
    await fail(held.calls[0], 6, "late")
    assert [f for f in await executor.fence() if f["func"] == "error"] == []
    assert [f for f in await caller.fence() if f["func"] == "error"][1:] == [], "a call ends once"


async def test_an_error_without_id_ends_no_call(gateways, peers, name):
    """It can be matched to nothing, so the call ends by its timeout."""
    gateway = gateways.start("--call-timeout", SHORT)
    executor, caller = await peers(gateway), await peers(gateway)

    async def vague(peer, frame):
        await peer.send_text(dumps(func="error", type="function", name=name, error_code=6, message="something"))

    await executor.serve(name, vague)
    await caller.offered(name)
    frame = await caller.call(name, "1")
    assert frame["error_code"] == 8 and "timeout" in frame["message"]


# --- somebody goes away ---


async def test_the_caller_goes(pair, peers, name):
    """The result finds nobody: no error for the executor, who goes on working."""
    executor, caller, second = await peers(pair[0]), await peers(pair[1]), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    for peer in (caller, second):
        await peer.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    await caller.close()
    await answer(held.calls[0], 1)
    assert [f for f in await executor.fence() if f["func"] == "error"] == []
    await begin(second, name, "1")
    await received(held, executor, 2)
    await answer(held.calls[1], 2)
    assert (await second.settled("1"))["value"] == 2


@pytest.mark.parametrize("where", [0, 1], ids=["same gateway", "another gateway"])
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_the_executor_goes(pair, peers, name, where, how):
    """Its calls end at once with error 8, its function is withdrawn."""
    executor, caller = await peers(pair[0]), await peers(pair[where])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    for call_id in ("1", "2"):
        await begin(caller, name, call_id)
    await received(held, executor, 2)
    if how == "close":
        await executor.close()
    else:
        executor.abort()
    for call_id in ("1", "2"):
        frame = await caller.settled(call_id)
        assert frame["func"] == "error" and frame["error_code"] == 8 and frame["id"] == call_id
    await caller.offered(name, False)
    assert (await caller.call(name, "3"))["error_code"] == 3


async def test_the_gateway_of_the_executor_is_stopped(pair, gateways, peers, name):
    leaving = gateways.start("--call-timeout", "10m")
    executor, caller = await peers(leaving), await peers(pair[0])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    await leaving.stop_async()
    assert await executor.closed() == 1012
    frame = await caller.settled("1")
    assert frame["func"] == "error" and frame["error_code"] == 8
    await caller.offered(name, False)


async def test_the_gateway_of_the_executor_is_killed(pair, gateways, peers, name):
    """The fleet notices: calls in flight fail, its functions end; with another executor left, that one takes over."""
    dying = gateways.start("--call-timeout", "10m")
    executor, caller = await peers(dying), await peers(pair[0])
    held = Held()
    await executor.serve(name, held)
    await executor.serve(name + "too", held)
    await caller.offered(name)
    await caller.offered(name + "too")
    await begin(caller, name, "1")
    await received(held, executor)
    survivor = await peers(pair[1])
    await survivor.serve(name + "too", echo)
    dying.kill()
    frame = await caller.settled("1")
    assert frame["func"] == "error" and frame["error_code"] == 8
    await caller.offered(name, False)
    assert (await caller.call(name + "too", "2", "{}"))["func"] == "return"
    assert name + "too" in caller.state.callable


async def test_a_call_to_a_killed_gateway_takes_another_executor(pair, gateways, peers, db, name):
    """Nobody listens on the mailbox of a dead gateway: Redis says so, and the next executor runs the call."""
    dying = gateways.start("--call-timeout", "10m")
    executor, survivor, caller = await peers(dying), await peers(pair[1]), await peers(pair[0])
    await executor.serve(name, Held())
    await caller.offered(name)
    held = Held()
    await survivor.serve(name, held)
    clients = len((await db.cmd("CLIENT", "LIST")).splitlines())
    dying.kill()

    async def noticed():
        return len((await db.cmd("CLIENT", "LIST")).splitlines()) < clients
    await until(noticed, "Redis sees that the connection of the killed gateway has ended")
    for number in range(4):
        await begin(caller, name, f"c{number}")
    await received(held, survivor, 4)
    for call in held.calls:
        await answer(call, 1)
    for number in range(4):
        assert (await caller.settled(f"c{number}"))["value"] == 1


async def test_the_gateway_of_the_caller_is_killed(pair, gateways, peers, name):
    dying = gateways.start("--call-timeout", "10m")
    executor, caller, other = await peers(pair[0]), await peers(dying), await peers(pair[1])
    held = Held()
    await executor.serve(name, held)
    await caller.offered(name)
    await other.offered(name)
    await begin(caller, name, "1")
    await received(held, executor)
    dying.kill()
    await answer(held.calls[0], 1)
    assert [f for f in await executor.fence() if f["func"] == "error"] == []
    await begin(other, name, "1")
    await received(held, executor, 2)
    await answer(held.calls[1], 2)
    assert (await other.settled("1"))["value"] == 2


async def test_an_executor_comes_back(pair, peers, name):
    caller = await peers(pair[1])
    for turn in range(3):
        executor = await peers(pair[turn % 2])
        await executor.serve(name, echo)
        await caller.offered(name)
        assert (await caller.call(name, "1", json.dumps({"turn": turn})))["value"] == {"turn": turn}
        await executor.close()
        await caller.offered(name, False)


async def test_a_stalled_fleet_member_is_not_asked(pair, gateways, peers, name):
    """A gateway that is frozen for longer than its lease is buried; when it wakes up it registers its executors again."""
    frozen = gateways.start("--call-timeout", "10m")
    executor, caller = await peers(frozen), await peers(pair[0])
    await executor.serve(name, echo)
    await caller.offered(name)
    frozen.freeze()
    try:
        await caller.until(lambda: name not in caller.state.callable, "the lease of the frozen gateway ends", 60)
    finally:
        frozen.thaw()
    await caller.offered(name)
    assert (await caller.call(name, "1", "{}"))["func"] == "return"
