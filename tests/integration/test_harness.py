"""The tools of these tests, tested: the strict peer must refuse what a naive client could not apply, and nothing else."""
import asyncio
import os
import stat

import pytest

import gateway as gateway_module
from gateway import Gateway, parse_metrics
from jsontext import Frame, NotJson, decode, elements, members
from peer import RawPeer, dumps
from resp import Observer, Redis, RedisError
from strict import StrictState, Violation, key_of
from truth import ListHistory, VarHistory, clamp, parse


# --- JSON as text ---


def test_members_keep_their_text():
    assert members('{ "a" : 1.10 , "b":{"x": [1 ,2]},"c":"\\u0041"}') == {
        "a": "1.10", "b": '{"x": [1 ,2]}', "c": '"\\u0041"'}
    assert elements("[1.0, {} ,\t[ ]]") == ["1.0", "{}", "[ ]"]
    assert members("{}") == {} and elements(" [ ] ") == []
    assert decode(" 12345678901234567890 ") == 12345678901234567890


@pytest.mark.parametrize("text", ["", "{", '{"a":1', '{"a":NaN}', '{"a":1,}', "{'a':1}", '{"a":1} x', "[1]", '{"a":1,"a":2}',
                                  '{1:2}', '{"a":Infinity}', '{"a":01}', '{"a":"\n"}'])
def test_members_refuse(text):
    with pytest.raises(NotJson):
        members(text)


# --- the strict peer ---


def var(value, name="v"):
    return f'{{"func":"set","type":"var","name":"{name}","value":{value}}}'


def page(ids, total, number=0, name="l"):
    items = ",".join(f'{{"id":{i!r},"value":0}}'.replace("'", '"') for i in ids)
    return f'{{"func":"set_all","type":"list","name":"{name}","page":{number},"total_item_count":{total},"items":[{items}]}}'


def insert(index, item_id, name="l"):
    return dumps(func="insert", type="list", name=name, index=index, id=item_id, value=0)


def delete(item_id, gone=None, name="l"):
    fields = {"gone": gone} if gone is not None else {}
    return dumps(func="delete", type="list", name=name, id=item_id, **fields)


def item_set(item_id, value=1, name="l"):
    return dumps(func="set", type="list", name=name, id=item_id, value=value)


def count(total, name="l"):
    return dumps(func="set_count", type="list", name=name, total_item_count=total)


SUB_VAR = dumps(func="subscribe", type="var", name="v")
SUB_LIST = dumps(func="subscribe", type="list", name="l")
UNSUB_LIST = dumps(func="unsubscribe", type="list", name="l")
SUB_ITEM = dumps(func="subscribe", type="list", name="l", id="x")
SERVE = dumps(func="subscribe", type="function", name="f")
CALL = dumps(func="call", type="function", name="f", id="1")
RETURN = dumps(func="return", type="function", name="f", id="1")
PING, PING_A, PONG_A = dumps(func="ping"), dumps(func="ping", id="a"), dumps(func="pong", id="a")
SMALL = dumps(func="get", type="list", name="l", page_size=2)


def play(*steps, **options):
    """Each step is ("sent" or "received", text); returns the state."""
    state = StrictState(**options)
    for direction, text in steps:
        getattr(state, direction)(text)
    return state


def S(text):
    return ("sent", text)


def R(text):
    return ("received", text)


ACCEPTED = {
    "a snapshot and changes": [S(SUB_VAR), R(var(1)), R(var(2)), R(var(2))],
    "a page grows by an insert at its end": [S(SUB_LIST), R(page("ab", 2)), R(insert(2, "c")), R(delete("a", True))],
    "a full page slides": [S(SUB_LIST), S(SMALL), R(page("ab", 2)), R(page("ab", 2)), R(delete("b")), R(insert(0, "c")),
                           R(count(3))],
    "1 and \"1\" are two ids": [S(SUB_LIST), R(page("a", 1)), R(insert(0, 1)), R(insert(0, "1"))],
    "an item subscription ends by itself": [S(SUB_ITEM), R(item_set("x")), R(item_set("x", 2)), R(delete("x", True))],
    "frames on their way after an unsubscribe": [S(SUB_LIST), R(page("a", 1)), S(UNSUB_LIST), R(insert(0, "b"))],
    "a new snapshot after a new subscribe": [S(SUB_LIST), R(page("a", 1)), S(UNSUB_LIST), S(SUB_LIST), R(insert(0, "b")),
                                             R(page("b", 1))],
    "get with id of an item that is off the page": [
        S(SUB_LIST), R(page("a", 2)), S(dumps(func="get", type="list", name="l", id="z")), R(item_set("z"))],
    "an off-page item with a subscription goes": [S(SUB_LIST), S(SUB_ITEM), R(page("a", 2)), R(item_set("x")),
                                                  R(delete("x", True)), R(count(1))],
    "a call": [R(SERVE), S(CALL), R(RETURN)],
    "a call that fails": [S(CALL), R(dumps(func="error", error_code=8, type="function", name="f", id="1"))],
    "a call to us": [S(SERVE), R(CALL), S(RETURN), R(CALL)],
    "pings and their pongs, in order": [S(PING), S(PING_A), R('{"func":"pong"}'), S(PING), R(PONG_A), R('{"func":"pong"}')],
    "a page beyond the first": [S(SUB_LIST), S(SMALL), R(page("ab", 3)), R(page("c", 3, 1)), R(page("c", 3, 1))],
}

REFUSED = {
    "no JSON": [R("{")],
    "no object": [R("[1]")],
    "an unknown func": [R('{"func":"jump"}')],
    "insert on a variable": [R('{"func":"insert","type":"var","name":"v"}')],
    "a field too many": [S(SUB_VAR), R('{"func":"set","type":"var","name":"v","value":1,"x":1}')],
    "a field too few": [S(SUB_VAR), R('{"func":"set","type":"var","name":"v"}')],
    "data without a subscription": [R(var(1))],
    "another variable": [S(SUB_VAR), R(var(1, "w"))],
    "an increment before the snapshot": [S(SUB_LIST), R(insert(0, "a"))],
    "a set before the snapshot": [S(SUB_LIST), R(item_set("a"))],
    "a count before the snapshot": [S(SUB_LIST), R(count(4))],
    "an index outside of the page": [S(SUB_LIST), R(page("a", 1)), R(insert(2, "b"))],
    "a negative index": [S(SUB_LIST), R(page("a", 1)), R(insert(-1, "b"))],
    "an id twice": [S(SUB_LIST), R(page("a", 1)), R(insert(0, "a"))],
    "an id twice in a page": [S(SUB_LIST), R(page("aa", 2))],
    "delete of an id that is not held": [S(SUB_LIST), R(page("a", 2)), R(delete("b"))],
    "set of an id that is not held": [S(SUB_LIST), R(page("a", 2)), R(item_set("b"))],
    "a second answer to get with id": [S(SUB_LIST), R(page("a", 2)), S(dumps(func="get", type="list", name="l", id="z")),
                                       R(item_set("z")), R(item_set("z"))],
    "a page that grows beyond its size": [S(SUB_LIST), R(page("ab", 2)), R(insert(0, "c"))],
    "a set_all beyond the size": [S(SUB_LIST), R(page("abc", 3))],
    "more items than the count": [S(SUB_LIST), R(page("ab", 1))],
    "a count that says nothing": [S(SUB_LIST), R(page("a", 1)), R(insert(0, "b")), R(count(2))],
    "a count below the items": [S(SUB_LIST), R(page("ab", 5)), R(count(1))],
    "items that do not fit the count on page 1": [S(SUB_LIST), R(page("ab", 3, 1))],
    "a delete for an item subscription without gone": [S(SUB_ITEM), R(item_set("x")), R(delete("x"))],
    "gone that is not true": [S(SUB_ITEM), R(item_set("x")), R(delete("x", False))],
    "an error for nothing": [R(dumps(func="error", error_code=1))],
    "an error code that does not exist": [S(CALL), R(dumps(func="error", error_code=9, type="function", name="f", id="1"))],
    "a return of nothing": [R(RETURN)],
    "two returns": [S(CALL), R(RETURN), R(RETURN)],
    "a return and an error": [S(CALL), R(RETURN), R(dumps(func="error", error_code=8, type="function", name="f", id="1"))],
    "the return of another function": [S(CALL), R(dumps(func="return", type="function", name="g", id="1"))],
    "a pong of nothing": [R('{"func":"pong"}')],
    "two pongs": [S(PING_A), R(PONG_A), R(PONG_A)],
    "pongs in another order": [S(PING), S(PING_A), R(PONG_A)],
    "a pong with a field too many": [S(PING), R('{"func":"pong","type":"var"}')],
    "a call that we do not serve": [R(CALL)],
    "the same call twice": [S(SERVE), R(CALL), R(CALL)],
    "args that are no object": [S(SERVE), R(dumps(func="call", type="function", name="f", id="1", args=[1]))],
    "a function offered twice": [R(SERVE), R(SERVE)],
    "a function withdrawn that was not offered": [R(dumps(func="unsubscribe", type="function", name="f"))],
    "an id of a strange kind": [S(SUB_LIST), R(page("a", 1)), R('{"func":"insert","type":"list","name":"l","index":0,"id":1.0,'
                                                              '"value":1}')],
}


@pytest.mark.parametrize("title", ACCEPTED)
def test_strict_peer_accepts(title):
    play(*ACCEPTED[title], max_page_size=2 if "grows beyond" in title else 100)


@pytest.mark.parametrize("title", REFUSED)
def test_strict_peer_refuses(title):
    *before, last = REFUSED[title]
    state = play(*before, max_page_size=2)
    with pytest.raises(Violation):
        play_on(state, last)


def play_on(state, step):
    getattr(state, step[0])(step[1])


def test_strict_peer_refuses_the_same_change_twice():
    """A change and an answer look the same: as many repetitions as there were questions may come, and no more."""
    state = play(S(SUB_VAR), R(var(1)), R(var(2)), R(var(2)), unique_values=True)
    with pytest.raises(Violation):
        state.received(var(2))
    state = play(S(SUB_ITEM), R(item_set("x", 1)), R(item_set("x", 2)), R(item_set("x", 2)), unique_values=True)
    with pytest.raises(Violation):
        state.received(item_set("x", 2))


def test_strict_peer_holds_both_readings_of_an_off_page_delete():
    state = play(S(SUB_LIST), S(SUB_ITEM), R(page("a", 2)), R(item_set("x")), R(delete("x", True)))
    assert state.list("l").counts == {1, 2} and state.list("l").count is None
    state.received(count(1))
    assert state.list("l").count == 1
    assert not state.active("item", "l", key_of("x"))


def test_strict_peer_counts_answers():
    state = play(S(SUB_VAR), S(dumps(func="get", type="var", name="v")))
    assert state.answers_due() == [("var", "v")]
    state.received(var(1))
    state.received(var(1))
    assert state.answers_due() == [] and state.value("v") == "1"


def test_strict_peer_excuses_one_error():
    state = StrictState()
    state.excuse("list", "l", "z", 4)
    wanted = dumps(func="error", error_code=4, type="list", name="l", id="z")
    state.received(wanted)
    with pytest.raises(Violation):
        state.received(wanted)


def test_strict_peer_holds_the_page():
    state = play(S(SUB_LIST), R(page("abc", 3)), R(insert(1, "x")), R(delete("a")), R(item_set("b", 7)))
    view = state.list("l")
    assert [key for _, key in view.ids()] == ["x", "b", "c"]
    assert view.items[1][1] == "7" and view.count == 3


# --- sockets and processes ---


def test_frame_bytes():
    assert RawPeer.encode(1, b"abc", mask=False) == b"\x81\x03abc"
    assert RawPeer.encode(2, b"x" * 126, mask=False)[:4] == b"\x82\x7e\x00\x7e"
    assert RawPeer.encode(1, b"", mask=False, length=1 << 20) == b"\x81\x7f" + (1 << 20).to_bytes(8, "big")
    masked = RawPeer.encode(1, b"hello", fin=False, rsv=1)
    assert masked[:2] == b"\x11\x85" and len(masked) == 11
    assert bytes(b ^ masked[2 + i % 4] for i, b in enumerate(masked[6:])) == b"hello"
    long = RawPeer.encode(1, bytes(range(256)) * 20)
    assert bytes(b ^ long[4 + i % 4] for i, b in enumerate(long[8:])) == bytes(range(256)) * 20


async def test_redis_client(redis_server):
    client = Redis(redis_server.socket_path)
    replies = await client.pipeline([("SET", "k", "v"), ("NOSUCH",), ("GET", "k"), ("INCRBY", "n", 5)])
    assert replies[0] == b"OK" and isinstance(replies[1], RedisError) and replies[2:] == [b"v", 5]
    with pytest.raises(RedisError):
        await client.cmd("INCR", "k")
    observer = await Observer(redis_server.socket_path).start("a{x}", "b{x}")
    await client.pipeline([("SPUBLISH", "a{x}", b"\x001"), ("SPUBLISH", "b{x}", "2"), ("SPUBLISH", "c{x}", "3")])
    await observer.stop(client)
    assert observer.log == [("a{x}", b"\x001"), ("b{x}", b"2")]
    await client.close()


def test_metrics_text():
    text = '# HELP a b\n# TYPE a counter\na{code="1"} 2\nb 3.5\n'
    assert parse_metrics(text) == {'a{code="1"}': 2.0, "b": 3.5}
    with pytest.raises(AssertionError):
        parse_metrics("what is this")


def script(tmp_path, monkeypatch, body):
    """A stand-in for the program, to see that the harness notices how it ends."""
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(gateway_module, "BINARY", str(path))
    runner = Gateway(tmp_path / "run")
    runner.children_patience_s = 0.2
    runner.launch()
    gateway_module.poll(lambda: "up" in runner.stderr(), "the stand-in runs")
    return runner


@pytest.mark.parametrize("body, complaint", [
    ("trap 'exit 0' TERM; echo up; sleep 60 & wait", "left processes behind"),
    ("trap 'exit 3' TERM; echo up; while :; do read x; done", "ended with 3"),
    ("trap 'exit 0' TERM; echo up; echo 'x.c:1: runtime error: y'; while :; do read x; done", "sanitizer report"),
    ("trap 'exit 0' TERM; echo up; echo '==1==ERROR: AddressSanitizer: z'; while :; do read x; done", "sanitizer report"),
])
def test_harness_notices_a_bad_end(tmp_path, monkeypatch, body, complaint):
    runner = script(tmp_path, monkeypatch, body)
    with pytest.raises(AssertionError, match=complaint):
        runner.stop()


def test_harness_accepts_a_good_end(tmp_path, monkeypatch):
    runner = script(tmp_path, monkeypatch, "trap 'exit 0' TERM; echo up; while :; do read x; done")
    runner.stop()
    assert os.path.exists(runner.stderr_path)


def test_frame_shows_its_text():
    assert repr(Frame('{"a": 1}')) == '{"a": 1}' and Frame('{"a": 1}')["a"] == 1


def test_coroutine_tests_run_at_all(request):
    """The hook of conftest.py turns a coroutine function into a test that can fail."""
    plugin = next(p for p in request.config.pluginmanager.get_plugins() if hasattr(p, "pytest_pyfunc_call")
                  and getattr(p, "__name__", "").endswith("conftest"))

    async def failing():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    class Item:
        obj = staticmethod(failing)
        funcargs = {}
        _fixtureinfo = type("Info", (), {"argnames": ()})

    with pytest.raises(ZeroDivisionError):
        plugin.pytest_pyfunc_call(Item)


# --- what really happened ---


A, B, C = (("str", letter) for letter in "abc")


def replay(*payloads, whole=None):
    history = ListHistory()
    for payload in payloads:
        operation, revision, numbers, key, value = parse(payload)
        history.apply(operation, revision, numbers, key, value, whole)
    return history


def test_events_are_read():
    assert parse(b'vs 7 {"a": 1}') == ("vs", 7, [], None, '{"a": 1}')
    assert parse(b"vd 8") == ("vd", 8, [], None, None)
    assert parse('li 3 0 1 5 "é " [1, 2]'.encode()) == ("li", 3, [0, 1], ("str", "é "), "[1, 2]")
    assert parse(b"lm 4 2 0 9 2 17 5") == ("lm", 4, [2, 0, 9], ("int", 17), "5")
    assert parse(b'lx 5 0 0 3 "a"') == ("lx", 5, [0, 0], A, None)
    assert parse(b"la 6 0") == ("la", 6, [0], None, None)


def test_a_list_is_reconstructed():
    history = replay(b'li 1 0 1 3 "a" 1', b'li 2 1 2 3 "b" 1', b'lm 3 0 1 2 3 "a" 2', b'ls 4 0 2 3 "b" 3', b'lx 5 1 1 3 "a"')
    assert history.states == [(), ((A, "1"),), ((A, "1"), (B, "1")), ((B, "1"), (A, "2")), ((B, "3"), (A, "2")), ((B, "3"),)]
    with pytest.raises(AssertionError, match="revision 3 after 1"):
        replay(b'li 1 0 1 3 "a" 1', b'li 3 1 2 3 "b" 1')
    with pytest.raises(AssertionError, match="is not at 0"):
        replay(b'li 1 0 1 3 "a" 1', b'ls 2 0 1 3 "b" 1')


def test_a_view_is_judged_by_the_states():
    history = replay(b'li 1 0 1 3 "a" 1', b'li 2 1 2 3 "b" 1', b'li 3 0 3 3 "c" 1')
    one, two, three = ((A, "1"),), ((A, "1"), (B, "1")), ((C, "1"), (A, "1"))
    history.check([(0, (2,), frozenset({1}), one), (0, (2,), frozenset({2}), two), (0, (2,), frozenset({2}), one),
                   (0, (2,), frozenset({2}), three), (0, (2,), frozenset({3}), three)])
    with pytest.raises(AssertionError, match="lead to no state"):
        history.check([(0, (2,), frozenset({2}), two), (0, (2,), frozenset({1}), one)])  # it goes back
    history.check([(0, (2,), frozenset({2}), two), (0, (2,), frozenset({1}), one)], cut=True)
    with pytest.raises(AssertionError, match="without reaching"):
        history.check([(0, (1,), frozenset({1}), ((B, "1"),))] * 5)
    with pytest.raises(AssertionError, match="lead to no state"):
        history.check([(0, (2,), frozenset({2, 3}), three)])  # two readings of the count
    with pytest.raises(AssertionError, match="lead to no state"):
        history.check([(1, (2,), frozenset({2}), ())])  # a page that does not exist


def test_a_variable_is_judged_by_its_revisions():
    history = VarHistory()
    for payload in (b"vs 1 1", b"vs 2 2", b"vd 3", b"vs 4 4"):
        operation, revision, _, _, value = parse(payload)
        history.apply(operation, revision, value)
    history.check(["1", "1", "2", "null", "4"])
    for seen in (["2", "1"], ["4", "null"], ["3"], ["4", "2"]):
        with pytest.raises(AssertionError):
            history.check(seen)


@pytest.mark.parametrize("page, size, total, effective", [(0, 5, 0, 0), (3, 5, 0, 0), (0, 5, 5, 0), (1, 5, 5, 0), (1, 5, 6, 1), (9, 2, 5, 2)])
def test_pages_clamp(page, size, total, effective):
    assert clamp(page, size, total) == effective
