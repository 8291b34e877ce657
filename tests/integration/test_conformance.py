"""Section 5.1 of the protocol sheet, row by row: what each malformed or misplaced message is answered with.

Each test is named by its row. Every bad message gets exactly one error frame and has no other effect: after each one the
connection is asked again, and what it held is still there.
"""
import json

import pytest

from conftest import Gateways, write_config
from peer import RawPeer, dumps, raw_dumps

CONFIG = """
anonymous: { subscribe: ["*"], call: ["*"], write: [], serve: [] }
tokens:
  - { token: "writer", name: writer, subscribe: ["*"], call: ["*"], write: ["w*"], serve: ["job*"] }
  - { token: "guest", name: guest, subscribe: ["open*"], call: ["open*"], write: [], serve: [] }
names:
  - { pattern: "declared:var:*", type: var }
  - { pattern: "declared:list:*", type: list }
"""

# Names that exist in Redis for the whole file. `w…` may be written by the writer.
VAR, LIST, OTHER, EMPTY, WVAR, WLIST = "v", "l", "other", "empty", "wv", "wl"
LONGEST = "n" * 512


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("conformance")
    pool = Gateways(folder, redis_server.socket_path)
    started = pool.start("--config", write_config(folder / "syncgate.yaml", CONFIG), dev=False)
    with redis_server.client() as client:
        for variable in (VAR, WVAR, LONGEST, "é" * 256):
            client.execute_command("FCALL", "sg_var_set", 1, variable, "1")
        for name in (LIST, OTHER, WLIST):
            for item in "abc":
                client.execute_command("FCALL", "sg_list_insert", 1, name, -1, item, f'"{item}"')
        client.execute_command("FCALL", "sg_list_insert", 1, EMPTY, 0, "x", "1")
        client.execute_command("FCALL", "sg_list_delete", 1, EMPTY, "x")
    yield started
    pool.stop()


@pytest.fixture
def anonymous(gateway, peers):
    async def connect(**options):
        return await peers(gateway, tolerant=True, quiet=True, **options)
    return connect


async def subscribed(peer):
    """Subscribes to everything but OTHER and takes the snapshots."""
    for variable in (VAR, WVAR):
        await peer.subscribed("var", variable)
    for name in (LIST, WLIST, EMPTY):
        await peer.subscribed("list", name)
    return peer


async def one_error(peer, message, code, **fields):
    """The message is answered by this error and nothing else; type, name and id, when there, are those of the message."""
    await peer.send_text(message)
    frame = await peer.expect_error(code, **fields)
    assert isinstance(frame.get("message", ""), str)
    try:
        sent = json.loads(message)
    except (ValueError, RecursionError):
        sent = None
    for field in ("type", "name", "id"):
        if field in frame:
            assert isinstance(sent, dict) and sent.get(field) == frame[field], f"{field} of {frame!r} is not from {message[:200]}"
    assert await peer.fence() == [], f"more than one answer to {message[:200]}"
    return frame


def message(func=None, kind=None, name=None, **fields):
    """A message text from decoded values; absent when None."""
    head = {key: value for key, value in (("func", func), ("type", kind), ("name", name)) if value is not None}
    return dumps(**head, **fields)


# --- rows 1 to 7: what is not a message at all ---


async def test_row_1_binary_frame(anonymous):
    peer = await anonymous()
    await peer.send_text(b'{"func":"get","type":"var","name":"v"}')
    frame = await peer.expect_error(7, type=None, name=None, id=None)
    assert frame["message"] == "text frames only"
    await peer.send_text(b"")
    await peer.expect_error(7)
    assert await peer.fence() == []


@pytest.mark.parametrize("payload", [
    b"\xff", b'{"func":"\xc0\xaf"}', b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b'{"func":"get\xe2\x82', b"\x80", b"\xe2\x28\xa1",
], ids=lambda p: p.hex())
async def test_row_2_invalid_utf8(gateway, peers, payload):
    peer = await peers.bare(gateway.address)
    await peer.send_frame(RawPeer.TEXT, payload)
    assert await peer.close_code() == 1007


async def test_row_2_invalid_utf8_in_fragments(gateway, peers):
    peer = await peers.bare(gateway.address)
    await peer.send_frame(RawPeer.TEXT, b'{"func":"\xe2', fin=False)
    await peer.send_frame(0, b'A"}')
    assert await peer.close_code() == 1007


async def test_row_2_a_character_cut_by_fragments_is_valid(gateway, peers):
    peer = await peers.bare(gateway.address)
    whole = '{"func":"€"}'.encode()
    for at, byte in enumerate(whole):
        await peer.send_frame(RawPeer.TEXT if at == 0 else 0, bytes([byte]), fin=at == len(whole) - 1)
    assert json.loads(await peer.recv_text())["error_code"] == 1


def padded(size):
    """A get of VAR with exactly this many bytes."""
    head = message("get", "var", VAR)[:-1] + ',"pad":"'
    return head + "x" * (size - len(head) - 2) + '"}'


async def test_row_3_a_message_of_the_limit_is_served(anonymous):
    peer = await anonymous()
    await peer.subscribed("var", VAR)
    assert len(padded(1 << 20)) == 1 << 20
    await peer.say(padded(1 << 20))
    await peer.expect('{"func":"set","type":"var","name":"v","value":1}')


async def test_row_3_one_byte_more_closes_1009(anonymous):
    peer = await anonymous()
    await peer.send_text(padded((1 << 20) + 1))
    assert await peer.closed() == 1009
    assert not peer.frames


async def test_row_3_closes_at_the_announced_length(gateway, peers):
    peer = await peers.bare(gateway.address)
    await peer.send_frame(RawPeer.TEXT, b"", length=(1 << 20) + 1)
    assert await peer.close_code() == 1009


async def test_row_3_fragments_count_together(gateway, peers):
    peer = await peers.bare(gateway.address)
    await peer.send_frame(RawPeer.TEXT, b"x" * (1 << 19), fin=False)
    await peer.send_frame(0, b"x" * (1 << 19), fin=False)
    await peer.send_frame(0, b"", length=1)
    assert await peer.close_code() == 1009


async def test_row_3_max_message_is_an_option(gateways, peers):
    other = gateways.start("--max-message", "1KiB")
    peer = await peers(other, tolerant=True, quiet=True)
    await peer.send_text(message("jump", pad="x" * (1024 - len(message("jump", pad="")))))
    await peer.expect_error(1)
    await peer.send_text(message("jump", pad="x" * (1025 - len(message("jump", pad="")))))
    assert await peer.closed() == 1009


async def test_row_4_empty_text(anonymous):
    peer = await anonymous()
    await one_error(peer, "", 7, type=None, name=None, id=None)


def nested(depth, inner=""):
    return "[" * depth + inner + "]" * depth


NOT_JSON = {
    "garbage": "{{", "a word": "hello", "truncated": '{"func":"get"', "truncated string": '{"func":"get', "blank": "  \n",
    "trailing garbage": '{"func":"jump"} x', "two objects": '{"func":"jump"}{"func":"jump"}', "trailing comma": '{"func":"jump",}',
    "single quotes": "{'func':'jump'}", "no quotes": '{func:"jump"}', "NaN": '{"func":"jump","x":NaN}',
    "Infinity": '{"func":"jump","x":Infinity}', "-Infinity": '{"func":"jump","x":-Infinity}', "comment": '{"func":"jump"/**/}',
    "leading zero": '{"func":"jump","x":01}', "plus": '{"func":"jump","x":+1}', "no digit before the point": '{"func":"jump","x":.5}',
    "no digit behind the point": '{"func":"jump","x":1.}', "no exponent": '{"func":"jump","x":1e}', "lone minus": '{"func":"jump","x":-}',
    "control character in a string": '{"func":"ju\nmp"}', "tab in a string": '{"func":"ju\tmp"}', "bad escape": '{"func":"\\x41"}',
    "bad unicode escape": '{"func":"\\u00zz"}', "lone high surrogate": '{"func":"jump","x":"\\ud800"}',
    "lone low surrogate": '{"func":"jump","x":"\\udc00"}', "surrogates swapped": '{"func":"jump","x":"\\udc00\\ud800"}',
    "high surrogate before a letter": '{"func":"jump","x":"\\ud800\\u0041"}', "lone surrogate in a key": '{"\\ud800":1,"func":"jump"}',
    "byte order mark": '\ufeff{"func":"jump"}', "wrong case": '{"func":"jump","x":True}', "two colons": '{"func"::"jump"}',
    "missing colon": '{"func" "jump"}', "missing comma": '{"func":"jump" "x":1}', "extra bracket": '{"func":"jump"}]',
    "nul behind": '{"func":"jump"}\x00', "hexadecimal": '{"func":"jump","x":0x1}', "vertical tab": '{"func":\v"jump"}',
}


@pytest.mark.parametrize("title", NOT_JSON)
async def test_row_5_not_json(anonymous, title):
    await one_error(await anonymous(), NOT_JSON[title], 7, type=None, name=None, id=None)


@pytest.mark.parametrize("inner", ["{}", "[]", '{"a":{}}'], ids=["object", "array", "two"])
async def test_row_5_nesting_too_deep(anonymous, inner):
    peer = await anonymous()
    levels = {"{}": 1, "[]": 1, '{"a":{}}': 2}[inner]
    deepest = '{"func":"jump","x":' + nested(63 - levels, inner) + "}"  # 64 with the object itself
    await one_error(peer, deepest, 1)
    frame = await one_error(peer, '{"func":"jump","x":' + nested(64 - levels, inner) + "}", 7, type=None)
    assert frame["message"] == "nesting too deep"


async def test_row_5_nesting_of_the_whole_limit(anonymous):
    peer = await anonymous()
    frame = await one_error(peer, "[" * 1000000, 7)
    assert frame["message"] == "nesting too deep"


async def test_row_5_brackets_in_strings_do_not_nest(anonymous):
    await one_error(await anonymous(), '{"func":"jump","x":"' + "[" * 500 + '{\\"' * 500 + '"}', 1)


async def test_row_5_max_depth_is_an_option(gateways, peers):
    peer = await peers(gateways.start("--max-depth", "8"), tolerant=True, quiet=True)
    await peer.send_text('{"func":"jump","x":' + nested(7) + "}")
    await peer.expect_error(1)
    await peer.send_text('{"func":"jump","x":' + nested(8) + "}")
    assert (await peer.expect_error(7))["message"] == "nesting too deep"


@pytest.mark.parametrize("text", ["[1,2]", '"x"', "1", "-1.5e3", "null", "true", "false", "[]", '[{"func":"get"}]', ' "x" '])
async def test_row_6_not_an_object(anonymous, text):
    frame = await one_error(await anonymous(), text, 7, type=None, name=None, id=None)
    assert frame["message"] == "object expected"


async def test_row_7_the_last_of_equal_keys_wins(anonymous):
    peer = await anonymous()
    await peer.send_text('{"func":"jump","func":"subscribe","type":"tree","type":"var","name":5,"name":"nowhere","name":"v"}')
    peer.state.sent(message("subscribe", "var", VAR))
    await peer.expect('{"func":"set","type":"var","name":"v","value":1}')
    await one_error(peer, '{"func":"get","func":"jump","type":"var","name":"v"}', 1)
    await one_error(peer, '{"func":"get","type":"var","name":"v","\\u006eame":"nowhere"}', 3, type="var", name="nowhere")


# --- rows 8 to 12: func ---


@pytest.mark.parametrize("text", ["{}", '{"type":"var","name":"v"}', '{"type":5}', '{"Func":"get"}', '{"func ":"get","type":"tree"}'])
async def test_row_8_func_absent(anonymous, text):
    await one_error(await anonymous(), text, 5)


@pytest.mark.parametrize("func", ["1", "null", "true", "{}", '["get"]', "1.5"])
async def test_row_9_func_not_a_string(anonymous, func):
    await one_error(await anonymous(), f'{{"func":{func},"type":"tree"}}', 6)


@pytest.mark.parametrize("func", ["jump", "", "Get", "get ", "subscribe_all", "getx", "ge", "get\\u0000", "errors"])
async def test_row_10_func_unknown(anonymous, func):
    peer = await anonymous()
    await one_error(peer, f'{{"func":"{func}"}}', 1)
    await one_error(peer, f'{{"func":"{func}","type":5,"name":{{}}}}', 1)
    await one_error(peer, f'{{"func":"{func}","type":"var","name":"v"}}', 1)


@pytest.mark.parametrize("rest", [
    {}, {"error_code": 99}, {"error_code": "x"}, {"error_code": 1, "message": "m", "type": "tree", "name": 5, "id": {}},
    {"type": "function", "name": "nowhere", "id": "never", "error_code": 8}, {"error_code": 1, "type": "function", "id": None},
    {"type": "function", "name": "", "id": "", "error_code": 6, "message": 5},
], ids=str)
async def test_row_11_error_is_never_answered(anonymous, rest):
    peer = await anonymous()
    await peer.send_text(dumps(func="error", **rest))
    assert await peer.fence() == []


@pytest.mark.parametrize("rest", [{}, {"type": 5}, {"type": "tree", "name": {}}, {"type": "list", "name": "nowhere", "id": []}],
                         ids=str)
async def test_row_12_unsubscribe_all_looks_at_nothing_else(anonymous, rest):
    peer = await anonymous()
    await peer.subscribed("var", VAR)
    await peer.say(dumps(func="unsubscribe_all", **rest))
    assert await peer.fence() == []
    await one_error(peer, message("get", "var", VAR), 1, type="var", name=VAR)


# --- rows 12, 22, 23 and 28: ping ---

LONGEST_CALL_ID = "x" * 128


@pytest.mark.parametrize("rest, answer", [
    ({}, {}), ({"id": None}, {}), ({"id": "a"}, {"id": "a"}), ({"id": -7}, {"id": -7}), ({"id": LONGEST_CALL_ID}, {"id": LONGEST_CALL_ID}),
    ({"type": 5, "name": {}, "page": "x"}, {}), ({"type": "list", "name": "nowhere", "id": "i"}, {"id": "i"}),
], ids=str)
async def test_row_12_ping_is_answered_at_once(anonymous, rest, answer):
    peer = await anonymous()
    await peer.say(dumps(func="ping", **rest))
    assert [str(frame) for frame in await peer.fence()] == [dumps(func="pong", **answer)]


@pytest.mark.parametrize("id, code", [({}, 6), (1.5, 6), (True, 6), ("", 4), (LONGEST_CALL_ID + "x", 4)], ids=str)
async def test_rows_22_and_28_the_id_of_a_ping(anonymous, id, code):
    await one_error(await anonymous(), dumps(func="ping", id=id), code)


async def test_row_10_a_pong_answers_nothing(anonymous):
    await one_error(await anonymous(), dumps(func="pong"), 1)


# --- rows 13 to 16: type ---

FUNCS = ["subscribe", "unsubscribe", "get", "set", "set_all", "set_count", "insert", "delete", "call", "return"]


@pytest.mark.parametrize("func", FUNCS)
async def test_row_13_type_absent(anonymous, func):
    await one_error(await anonymous(), message(func, name=VAR), 5)


@pytest.mark.parametrize("kind", ["1", "null", "[]", "{}", "false"])
async def test_row_14_type_not_a_string(anonymous, kind):
    await one_error(await anonymous(), f'{{"func":"get","type":{kind}}}', 6, type=None)


@pytest.mark.parametrize("func", FUNCS)
@pytest.mark.parametrize("kind", ["tree", "", "Var"])
async def test_row_15_type_unknown(anonymous, func, kind):
    await one_error(await anonymous(), message(func, kind, VAR), 2, type=None)


KINDS = {"subscribe": "var list function", "unsubscribe": "var list function", "get": "var list", "set": "var list",
         "set_all": "list", "set_count": "list", "insert": "list", "delete": "list", "call": "function", "return": "function"}
MISFITS = [(func, kind) for func in FUNCS for kind in ("var", "list", "function") if kind not in KINDS[func].split()]


@pytest.mark.parametrize("func, kind", MISFITS)
async def test_row_16_func_not_valid_for_the_type(anonymous, func, kind):
    peer = await anonymous()
    await one_error(peer, message(func, kind, VAR, value=1, id="x"), 1, type=kind)
    await one_error(peer, message(func, kind), 1, type=kind)
    await one_error(peer, f'{{"func":"{func}","type":"{kind}","name":5}}', 1, type=kind, name=None)


# --- rows 17 to 19: name ---

EVERY_FUNC = [(func, kind) for func in FUNCS for kind in KINDS[func].split()]


@pytest.mark.parametrize("func, kind", EVERY_FUNC)
async def test_row_17_name_absent(anonymous, func, kind):
    await one_error(await anonymous(), message(func, kind), 5, type=kind, name=None)


@pytest.mark.parametrize("name", ["1", "null", "[]", "{}", "true"])
async def test_row_18_name_not_a_string(anonymous, name):
    await one_error(await anonymous(), f'{{"func":"get","type":"var","name":{name}}}', 6, type="var", name=None)


BAD_NAMES = {
    "empty": "", "513 bytes": "n" * 513, "513 bytes of UTF-8": "é" * 256 + "n", "NUL": "v\x00", "only NUL": "\x00",
    "control": "v\x1f", "newline": "v\n", "delete": "v\x7f", "opening brace": "{v", "closing brace": "v}", "both": "{v}",
}


@pytest.mark.parametrize("func, kind", EVERY_FUNC)
async def test_row_19_name_malformed(anonymous, func, kind):
    peer = await anonymous()
    for title, name in BAD_NAMES.items():
        frame = await one_error(peer, message(func, kind, name), 3, type=kind)
        assert len(name.encode()) <= 512 or "name" not in frame, f"{title}: a name that is too long is not echoed"


@pytest.mark.parametrize("name", [LONGEST, "é" * 256], ids=["ASCII", "UTF-8"])
async def test_row_19_a_name_of_512_bytes_is_good(anonymous, name):
    peer = await anonymous()
    assert len(name.encode()) == 512
    await peer.subscribed("var", name)
    await one_error(peer, message("subscribe", "list", name), 3, type="list", name=name)


@pytest.mark.parametrize("func, kind", EVERY_FUNC)
async def test_row_19_name_not_registered(anonymous, func, kind):
    peer = await anonymous()
    fields = {"id": "x", "value": 1, "page": 0, "total_item_count": 0, "items": [], "index": 0}
    await one_error(peer, message(func, kind, "nowhere", **fields), 3, type=kind, name="nowhere")
    # … and before any field is looked at
    await one_error(peer, message(func, kind, "nowhere"), 3, type=kind, name="nowhere")


@pytest.mark.parametrize("func, kind", EVERY_FUNC)
async def test_row_19_name_hidden_from_this_user(anonymous, func, kind):
    peer = await anonymous(token="guest")
    name = {"var": VAR, "list": LIST, "function": "job0"}[kind]
    fields = {"id": "a", "value": 1, "page": 0, "total_item_count": 0, "items": [], "index": 0}
    frame = await one_error(peer, message(func, kind, name, **fields), 3, type=kind, name=name)
    unknown = await one_error(peer, message(func, kind, "nowhere", **fields), 3, type=kind, name="nowhere")
    assert frame.get("message") == unknown.get("message"), "the message tells a hidden name from an unknown one"


async def test_row_19_names_are_scoped_by_type(anonymous):
    peer = await anonymous()
    await one_error(peer, message("subscribe", "list", VAR), 3, type="list", name=VAR)
    await one_error(peer, message("subscribe", "var", LIST), 3, type="var", name=LIST)
    await one_error(peer, message("call", "function", VAR, id="1"), 3, type="function", name=VAR, id="1")


async def test_row_19_a_declared_name_is_known(anonymous):
    peer = await anonymous()
    await peer.subscribe("var", "declared:var:1")
    await peer.expect('{"func":"set","type":"var","name":"declared:var:1","value":null}')
    await peer.subscribe("list", "declared:list:1")
    await peer.expect('{"func":"set_all","type":"list","name":"declared:list:1","page":0,"total_item_count":0,"items":[]}')
    await one_error(peer, message("subscribe", "var", "declared:list:1"), 3, type="var", name="declared:list:1")


# --- row 20: the subscription rule ---


@pytest.mark.parametrize("text, kind, name", [
    (message("get", "var", VAR), "var", VAR),
    (message("get", "list", LIST), "list", LIST),
    (message("get", "list", LIST, page="1"), "list", LIST),
    (message("get", "list", LIST, id="a"), "list", LIST),
    (message("get", "list", LIST, id="nowhere"), "list", LIST),
    (message("unsubscribe", "var", VAR), "var", VAR),
    (message("unsubscribe", "list", LIST), "list", LIST),
    (message("unsubscribe", "list", LIST, id="a"), "list", LIST),
    (message("set", "var", VAR, value=2), "var", VAR),
    (message("set", "var", VAR), "var", VAR),
    (message("set", "list", LIST, id="a", value=2), "list", LIST),
    (message("set", "list", LIST), "list", LIST),
    (message("set_all", "list", LIST, page=0, total_item_count=0, items=[]), "list", LIST),
    (message("set_all", "list", LIST), "list", LIST),
    (message("insert", "list", LIST, index=0, id="z", value=1), "list", LIST),
    (message("insert", "list", LIST, index="x"), "list", LIST),
    (message("delete", "list", LIST, id="a"), "list", LIST),
    (message("set_count", "list", LIST, total_item_count=9), "list", LIST),
], ids=lambda x: x if x.startswith("{") else "")
async def test_row_20_not_subscribed(anonymous, text, kind, name):
    await one_error(await anonymous(), text, 1, type=kind, name=name)


@pytest.mark.parametrize("text, kind, name", [
    (message("set", "var", VAR, value=2), "var", VAR),
    (message("set", "list", LIST, id="a", value=2), "list", LIST),
    (message("set_all", "list", LIST, page=0, total_item_count=0, items=[]), "list", LIST),
    (message("insert", "list", LIST, index=0, id="z", value=1), "list", LIST),
    (message("delete", "list", LIST, id="a"), "list", LIST),
    (message("set_count", "list", LIST, total_item_count=9), "list", LIST),
], ids=lambda x: x if x.startswith("{") else "")
async def test_row_20_a_subscription_is_no_write_grant(anonymous, text, kind, name):
    peer = await subscribed(await anonymous())
    await one_error(peer, text, 1, type=kind, name=name)
    await peer.get(kind, name)
    frame = await peer.recv()
    if kind == "var":
        assert frame.raw["value"] == "1"
    else:
        assert [item["value"] for item in frame["items"]] == ["a", "b", "c"]


async def test_row_20_set_count_is_nobodys_to_write(anonymous):
    peer = await subscribed(await anonymous(token="writer"))
    await one_error(peer, message("set_count", "list", WLIST, total_item_count=9), 1, type="list", name=WLIST)
    await one_error(peer, message("set_count", "list", WLIST), 1, type="list", name=WLIST)


async def test_row_20_unsubscribe_twice(anonymous):
    peer = await anonymous()
    for kind, name in (("var", VAR), ("list", LIST)):
        await peer.subscribed(kind, name)
        await peer.unsubscribe(kind, name)
        await one_error(peer, message("unsubscribe", kind, name), 1, type=kind, name=name)
        await one_error(peer, message("get", kind, name), 1, type=kind, name=name)


async def test_row_20_unsubscribe_after_unsubscribe_all(anonymous):
    peer = await subscribed(await anonymous())
    await peer.send(func="unsubscribe_all")
    await peer.send(func="unsubscribe_all")
    for kind, name in (("var", VAR), ("list", LIST)):
        await one_error(peer, message("unsubscribe", kind, name), 1, type=kind, name=name)


async def test_row_20_get_with_an_item_subscription_only(anonymous):
    peer = await anonymous()
    await peer.subscribe("list", LIST, id="a")
    await peer.recv()
    await one_error(peer, message("get", "list", LIST), 1, type="list", name=LIST)
    await one_error(peer, message("get", "list", LIST, id="b"), 1, type="list", name=LIST)
    await one_error(peer, message("unsubscribe", "list", LIST), 1, type="list", name=LIST)
    await one_error(peer, message("unsubscribe", "list", LIST, id="b"), 1, type="list", name=LIST)
    await peer.get("list", LIST, id="a")
    await peer.expect('{"func":"set","type":"list","name":"l","id":"a","value":"a"}')


# --- rows 21 to 23: fields ---

WHOLE = {
    "set var": {"func": "set", "type": "var", "name": WVAR, "value": 1},
    "set list": {"func": "set", "type": "list", "name": WLIST, "id": "a", "value": 1},
    "set_all": {"func": "set_all", "type": "list", "name": WLIST, "page": 0, "total_item_count": 0, "items": []},
    "insert": {"func": "insert", "type": "list", "name": WLIST, "index": 0, "id": "z", "value": 1},
    "delete": {"func": "delete", "type": "list", "name": WLIST, "id": "a"},
    "call": {"func": "call", "type": "function", "name": "job21", "id": "1", "args": {}},
    "return": {"func": "return", "type": "function", "name": "job21", "id": "1", "value": 1},
}
REQUIRED = [(title, field) for title, fields in WHOLE.items() for field in fields
            if field not in ("func", "type", "name", "args") and (title, field) != ("return", "value")]


@pytest.fixture
def granted(gateway, peers):
    """A peer that may write w…, is subscribed to everything and serves job21."""
    async def connect():
        peer = await subscribed(await peers(gateway, tolerant=True, quiet=True, token="writer"))
        await peer.serve("job21")
        return peer
    return connect


async def unchanged(peer):
    """WVAR and WLIST are what they were."""
    await peer.get("var", WVAR)
    assert (await peer.recv()).raw["value"] == "1"
    await peer.get("list", WLIST)
    assert [item["value"] for item in (await peer.recv())["items"]] == ["a", "b", "c"]


@pytest.mark.parametrize("title, field", REQUIRED)
async def test_row_21_required_field_absent(granted, title, field):
    peer = await granted()
    fields = {key: value for key, value in WHOLE[title].items() if key != field}
    await one_error(peer, dumps(**fields), 5, type=fields["type"], name=fields["name"])
    await unchanged(peer)


@pytest.mark.parametrize("title, field", [(t, f) for t, f in REQUIRED if f != "value"])
async def test_row_21_null_in_a_required_field_is_present_and_wrong(granted, title, field):
    peer = await granted()
    await one_error(peer, dumps(**{**WHOLE[title], field: None}), 6, type=WHOLE[title]["type"], name=WHOLE[title]["name"])
    await unchanged(peer)


async def test_row_21_a_null_value_is_present(gateway, peers, db):
    await db.fcall("sg_var_set", "wnull", "1")
    await db.fcall("sg_list_insert", "wnull", 0, "a", "1")
    peer = await peers(gateway, token="writer")
    await peer.subscribed("var", "wnull")
    await peer.subscribed("list", "wnull")
    await peer.send(func="set", type="var", name="wnull", value=None)
    await peer.expect('{"func":"set","type":"var","name":"wnull","value":null}')
    await peer.send(func="set", type="list", name="wnull", id="a", value=None)
    await peer.expect('{"func":"set","type":"list","name":"wnull","id":"a","value":null}')
    await peer.send(func="insert", type="list", name="wnull", index=1, id="b", value=None)
    await peer.expect('{"func":"insert","type":"list","name":"wnull","index":1,"id":"b","value":null}')


NOT_INTEGERS = ['"1"', "1.5", "true", "[]", "{}", "1e400", "-1e400", "0.1", "1e-1", '""']
NOT_IDS = ["{}", "[]", "true", "1.5", '["a"]', "1e400"]
WRONG = (
    [("get", "page", text) for text in NOT_INTEGERS] + [("get", "page_size", text) for text in NOT_INTEGERS]
    + [("get", "id", text) for text in NOT_IDS] + [("subscribe", "id", text) for text in NOT_IDS]
    + [("unsubscribe", "id", text) for text in NOT_IDS]
    + [("set list", "id", text) for text in NOT_IDS] + [("insert", "id", text) for text in NOT_IDS]
    + [("delete", "id", text) for text in NOT_IDS] + [("insert", "index", text) for text in NOT_INTEGERS]
    + [("set_all", "page", text) for text in NOT_INTEGERS] + [("set_all", "total_item_count", text) for text in NOT_INTEGERS]
    + [("set_all", "items", text) for text in ("{}", '"x"', "1", "true")]
    + [("call", "id", text) for text in NOT_IDS] + [("return", "id", text) for text in NOT_IDS]
    + [("call", "args", text) for text in ("[]", '"x"', "1", "true", "false")]
)
ASKING = {"get": {"func": "get", "type": "list", "name": WLIST}, "subscribe": {"func": "subscribe", "type": "list", "name": WLIST},
          "unsubscribe": {"func": "unsubscribe", "type": "list", "name": WLIST}}


@pytest.mark.parametrize("title, field, text", WRONG)
async def test_row_22_field_of_wrong_type(granted, title, field, text):
    peer = await granted()
    fields = {**WHOLE, **ASKING}[title]
    texts = {key: json.dumps(value) for key, value in fields.items()}
    await one_error(peer, raw_dumps(**{**texts, field: text}), 6, type=fields["type"], name=fields["name"])
    await unchanged(peer)


async def test_row_22_integral_reals_are_integers(anonymous):
    peer = await subscribed(await anonymous())
    await peer.say('{"func":"get","type":"list","name":"l","page":1.0,"page_size":2.0}')
    await peer.expect('{"func":"set_all","type":"list","name":"l","page":1,"total_item_count":3,"items":[{"id":"c","value":"c"}]}')
    await peer.say('{"func":"get","type":"list","name":"l","page":0.0,"page_size":1.00}')
    await peer.expect('{"func":"set_all","type":"list","name":"l","page":0,"total_item_count":3,"items":[{"id":"a","value":"a"}]}')


ALL_OF_L = ('{"func":"set_all","type":"list","name":"l","page":0,"total_item_count":3,'
            '"items":[{"id":"a","value":"a"},{"id":"b","value":"b"},{"id":"c","value":"c"}]}')


async def test_row_23_null_in_an_optional_field_is_absent(anonymous):
    peer = await subscribed(await anonymous())
    for field in ("page", "page_size", "id"):
        await peer.say(f'{{"func":"get","type":"list","name":"l","{field}":null}}')
        await peer.expect(ALL_OF_L)
    await peer.say('{"func":"subscribe","type":"list","name":"l","id":null}')
    await peer.expect(ALL_OF_L)
    await peer.say('{"func":"unsubscribe","type":"list","name":"l","id":null}')
    await one_error(peer, message("get", "list", LIST), 1, type="list", name=LIST)


async def test_row_23_unknown_fields_are_ignored(anonymous):
    peer = await subscribed(await anonymous())
    await peer.say('{"future":{"id":[]},"func":"get","items":5,"type":"list","index":"x","name":"l","args":[]}')
    await peer.expect(ALL_OF_L)


# --- rows 24 to 27: pages ---


@pytest.mark.parametrize("page, effective", [
    ("-1", 0), ("-2147483649", 0), ("-9223372036854775809", 0), ("-" + "9" * 100, 0), ("-1e3", 0),
    ("1", 1), ("2", 1), ("9", 1), ("2147483648", 1), ("9223372036854775808", 1), ("9" * 100, 1), ("1e30", 1),
])
async def test_rows_24_25_pages_clamp(anonymous, page, effective):
    peer = await subscribed(await anonymous())
    await peer.say(f'{{"func":"get","type":"list","name":"l","page":{page},"page_size":2}}')
    frame = await peer.recv()
    assert frame["func"] == "set_all" and frame["page"] == effective, f"page {page}: {frame!r}"
    assert [item["id"] for item in frame["items"]] == (["a", "b"], ["c"])[effective]


async def test_row_25_an_empty_list_has_page_0(anonymous):
    peer = await subscribed(await anonymous())
    await peer.get("list", EMPTY, page=5)
    await peer.expect('{"func":"set_all","type":"list","name":"empty","page":0,"total_item_count":0,"items":[]}')


@pytest.mark.parametrize("size", ["101", "4294967296", "9" * 60, "1e12"])
async def test_row_26_page_size_clamps_to_the_maximum(anonymous, size, db, name):
    many = [{"id": i, "value": i} for i in range(150)]
    await db.fcall("sg_list_set_all", name, json.dumps(many))
    peer = await anonymous()
    assert len((await peer.subscribed("list", name))["items"]) == 100
    await peer.say(f'{{"func":"get","type":"list","name":"{name}","page":1,"page_size":{size}}}')
    frame = await peer.recv()
    assert frame["page"] == 1 and [item["id"] for item in frame["items"]] == list(range(100, 150))


@pytest.mark.parametrize("size", ["0", "-1", "-0", "0.0", "-" + "9" * 60])
async def test_row_27_page_size_not_positive(anonymous, size):
    peer = await subscribed(await anonymous())
    await one_error(peer, f'{{"func":"get","type":"list","name":"l","page_size":{size}}}', 6, type="list", name=LIST)


# --- rows 28 to 31: items ---


@pytest.mark.parametrize("fields", [
    {"func": "get"}, {"func": "subscribe"}, {"func": "set", "value": 1}, {"func": "delete"},
], ids=lambda f: f["func"])
async def test_row_28_id_not_in_list(granted, fields):
    peer = await granted()
    for item_id in ("nowhere", 1, "1", "A"):
        await one_error(peer, dumps(type="list", name=WLIST, id=item_id, **fields), 4, type="list", name=WLIST, id=item_id)
    await unchanged(peer)


async def test_row_28_a_failed_item_subscription_registers_nothing(granted, db):
    await db.fcall("sg_list_insert", "w28", 0, "a", "1")
    peer = await granted()
    await one_error(peer, message("subscribe", "list", "w28", id="b"), 4, type="list", name="w28", id="b")
    await one_error(peer, message("unsubscribe", "list", "w28", id="b"), 1, type="list", name="w28")
    await db.fcall("sg_list_insert", "w28", 0, "b", "1")
    await db.fcall("sg_list_set", "w28", "b", "2")
    await peer.subscribe("list", "w28", id="b")
    await peer.expect('{"func":"set","type":"list","name":"w28","id":"b","value":2}')


@pytest.mark.parametrize("fields", [
    {"func": "get"}, {"func": "subscribe"}, {"func": "set", "value": 1}, {"func": "delete"},
    {"func": "insert", "index": 0, "value": 1},
], ids=lambda f: f["func"])
@pytest.mark.parametrize("item_id", ["", "i" * 257, "é" * 129], ids=["empty", "257 bytes", "258 bytes"])
async def test_row_28_id_empty_or_too_long(granted, fields, item_id):
    peer = await granted()
    await one_error(peer, dumps(type="list", name=WLIST, id=item_id, **fields), 4, type="list", name=WLIST)
    await unchanged(peer)


async def test_row_28_an_id_of_256_bytes_is_good(granted, db):
    await db.fcall("sg_list_insert", "w256", 0, "a", "1")
    peer = await granted()
    await peer.subscribed("list", "w256")
    for item_id in ("i" * 256, "é" * 128):
        await peer.send(func="insert", type="list", name="w256", index=0, id=item_id, value=1)
        assert (await peer.recv())["id"] == item_id


@pytest.mark.parametrize("item_id", ["a", "c"])
async def test_row_29_insert_of_an_id_that_is_there(granted, item_id):
    peer = await granted()
    await one_error(peer, message("insert", "list", WLIST, index=1, id=item_id, value=9), 4, type="list", name=WLIST, id=item_id)
    await unchanged(peer)


@pytest.mark.parametrize("ids", [["x", "y", "x"], [1, 1], ["\u0041", "A"]], ids=str)
async def test_row_29_set_all_with_equal_ids(granted, ids):
    peer = await granted()
    items = [{"id": item_id, "value": 0} for item_id in ids]
    await one_error(peer, message("set_all", "list", WLIST, page=0, total_item_count=len(ids), items=items), 4,
                    type="list", name=WLIST)
    await unchanged(peer)


async def test_row_29_escaped_ids_are_equal(granted):
    peer = await granted()
    await one_error(peer, '{"func":"insert","type":"list","name":"wl","index":0,"id":"\\u0061","value":1}', 4,
                    type="list", name=WLIST, id="a")
    await one_error(peer, '{"func":"set_all","type":"list","name":"wl","page":0,"total_item_count":2,'
                          '"items":[{"id":"\\u0078","value":1},{"value":2,"id":"x"}]}', 4, type="list", name=WLIST)
    await unchanged(peer)


@pytest.mark.parametrize("index", ["-2", "4", "9223372036854775807", "-9223372036854775808", "9" * 40])
async def test_row_30_insert_index_out_of_range(granted, index):
    peer = await granted()
    await one_error(peer, f'{{"func":"insert","type":"list","name":"wl","index":{index},"id":"z","value":1}}', 6,
                    type="list", name=WLIST)
    await unchanged(peer)


@pytest.mark.parametrize("item", ["{}", '{"id":"x"}', '{"value":1}', '{"ID":"x","value":1}'])
async def test_row_31_set_all_item_without_a_field(granted, item):
    peer = await granted()
    await one_error(peer, f'{{"func":"set_all","type":"list","name":"wl","page":0,"total_item_count":2,'
                          f'"items":[{{"id":"y","value":1}},{item}]}}', 5, type="list", name=WLIST)
    await unchanged(peer)


@pytest.mark.parametrize("item", ["1", "[]", "null", '"x"', '{"id":{},"value":1}', '{"id":1.5,"value":1}', '{"id":null,"value":1}'])
async def test_row_31_set_all_item_of_wrong_type(granted, item):
    peer = await granted()
    await one_error(peer, f'{{"func":"set_all","type":"list","name":"wl","page":0,"total_item_count":1,"items":[{item}]}}', 6,
                    type="list", name=WLIST)
    await unchanged(peer)


@pytest.mark.parametrize("page, total", [(1, 1), (0, 0), (0, 2)])
async def test_row_31_set_all_replaces_the_whole_list_or_is_refused(granted, page, total):
    peer = await granted()
    await one_error(peer, message("set_all", "list", WLIST, page=page, total_item_count=total, items=[{"id": "x", "value": 1}]), 6,
                    type="list", name=WLIST)
    await unchanged(peer)


# --- rows 32 and 33: ids of calls (34 and 35 are in test_functions.py) ---


@pytest.mark.parametrize("call_id", ["never", 7, "7"], ids=repr)
async def test_row_32_return_of_an_unknown_id(granted, call_id):
    peer = await granted()
    await one_error(peer, message("return", "function", "job21", id=call_id, value=1), 4, type="function", name="job21", id=call_id)


async def test_row_32_return_for_a_function_that_is_not_served(granted, gateway, peers):
    await granted()
    peer = await peers(gateway, tolerant=True, quiet=True, token="writer")
    await peer.offered("job21")
    peer.take()
    await one_error(peer, message("return", "function", "job21", id="x", value=1), 3, type="function", name="job21")


@pytest.mark.parametrize("call_id", ["", "i" * 129, "é" * 65], ids=["empty", "129 bytes", "130 bytes"])
async def test_row_33_call_id_empty_or_too_long(granted, call_id):
    peer = await granted()
    await one_error(peer, message("call", "function", "job21", id=call_id), 4, type="function", name="job21")


# --- order: messages with two faults; the first row wins ---

TWO_FAULTS = [
    ("5 before 8", '{"x":NaN}', 7),
    ("6 before 8", "[]", 7),
    ("8 before 15", '{"type":"tree"}', 5),
    ("9 before 13", '{"func":5}', 6),
    ("10 before 15", '{"func":"jump","type":"tree"}', 1),
    ("10 before 13", '{"func":"jump"}', 1),
    ("13 before 18", '{"func":"get","name":5}', 5),
    ("14 before 17", '{"func":"get","type":5}', 6),
    ("15 before 17", '{"func":"get","type":"tree"}', 2),
    ("15 before 18", '{"func":"get","type":"tree","name":5}', 2),
    ("16 before 17", '{"func":"insert","type":"var"}', 1),
    ("16 before 18", '{"func":"get","type":"function","name":5}', 1),
    ("16 before 19", '{"func":"call","type":"list","name":"nowhere"}', 1),
    ("17 before 21", '{"func":"insert","type":"list"}', 5),
    ("18 before 21", '{"func":"insert","type":"list","name":5}', 6),
    ("18 before 22", '{"func":"get","type":"list","name":5,"page":"x"}', 6),
    ("19 before 20", '{"func":"get","type":"list","name":"nowhere"}', 3),
    ("19 before 21", '{"func":"insert","type":"list","name":"nowhere"}', 3),
    ("19 before 22", '{"func":"get","type":"list","name":"nowhere","page":"x"}', 3),
    ("20 before 21", '{"func":"insert","type":"list","name":"l"}', 1),
    ("20 before 22", '{"func":"insert","type":"list","name":"l","index":"x","id":{},"value":1}', 1),
    ("20 before 27", '{"func":"get","type":"list","name":"other","page_size":0}', 1),
    ("20 before 28", '{"func":"delete","type":"list","name":"l","id":"nowhere"}', 1),
    ("21 before 22", '{"func":"insert","type":"list","name":"wl","index":"x","value":1}', 5),
    ("21 before 22, set_all", '{"func":"set_all","type":"list","name":"wl","page":"x","items":[]}', 5),
    ("21 before 28", '{"func":"set","type":"list","name":"wl","id":"nowhere"}', 5),
    ("21 before 30", '{"func":"insert","type":"list","name":"wl","index":-2,"id":"z"}', 5),
    ("22 before 28", '{"func":"get","type":"list","name":"wl","page":{},"id":"nowhere"}', 6),
    ("22 before 29", '{"func":"insert","type":"list","name":"wl","index":"0","id":"a","value":1}', 6),
    ("22 before 31", '{"func":"set_all","type":"list","name":"wl","page":{},"total_item_count":1,"items":[{}]}', 6),
    ("29 before 30", '{"func":"insert","type":"list","name":"wl","index":99,"id":"a","value":1}', 4),
]


@pytest.mark.parametrize("text, code", [row[1:] for row in TWO_FAULTS], ids=[row[0] for row in TWO_FAULTS])
async def test_order_of_checks(granted, text, code):
    peer = await granted()
    await one_error(peer, text, code)
    await unchanged(peer)


async def test_order_a_call_of_an_unknown_function_answers_3_before_anything_else(anonymous):
    peer = await anonymous()
    for rest in ({}, {"id": {}}, {"id": ""}, {"args": []}, {"id": "1", "args": 5}):
        await one_error(peer, message("call", "function", "nowhere", **rest), 3, type="function", name="nowhere")


async def test_errors_carry_the_id_of_a_call(anonymous):
    peer = await anonymous()
    for call_id in ("7f1e", 5, -3, "5", "ä\\\"\u2028"):
        await one_error(peer, message("call", "function", "nowhere", id=call_id), 3, type="function", name="nowhere", id=call_id)


# --- limits of a connection ---


async def test_each_of_100_errors_is_answered_and_the_next_closes_1008(gateway, peers):
    peer = await peers(gateway, tolerant=True, quiet=True)
    for _ in range(101):
        await peer.send_text("{{")
    assert await peer.closed() == 1008
    assert [frame["error_code"] for frame in peer.frames] == [7] * 100


async def test_errors_per_minute_is_an_option(gateways, peers):
    peer = await peers(gateways.start("--errors-per-minute", "3"), tolerant=True, quiet=True)
    for _ in range(4):
        await peer.send_text('{"func":"jump"}')
    assert await peer.closed() == 1008
    assert [frame["error_code"] for frame in peer.frames] == [1] * 3


async def test_errors_of_one_connection_do_not_count_for_another(gateways, peers):
    gateway = gateways.start("--errors-per-minute", "2")
    for _ in range(3):
        peer = await peers(gateway, tolerant=True, quiet=True)
        for _ in range(2):
            await peer.send_text('{"func":"jump"}')
            await peer.expect_error(1)


async def test_errors_are_counted_in_the_metrics(gateways, peers):
    gateway = gateways.start()
    peer = await peers(gateway, tolerant=True, quiet=True)
    for text in ('{"func":"jump"}', '{"func":"get","type":"tree"}', '{"func":"get","type":"var","name":"nowhere"}',
                 '{"func":"get","type":"var"}', '{"func":5}', "{{", "[]"):
        await peer.send_text(text)
        await peer.recv()
    metrics = gateway.metrics()
    counted = [metrics[f'syncgate_errors_total{{code="{code}"}}'] for code in range(1, 9)]
    assert counted == [1, 1, 1, 0, 1, 1, 2, 0]
    assert metrics["syncgate_messages_received_total"] == 7


@pytest.mark.parametrize("data", [
    RawPeer.encode(RawPeer.TEXT, b"x", rsv=4), RawPeer.encode(3, b"x"), RawPeer.encode(11, b"x"), RawPeer.encode(0, b"x"),
    RawPeer.encode(RawPeer.PING, b"x", fin=False), RawPeer.encode(RawPeer.PING, b"x" * 126),
    RawPeer.encode(RawPeer.TEXT, b"x", fin=False) + RawPeer.encode(RawPeer.TEXT, b"y"),
], ids=["rsv", "opcode 3", "opcode 11", "continuation of nothing", "fragmented ping", "long ping", "new message in a message"])
async def test_broken_framing_ends_this_connection_only(gateway, peers, data):
    other = await peers(gateway)
    await other.subscribed("var", VAR)
    peer = await peers.bare(gateway.address)
    await peer.write(data)
    assert await peer.close_code() in (1002, 1006)
    await other.get("var", VAR)
    await other.expect('{"func":"set","type":"var","name":"v","value":1}')


async def test_pings_are_answered_between_fragments(gateway, peers):
    peer = await peers.bare(gateway.address)
    await peer.send_frame(RawPeer.TEXT, b'{"func":', fin=False)
    await peer.send_frame(RawPeer.PING, b"are you there")
    assert await peer.recv_frame() == (RawPeer.PONG, b"are you there")
    await peer.send_frame(0, b'"jump"}')
    assert json.loads(await peer.recv_text())["error_code"] == 1


async def test_a_close_is_answered(gateway, peers):
    peer = await peers.bare(gateway.address)
    await peer.send_frame(RawPeer.CLOSE, (1000).to_bytes(2, "big") + b"done")
    assert await peer.close_code() == 1000


async def test_byte_by_byte(gateway, peers):
    """A message whose bytes come one at a time is the same message."""
    peer = await peers.bare(gateway.address)
    for byte in RawPeer.encode(RawPeer.TEXT, message("subscribe", "var", VAR).encode()):
        await peer.write(bytes([byte]))
    assert await peer.recv_text() == '{"func":"set","type":"var","name":"v","value":1}'
