"""The Redis function library against a real Redis: answers, refusals, events byte for byte, and lists against a model."""

import bisect
import itertools
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

import pytest
import redis

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import PATIENCE_S  # noqa: E402
from redis_server import LIBRARY, REPOSITORY, RedisServer  # noqa: E402

KEY_MAX = 32
DAY_S = 86400
CALLS = "sg:@{calls}"
BAD_NAMES = ["", "x" * 513, "a\nb", "\x7f", "a\0", b"\xff", b"\xed\xa0\x80", "a{b", "a}", "{}", "sg:{}", "sg:{a}b",
             "sg:{a}{b}", "sg:{" + "x" * 513 + "}", "{{a}}"]
GOOD_NAMES = ["a", "x" * 512, "ü" * 256, "with space", "a:b", "\U0001f600", "\x80".encode()]

BAD_VALUES = ["", " ", "1.", "-.5", ".5", "+1", "01", "-01", "-", "1e", "1e+", "0x1", "NaN", "-NaN", "Infinity", "-Infinity",
              "nan", "inf", "nul", "nulll", "True", "'a'", '"', '"a', 'a"', '"\\x"', '"\\u12"', '"\\ud800"', '"\\ud800\\u0041"',
              '"\\udc00"', '"a\tb"', '"a\nb"', "\"a\0b\"", "1\0", "[1]\0", "[1]x", "[1] 2", "1 2", "[1,]", "[,1]", "[", "]", "[1 2]",
              "{", "{}}", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "{1:1}", "{'a':1}", '{"a" 1}', '{"a":1 "b":2}', "[1.]", "[-.5]",
              "[1.e5]", "[01]", "[0x1]", "[NaN]", "[Infinity]", "[-Infinity]", '["a\tb"]', '{"a\nb":1}', '["a\x01"]', "\ufeff1",
              "\x0b1", "\x0c[1]", "[\u00a01]", b'"\xff"', b'"\xc0\x80"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"',
              b'"\xf4\x90\x80\x80"', b'"\xe0\x80\x80"', b'"\xf0\x80\x80\x80"', b'["\x80"]', "[" * 61 + "]" * 61, '["1.",1.]', "/**/1", "[1]//",
              "[" + "1.5," * 20 + "1.]", "[" + "1.5," * 20 + "-.5]", '["' + "a. b" * 20 + '",2.]']
GOOD_VALUES = ["0", "-0", "1", "-1.5e+10", "1E5", "1e400", "123456789012345678901234567890", "0.1", " 1 ", "\t[1]\r\n", "true",
               "false", "null", '""', '"a"', '"\\""', '"\\u0000"', '"\\ud83d\\ude00"', '"\x7f"', '"ü€\U0001f600"', '"1. 2. -.5"',
               '["Version 1. Next -.", 1.5]', "[]", "{}", "[[],{}]", '{"a":{"b":[1,2.5,"x"]},"a":1}', "[" * 60 + "]" * 60,
               '{"":0}', '[\n  "a",\n\t1\n]', '"' + "ж" * 100 + '"', '"' + "漢字" * 50 + '"', '"' + "1.5 " * 40 + '"',
               "[" + ",".join(["1.5"] * 40) + "]", b'"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80"']


@pytest.fixture(scope="module")
def server():
    with RedisServer() as started:
        started.load_library()
        yield started


@pytest.fixture
def sg(server):
    with server.client() as client:
        client.flushall()
        yield Library(client)


class Library:
    """Calls functions, and knows what a refusal must leave alone."""

    def __init__(self, client):
        self.client = client

    def __call__(self, function, key, *args):
        return self.client.fcall(function, 1, key, *args)

    def contents(self):
        return {key: self.client.dump(key) for key in self.keys()}

    def keys(self):
        """All keys but the note of which database this is."""
        return set(self.client.keys("*")) - {b"sg:@{db}"}

    def refuses(self, word, function, key, *args):
        """The call answers `word ...` and changes nothing."""
        before = self.contents()
        with pytest.raises(redis.exceptions.ResponseError, match=f"^{word} [a-z0-9]") as refusal:
            self(function, key, *args)
        assert "user_function" not in str(refusal.value)
        assert self.contents() == before

    def pipeline(self, calls):
        """Answers of many calls (function, key, args...) in one go; errors are returned."""
        pipe = self.client.pipeline(transaction=False)
        for function, key, *args in calls:
            pipe.fcall(function, 1, key, *args)
        return pipe.execute(raise_on_error=False)

    def items(self, name):
        """[(id, value), ...] of the whole list, read page by page."""
        found, page = [], 0
        while True:
            answer = self("sg_list_page", name, page, 1000)
            found += list(zip(answer[4::2], answer[5::2]))
            page += 1
            if page * 1000 >= answer[1]:
                return found


class Channel:
    """A sharded channel, subscribed on a socket of its own."""

    def __init__(self, server, name):
        self.client = server.client()
        self.name = name.encode()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(server.socket_path)
        self.input = self.socket.makefile("rb")
        self.socket.sendall(b"*2\r\n$10\r\nSSUBSCRIBE\r\n$%d\r\n%s\r\n" % (len(self.name), self.name))
        assert self._read() == [b"ssubscribe", self.name, 1]

    def _read(self):
        line = self.input.readline()
        kind, number = line[:1], int(line[1:-2])
        if kind == b":":
            return number
        if kind == b"$":
            return self.input.read(number + 2)[:-2]
        assert kind == b"*", line
        return [self._read() for _ in range(number)]

    def next(self):
        kind, name, payload = self._read()
        assert (kind, name) == (b"smessage", self.name)
        return payload

    def take(self):
        """Everything published so far: all that came before a mark of our own."""
        self.client.execute_command("SPUBLISH", self.name, "mark")
        payloads = []
        while (payload := self.next()) != b"mark":
            payloads.append(payload)
        return payloads

    def close(self):
        self.input.close()
        self.socket.close()
        self.client.close()


@pytest.fixture
def listen(server):
    channels = []

    def subscribe(name):
        channels.append(Channel(server, name))
        return channels[-1]

    yield subscribe
    for channel in channels:
        channel.close()


# --- the library -------------------------------------------------------------------------------------


def test_an_edit_needs_a_new_version(tmp_path):
    """Or gateways would go on with the library that Redis has."""
    folder = tmp_path / "functions"
    shutil.copytree(os.path.join(REPOSITORY, "redis", "functions"), folder)

    def join(*arguments):
        return subprocess.run([folder / "join", *arguments], text=True, capture_output=True, check=False)

    def edit(part, old, new):
        text = (folder / part).read_text(encoding="utf-8")
        assert old in text
        (folder / part).write_text(text.replace(old, new, 1), encoding="utf-8")

    assert join().stdout == LIBRARY
    edit("lists.lua", "\n-- ", "\n-- Indeed: ")
    assert join().returncode == 0, "a comment does nothing"
    edit("lists.lua", "'no such item'", "'no such thing'")
    refused = join()
    assert refused.returncode == 1 and not refused.stdout and "raise VERSION in common.lua" in refused.stderr
    assert join("--stamp").returncode == 1, "not under the old number"
    version = re.search(r"^local VERSION = (\d+)$", LIBRARY, re.M)[1]
    edit("common.lua", f"VERSION = {version}", f"VERSION = {int(version) + 1}")
    assert join().returncode == 1
    assert join("--stamp").returncode == 0 and "no such thing" in join().stdout


def test_version_and_flags(sg):
    assert sg.client.execute_command("FCALL_RO", "sg_version", 0) == 5
    (library,) = sg.client.execute_command("FUNCTION", "LIST", "LIBRARYNAME", "syncgate")
    library = dict(zip(library[::2], library[1::2]))
    flags = {}
    for function in library[b"functions"]:
        row = dict(zip(function[::2], function[1::2]))
        flags[row[b"name"].decode()] = {flag.decode() for flag in row[b"flags"]}
    reads = {"sg_version", "sg_var_get", "sg_var_read", "sg_list_get", "sg_list_page", "sg_list_read", "sg_state", "sg_fn_list", "sg_fn_held", "sg_fleet_list"}
    frees = {"sg_var_delete", "sg_list_delete", "sg_list_delete_at", "sg_list_drop", "sg_fn_leave", "sg_fn_gone", "sg_fn_beat", "sg_fn_call", "sg_fn_done",
             "sg_fn_back", "sg_fn_again", "sg_fn_cancel", "sg_fn_progress",
             "sg_fleet_beat"}
    writes = {"sg_var_set", "sg_list_insert", "sg_list_put", "sg_list_set", "sg_list_set_at", "sg_list_move", "sg_list_set_all", "sg_fn_serve"}
    assert {name for name, held in flags.items() if held == {"no-writes"}} == reads
    assert {name for name, held in flags.items() if held == {"allow-oom"}} == frees
    assert {name for name, held in flags.items() if not held} == writes


def test_no_memory_left(server, sg):
    """Without memory nothing new is taken, but one can read and delete."""
    sg("sg_var_set", "a", "1")
    sg("sg_list_insert", "l", 0, "x", "1")
    sg.client.config_set("maxmemory", 1)
    try:
        for call in (("sg_var_set", "a", "2"), ("sg_list_insert", "l", 0, "y", "1")):
            with pytest.raises(redis.exceptions.RedisError, match="maxmemory"):
                sg(*call)
        assert sg("sg_var_get", "a") == [1, b"1"]
        assert sg("sg_list_delete", "l", "x") == 2
        assert sg("sg_list_drop", "l") == 1
        assert sg("sg_var_delete", "a") == 1
    finally:
        sg.client.config_set("maxmemory", 0)


@pytest.mark.parametrize("function,args", [
    ("sg_var_set", ["1"]), ("sg_var_get", []), ("sg_var_delete", []), ("sg_var_read", []), ("sg_state", []),
    ("sg_list_insert", ["0", "a", "1"]), ("sg_list_put", ["s", "a", "1"]), ("sg_list_set", ["a", "1"]), ("sg_list_delete", ["a"]),
    ("sg_list_set_at", ["0", "1"]), ("sg_list_delete_at", ["0"]),
    ("sg_list_move", ["a", "0"]), ("sg_list_set_all", ["[]"]), ("sg_list_get", ["a"]), ("sg_list_page", ["0", "1"]),
    ("sg_list_read", ["0", "0"]), ("sg_list_drop", []), ("sg_fn_serve", ["g", "e", "n", "1000"]), ("sg_fn_leave", ["g", "e", "n"]),
    ("sg_fn_gone", ["g"]), ("sg_fn_held", ["g", "0"]), ("sg_fn_back", ["g", "0"]), ("sg_fn_beat", ["g", "1000"]), ("sg_fn_list", []), ("sg_fn_call", ["n", "1", "g", "1", ""]),
    ("sg_fn_done", ["g", "e", "1", "g", "n"]), ("sg_fleet_beat", ["g", "{}", "1000"]), ("sg_fleet_list", ["1000"]),
    ("sg_fn_cancel", ["g", "e", "1", "g", "gone"]), ("sg_fn_progress", ["1", "g", "1"]),
])
def test_name_and_argument_count(sg, function, args):
    for name in BAD_NAMES:
        sg.refuses("SGNAME", function, name, *args)
    takes_more = {"sg_var_set": 1, "sg_var_read": 1, "sg_list_read": 10**6, "sg_fn_beat": 10**6, "sg_list_insert": 1, "sg_list_put": 1,
                  "sg_list_set": 1, "sg_list_delete": 1, "sg_list_move": 1, "sg_fn_serve": 1, "sg_fn_call": 1}.get(function, 0)
    if args:
        sg.refuses("SGARG", function, "a", *args[:-1])
    if takes_more < 2:
        sg.refuses("SGARG", function, "a", *args, *["1"] * (takes_more + 1))
    for keys in ([], ["a", "a"]):
        with pytest.raises(redis.exceptions.ResponseError, match="^SGARG "):
            sg.client.fcall(function, len(keys), *keys, *args)


def test_names_and_prefixes(sg):
    for name in GOOD_NAMES:
        assert sg("sg_var_set", name, "1") == 1, name
    assert sg("sg_var_set", "acme:{a}", "2") == 1
    assert sg("sg_var_set", "{a}", "3") == 1
    assert sg("sg_var_get", "a") == sg("sg_var_get", "sg:{a}") == [1, b"1"]
    assert sg("sg_var_get", "acme:{a}") == [1, b"2"]
    assert sg("sg_var_get", "{a}") == [1, b"3"]
    assert set(sg.client.keys("*{a}*")) == {b"sg:{a}:v", b"acme:{a}:v", b"{a}:v"}


# --- values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", BAD_VALUES)
def test_refused_values(sg, value):
    sg.refuses("SGJSON", "sg_var_set", "a", value)
    raw = value if isinstance(value, bytes) else value.encode()
    if raw.strip():
        sg.refuses("SGJSON", "sg_var_set", "a", b'{"x":[' + raw + b"]}")
    for call in (("sg_list_insert", "l", 0, "i", value), ("sg_list_put", "l", "s", "i", value), ("sg_list_set", "l", "i", value)):
        sg.refuses("SGJSON", *call)


@pytest.mark.parametrize("value", GOOD_VALUES)
def test_accepted_values(sg, value):
    raw = value if isinstance(value, bytes) else value.encode()
    sg("sg_var_set", "a", value)
    assert sg("sg_var_get", "a") == [1, raw]
    sg("sg_list_set_all", "l", b'[{"id":1,"value":' + raw + b"}]")
    assert sg("sg_list_get", "l", 1) == [1, 0, raw.strip(b" \t\r\n")]


def is_json(raw):
    """What JSON is, said by another parser: Python's, without its extras."""

    def no_constant(name):
        raise ValueError(name)

    try:
        value = json.loads(raw.decode(), parse_constant=no_constant, parse_int=str, parse_float=str)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    depth = deepest = 0
    for bracket in re.findall(r"[\[{}\]]", re.sub(r'"(\\.|[^"\\])*"', "", raw.decode())):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest <= 60


def random_json(rng, depth=0):
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return rng.choice(["true", "false", "null"])
    if kind <= 2:
        return rng.choice(["0", "-0", "17", "-3.25", "1e5", "2E-7", "1.5e+3", "900719925474099267"])
    if kind <= 5:
        parts = ["a", "B c. ", "ü", "€", "\U0001f600", "\\n", "\\\\", '\\"', "\\u00e9", "\\ud83d\\ude00", "1.", "-.5", "[", "}", ",", "/"]
        return '"' + "".join(rng.choice(parts) for _ in range(rng.randrange(8))) + '"'
    space = rng.choice(["", "", " ", "\n", "\t"])
    inner = [random_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return "[" + space + ("," + space).join(inner) + space + "]"
    return "{" + ",".join(f'{space}"k{place}"{space}:{space}{value}' for place, value in enumerate(inner)) + space + "}"


def test_values_like_another_parser(sg):
    """Random JSON, whole and damaged: this library and Python's parser agree on every text."""
    rng = random.Random(1)
    texts = []
    for _ in range(4000):
        raw = bytearray(random_json(rng).encode())
        texts.append(bytes(raw))
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(raw))
            damage = rng.randrange(4)
            if damage == 0:
                raw[at:at + 1] = b""
            elif damage == 1:
                raw.insert(at, rng.choice(b'0.-+eE"\\,:[]{}\t\n\0 \x80\xc3\xedNau1'))
            elif damage == 2:
                raw[at] = rng.randrange(256)
            else:
                raw[at:at] = raw[at:at + rng.randrange(6)]
            raw = raw or bytearray(b"0")
        texts.append(bytes(raw))
    answers = sg.pipeline([("sg_var_set", "a", text) for text in texts])
    for text, answer in zip(texts, answers):
        assert isinstance(answer, int) == is_json(text), (text, answer)
    assert 4000 <= sum(isinstance(answer, int) for answer in answers) < 7500


def test_value_size(sg):
    at_limit = '"' + "x" * (8 * 1024 * 1024 - 2) + '"'
    assert sg("sg_var_set", "a", at_limit) == 1
    sg.refuses("SGARG", "sg_var_set", "b", at_limit + " ")
    sg.refuses("SGARG", "sg_list_insert", "l", 0, "i", at_limit + " ")
    sg.refuses("SGARG", "sg_list_set_all", "l", '[{"id":1,"value":' + at_limit[:-1] + 'x"}]')
    sg.refuses("SGARG", "sg_list_set_all", "l", " " * (64 * 1024 * 1024) + "[]")
    assert len(sg("sg_var_get", "a")[1]) == 8 * 1024 * 1024


# --- variables ---------------------------------------------------------------------------------------


def test_variable(sg, listen):
    channel = listen("sg:{price}")
    assert sg("sg_var_get", "price") is None
    assert sg("sg_var_read", "price") == [0, None]
    assert sg("sg_var_delete", "price") == 0
    assert sg("sg_var_set", "price", ' {"usd": 5.00} ') == 1
    assert sg("sg_var_get", "price") == sg("sg_var_read", "price") == [1, b' {"usd": 5.00} ']
    assert sg("sg_var_set", "price", '"\U0001f600"') == 2
    assert sg("sg_var_set", "price", '"\U0001f600"') == 3
    assert sg("sg_var_delete", "price") == 1
    assert sg("sg_var_delete", "price") == 0
    assert sg("sg_var_get", "price") is None
    assert sg("sg_var_read", "price") == [4, None]
    assert channel.take() == [b'vs 1  {"usd": 5.00} ', 'vs 2 "\U0001f600"'.encode(), 'vs 3 "\U0001f600"'.encode(), b"vd 4"]


def test_variable_comes_back_within_a_day(sg):
    sg("sg_var_set", "a", "1")
    assert sg.client.ttl("sg:{a}:v") == -1
    sg("sg_var_delete", "a")
    assert DAY_S - 60 < sg.client.ttl("sg:{a}:v") <= DAY_S
    assert sg("sg_var_set", "a", "2") == 3
    assert sg.client.ttl("sg:{a}:v") == -1
    assert sg("sg_var_set", "a", "2") == 4


def test_variable_expected_revision(sg, listen):
    channel = listen("sg:{a}")
    sg.refuses("SGREV", "sg_var_set", "a", "1", 1)
    assert sg("sg_var_set", "a", "1", 0) == 1
    sg.refuses("SGREV", "sg_var_set", "a", "2", 0)
    sg.refuses("SGREV", "sg_var_set", "a", "2", 2)
    sg.refuses("SGREV", "sg_var_set", "a", "2", "9" * 30)
    assert sg("sg_var_set", "a", "2", 1) == 2
    sg("sg_var_delete", "a")
    sg.refuses("SGREV", "sg_var_set", "a", "3", 3)
    assert sg("sg_var_set", "a", "3", 0) == 4
    for wrong in ("", "-1", "x", "1.0", "+1", " 1"):
        sg.refuses("SGARG", "sg_var_set", "a", "1", wrong)
    assert channel.take() == [b"vs 1 1", b"vs 2 2", b"vd 3", b"vs 4 3"]


def test_revision_beyond_lua_notation(sg, listen):
    channel = listen("sg:{a}")
    sg("sg_var_set", "a", "1")
    sg.client.hset("sg:{a}:v", "r", 10**15)
    assert sg("sg_var_set", "a", "2") == 10**15 + 1
    assert sg("sg_var_get", "a") == [10**15 + 1, b"2"]
    assert channel.take() == [b"vs 1 1", b"vs 1000000000000001 2"]


# --- ids ---------------------------------------------------------------------------------------------

IDS = [  # argument, JSON in answers
    ("a", '"a"'), ("1", "1"), ('"1"', '"1"'), ("-0", "0"), ("-5", "-5"), ("007", '"007"'), ("1.0", '"1.0"'), ("1e3", '"1e3"'),
    ('"', '"\\""'), ('"x', '"\\"x"'), ("a\"b\\c", '"a\\"b\\\\c"'), ("\b\f\n\r\t\0\x1f", '"\\b\\f\\n\\r\\t\\u0000\\u001f"'), ("\x7f", '"\x7f"'),
    ('"\\u00fc\\/"', '"ü/"'), ("€ \U0001f600", '"€ \U0001f600"'), ("null", '"null"'), ("[1]", '"[1]"'), (' "b" ', '" \\"b\\" "'),
    ("9" * 256, "9" * 256), ("x" * 256, '"' + "x" * 256 + '"'), ('"' + "\\u0041" * 256 + '"', '"' + "A" * 256 + '"'),
    ('"\\ud800"', '"\\"\\\\ud800\\""'), ('"a"b"', '"\\"a\\"b\\""'),
]
BAD_IDS = ["", '""', "x" * 257, '"' + "x" * 257 + '"', "9" * 257, "ü" * 129, "y" * 5000, '"' + "\\u0041" * 257 + '"', b"\xff", b'"\xc3"']


def test_ids(sg, listen):
    channel = listen("sg:{l}")
    for place, (argument, text) in enumerate(IDS):
        assert sg("sg_list_insert", "l", -1, argument, "0") == place + 1
        name = text.encode()
        assert channel.next() == b"li %d %d %d %d %s 0" % (place + 1, place, place + 1, len(name), name)
        sg.refuses("SGID", "sg_list_insert", "l", 0, argument, "0")
        if text not in dict(IDS):
            sg.refuses("SGID", "sg_list_insert", "l", 0, text, "0")
        assert sg("sg_list_get", "l", argument) == [place + 1, place, b"0"]
    assert [name.decode() for name, _ in sg.items("l")] == [text for _, text in IDS]
    for _, text in IDS:
        assert json.loads(text) is not None


@pytest.mark.parametrize("wrong", BAD_IDS)
def test_refused_ids(sg, wrong):
    sg("sg_list_insert", "l", 0, "a", "1")
    sg.refuses("SGID", "sg_list_insert", "l", 0, wrong, "1")
    sg.refuses("SGID", "sg_list_put", "m", "s", wrong, "1")
    sg.refuses("SGID", "sg_list_set", "l", wrong, "1")
    sg.refuses("SGID", "sg_list_delete", "l", wrong)
    sg.refuses("SGID", "sg_list_move", "l", wrong, 0)
    sg.refuses("SGID", "sg_list_get", "l", wrong)
    assert sg("sg_list_read", "l", 0, 1, wrong)[4] == [None]


# --- lists -------------------------------------------------------------------------------------------


def test_positional_list(sg, listen):
    channel = listen("sg:{l}")
    assert sg("sg_list_page", "l", 0, 10) is None
    assert sg("sg_list_get", "l", "a") is None
    assert sg("sg_list_drop", "l") == 0
    assert sg("sg_list_insert", "l", 0, "b", "2") == 1
    assert sg("sg_list_insert", "l", 0, "a", "1") == 2
    assert sg("sg_list_insert", "l", -1, 3, "3") == 3
    assert sg("sg_list_insert", "l", 3, "d", '{"x": "y z"}') == 4
    assert sg("sg_list_insert", "l", 1, "m", "[]") == 5
    assert sg("sg_list_set", "l", "m", "[1]") == 6
    assert sg("sg_list_move", "l", "a", -1) == 7
    assert sg("sg_list_move", "l", "a", 0) == 8
    assert sg("sg_list_move", "l", "b", 3) == 9
    assert sg("sg_list_move", "l", "b", 3) == 10
    assert sg("sg_list_delete", "l", "m") == 11
    assert sg.items("l") == [(b'"a"', b"1"), (b"3", b"3"), (b'"b"', b"2"), (b'"d"', b'{"x": "y z"}')]
    assert sg("sg_list_get", "l", "d") == [11, 3, b'{"x": "y z"}']
    assert sg("sg_list_get", "l", "3") == [11, 1, b"3"]
    assert sg("sg_list_get", "l", '"3"') is None
    assert channel.take() == [
        b'li 1 0 1 3 "b" 2', b'li 2 0 2 3 "a" 1', b"li 3 2 3 1 3 3", b'li 4 3 4 3 "d" {"x": "y z"}', b'li 5 1 5 3 "m" []',
        b'ls 6 1 5 3 "m" [1]', b'lm 7 0 4 5 3 "a" 1', b'lm 8 4 0 5 3 "a" 1', b'lm 9 2 3 5 3 "b" 2', b'lm 10 3 3 5 3 "b" 2',
        b'lx 11 1 4 3 "m"',
    ]


def test_positional_list_refuses(sg, listen):
    channel = listen("sg:{l}")
    sg("sg_list_insert", "l", 0, "a", "1")
    assert len(channel.take()) == 1
    for index in ("-2", "2", "99999999999999999999", "", "x", "1.0", "+0", " 0", "0x0"):
        sg.refuses("SGARG", "sg_list_insert", "l", index, "b", "1")
    for index in ("-2", "1", "99999999999999999999", "", "x", "0.0"):
        sg.refuses("SGARG", "sg_list_move", "l", "a", index)
    assert channel.take() == []
    sg("sg_list_insert", "l", "-0", "z", "1")
    assert channel.take() == [b'li 2 0 2 3 "z" 1']
    for index in (1, -2):
        sg.refuses("SGARG", "sg_list_insert", "unknown", index, "b", "1")
    sg.refuses("SGID", "sg_list_insert", "l", 0, "a", "1")
    for name in ("l", "unknown"):
        sg.refuses("SGID", "sg_list_set", name, "b", "1")
        sg.refuses("SGID", "sg_list_delete", name, "b")
        sg.refuses("SGID", "sg_list_move", name, "b", 0)
    sg.refuses("SGARG", "sg_list_put", "l", "s", "b", "1")
    sg.refuses("SGARG", "sg_list_put", "l", "s", "a", "1")
    sg.refuses("SGARG", "sg_list_set_all", "l", '[{"id":1,"value":1,"sort":"x"}]')
    assert channel.take() == []


@pytest.mark.parametrize("kind", ["positional", "sorted"])
def test_items_at_an_index(sg, listen, kind):
    """The item that stands there when Redis carries it out, whatever its id."""
    for place, item_id in enumerate(("a", 7, "a\0b"[:1] + "c")):
        if kind == "positional":
            sg("sg_list_insert", "l", -1, item_id, place)
        else:
            sg("sg_list_put", "l", f"k{place}", item_id, place)
    channel = listen("sg:{l}")
    assert sg("sg_list_set_at", "l", 1, "10") == 4
    assert sg("sg_list_delete_at", "l", 0) == 5
    assert sg("sg_list_delete_at", "l", 0) == 6
    assert channel.take() == [b"ls 4 1 3 1 7 10", b'lx 5 0 2 3 "a"', b"lx 6 0 1 1 7"]
    assert sg("sg_list_page", "l", 0, 10)[4:] == [b'"ac"', b"2"]
    for index in ("1", "-1", "9007199254740993"):
        sg.refuses("SGID", "sg_list_set_at", "l", index, "1")
        sg.refuses("SGID", "sg_list_delete_at", "l", index)
    for index in ("", "x", "0.0", "1e0"):
        sg.refuses("SGARG", "sg_list_set_at", "l", index, "1")
        sg.refuses("SGARG", "sg_list_delete_at", "l", index)
    sg.refuses("SGJSON", "sg_list_set_at", "l", 0, "nonsense")
    sg.refuses("SGID", "sg_list_set_at", "unknown", 0, "1")
    sg.refuses("SGID", "sg_list_delete_at", "unknown", 0)
    sg.client.zadd("sg:{l}:l", {sg.client.zrange("sg:{l}:l", 0, 0)[0]: 5})
    sg.refuses("SGDATA", "sg_list_set_at", "l", 0, "1")
    sg.refuses("SGDATA", "sg_list_delete_at", "l", 0)
    assert channel.take() == []


def test_sorted_list(sg, listen):
    channel = listen("sg:{s}")
    assert sg("sg_list_put", "s", "m", "b", "1") == 1
    assert sg("sg_list_put", "s", "m", "a", "2") == 2
    assert sg("sg_list_put", "s", "m", 5, "3") == 3
    assert sg("sg_list_put", "s", "", "first", "4") == 4
    assert sg("sg_list_put", "s", "mm", "last", "5") == 5
    assert [name for name, _ in sg.items("s")] == [b'"first"', b"5", b'"a"', b'"b"', b'"last"']
    assert sg("sg_list_put", "s", "m", "a", "20") == 6  # the value alone
    assert sg("sg_list_put", "s", "m", "a", "20") == 7  # nothing
    assert sg("sg_list_put", "s", "z", "first", "4") == 8  # the place alone
    assert sg("sg_list_put", "s", "a", "b", "10") == 9  # both
    assert sg("sg_list_put", "s", "aa", "b", "11") == 10  # sort key and value, the place stays
    assert sg("sg_list_set", "s", "b", "12") == 11
    assert sg("sg_list_delete", "s", 5) == 12
    assert sg.items("s") == [(b'"b"', b"12"), (b'"a"', b"20"), (b'"last"', b"5"), (b'"first"', b"4")]
    assert sg("sg_list_get", "s", "last") == [12, 2, b"5"]
    assert channel.take() == [
        b'li 1 0 1 3 "b" 1', b'li 2 0 2 3 "a" 2', b"li 3 0 3 1 5 3", b'li 4 0 4 7 "first" 4', b'li 5 4 5 6 "last" 5',
        b'ls 6 2 5 3 "a" 20', b'lm 7 2 2 5 3 "a" 20', b'lm 8 0 4 5 7 "first" 4', b'lm 9 2 0 5 3 "b" 10', b'lm 10 0 0 5 3 "b" 11',
        b'ls 11 0 5 3 "b" 12', b"lx 12 1 4 1 5",
    ]


def test_sorted_list_refuses(sg, listen):
    channel = listen("sg:{s}")
    sg("sg_list_put", "s", "x" * 256, "a", "1")
    assert len(channel.take()) == 1
    sg.refuses("SGARG", "sg_list_put", "s", "x" * 257, "a", "1")
    sg.refuses("SGARG", "sg_list_put", "unknown", "x" * 257, "a", "1")
    sg.refuses("SGARG", "sg_list_insert", "s", 0, "b", "1")
    sg.refuses("SGARG", "sg_list_insert", "s", 0, "a", "1")
    sg.refuses("SGARG", "sg_list_move", "s", "a", 0)
    sg.refuses("SGARG", "sg_list_set_all", "s", '[{"id":1,"value":1}]')
    assert channel.take() == []


def test_sort_keys_are_bytes(sg):
    """Every sort key of the bytes that need care, with ties: the order is that of the bytes, then of the ids."""
    rng = random.Random(3)
    alphabet = [b"\0", b"\1", b"\2", b"\xff", b"a", b"{", b" "]
    keys = {b""} | {b"".join(rng.choices(alphabet, k=rng.randrange(1, 5))) for _ in range(400)}
    items = [(key, b"i%d" % place) for place, key in enumerate(keys)] + [(key, b"j%d" % place) for place, key in enumerate(keys)]
    rng.shuffle(items)
    assert all(isinstance(answer, int) for answer in sg.pipeline([("sg_list_put", "s", key, name, "0") for key, name in items]))
    assert [name for name, _ in sg.items("s")] == [b'"%s"' % name for _, name in sorted(items)]


def test_kind_lives_as_long_as_there_are_items(sg):
    sg("sg_list_insert", "l", 0, "a", "1")
    sg.refuses("SGARG", "sg_list_put", "l", "s", "b", "1")
    sg("sg_list_delete", "l", "a")
    assert sg("sg_list_page", "l", 0, 5) == [2, 0, 0, 5]
    assert sg("sg_state", "l") == [0, 0, 2, 1]
    assert sg("sg_list_put", "l", "s", "a", "1") == 3
    sg.refuses("SGARG", "sg_list_insert", "l", 0, "b", "1")
    assert sg("sg_list_set_all", "l", "[]") == 4
    assert sg("sg_list_insert", "l", 0, "b", "1") == 5
    assert sg("sg_list_drop", "l") == 1
    assert sg("sg_list_put", "l", "s", "a", "1") == 7


def test_drop(sg, listen):
    channel = listen("sg:{l}")
    sg("sg_list_insert", "l", 0, "a", "1")
    assert sg("sg_list_drop", "l") == 1
    assert sg("sg_list_drop", "l") == 0
    assert sg("sg_list_page", "l", 0, 1) is None
    assert sg("sg_list_get", "l", "a") is None
    assert sg.keys() == {b"sg:{l}:m"}
    assert DAY_S - 60 < sg.client.ttl("sg:{l}:m") <= DAY_S
    assert sg("sg_list_insert", "l", 0, "a", "1") == 3
    assert sg.client.ttl("sg:{l}:m") == -1
    assert channel.take() == [b'li 1 0 1 3 "a" 1', b"lz 2", b'li 3 0 1 3 "a" 1']
    sg("sg_list_drop", "l")
    assert sg("sg_list_set_all", "l", "[]") == 5
    assert sg.client.ttl("sg:{l}:m") == -1


def test_variable_and_list_of_one_name(sg):
    """Two things that share nothing but the channel."""
    sg("sg_var_set", "x", "1")
    sg("sg_list_insert", "x", 0, "a", "1")
    sg("sg_list_insert", "x", 0, "b", "1")
    assert sg("sg_state", "x") == [1, 1, 2, 1]
    sg("sg_list_drop", "x")
    assert sg("sg_state", "x") == [1, 1, 3, 0]
    sg("sg_var_delete", "x")
    assert sg("sg_state", "x") == [2, 0, 3, 0]
    assert sg("sg_state", "unknown") == [0, 0, 0, 0]


def test_page(sg):
    sg("sg_list_set_all", "l", json.dumps([{"id": number, "value": number * 10} for number in range(7)]))

    def page(number, size):
        answer = sg("sg_list_page", "l", number, size)
        assert answer[:2] == [1, 7]
        assert [int(value) for value in answer[5::2]] == [int(name) * 10 for name in answer[4::2]]
        return answer[2], answer[3], [int(name) for name in answer[4::2]]

    assert page(0, 3) == (0, 3, [0, 1, 2])
    assert page(1, 3) == (1, 3, [3, 4, 5])
    assert page(2, 3) == (2, 3, [6])
    assert page(3, 3) == page("9" * 30, 3) == page(2, 3)
    assert page(-1, 3) == page("-" + "9" * 30, 3) == page(0, 3)
    assert page(0, 7) == page(1, 7) == (0, 7, [0, 1, 2, 3, 4, 5, 6])
    assert page(6, 1) == (6, 1, [6])
    assert page(5, 10000) == page(5, 10001) == page(5, "9" * 30) == (0, 10000, [0, 1, 2, 3, 4, 5, 6])
    for number, size in ((0, 0), (0, -1), ("x", 1), (0, "x"), ("", 1), (0, ""), ("1.0", 1), (0, "1.0")):
        sg.refuses("SGARG", "sg_list_page", "l", number, size)
        sg.refuses("SGARG", "sg_list_page", "unknown", number, size)


def test_read(sg):
    sg("sg_list_set_all", "l", json.dumps([{"id": f"i{number}", "value": number} for number in range(3000)]))
    read = sg("sg_list_read", "l", 4, 0, 2, 2998, 10, 3000, 1, 5, 0, 3, "i2999", "nobody", '"i0"')
    assert read == [1, 1, 3000, [[b'"i0"', b"0", b'"i1"', b"1"], [b'"i2998"', b"2998", b'"i2999"', b"2999"], [], []],
                    [[2999, b"2999"], None, [0, b"0"]]]
    whole = sg("sg_list_read", "l", 1, 0, 10000, 0)[3][0]
    assert whole[1::2] == [b"%d" % number for number in range(3000)]
    assert sg("sg_list_read", "l", 0, 0) == [1, 1, 3000, [], []]
    sg("sg_list_drop", "l")
    assert sg("sg_list_read", "l", 1, 0, 5, 1, "i1") == [2, 0, 0, [[]], [None]]
    assert sg("sg_list_read", "unknown", 1, 0, 5, 1, "i1") == [0, 0, 0, [[]], [None]]
    for wrong in ([1, 0, 0], [1, 0, 5, 1], [1, 0, 5, 0, "x"], [-1, 0], ["x", 0], [0, "x"], [0, -1], [1, -1, 5, 0], [1, 0, -1, 0],
                  [1, 0, 10001, 0], [1, "x", 1, 0], [2, 0, 5, 0], [1001] + [0, 1] * 1001 + [0]):
        sg.refuses("SGARG", "sg_list_read", "l", *wrong)


def test_read_with_room(sg):
    """A reader says how many bytes it has room for: it gets no more, and learns how many the next piece takes."""
    assert sg("sg_var_read", "v", 0) == [0, None]
    sg("sg_var_set", "v", '"12345"')
    assert sg("sg_var_read", "v", 6) == [1, None, 7]
    assert sg("sg_var_read", "v", 7) == sg("sg_var_read", "v", 10**9) == [1, b'"12345"']
    sg("sg_var_delete", "v")
    assert sg("sg_var_read", "v", 0) == [2, None]
    for wrong in ("x", -1, "1.5", ""):
        sg.refuses("SGARG", "sg_var_read", "v", wrong)
    count = 500
    sg("sg_list_set_all", "l", json.dumps([{"id": number, "value": "x" * (number * number % 3000)} for number in range(count)]))
    whole = sg("sg_list_read", "l", 1, 0, count, 2, 5, "nobody")
    assert sg("sg_list_read", "l", "max=100000000", 1, 0, count, 2, 5, "nobody") == [*whole, 0]
    for room in (0, 50, 4000, 100_000):
        pieces, at, most = [], 0, room
        while at < count:
            revision, exists, total, (items,), found, need = sg("sg_list_read", "l", f"max={most}", 1, at, count - at, 1, 5)
            assert (revision, exists, total) == (1, 1, count) and sum(map(len, items)) <= most
            assert need > 0 or at + len(items) // 2 == count
            assert found == ([[5, whole[4][0][1]]] if need == 0 else [0])
            most = max(room, need) if need else most
            pieces += items
            at += len(items) // 2
            if at == count and need:
                break
        assert pieces == whole[3][0]
    for wrong in (["max=", 0, 0], ["max=-1", 0, 0], ["max=x", 0, 0], ["max=1", 1, 0, 5, 1], ["max=1", 0]):
        sg.refuses("SGARG", "sg_list_read", "l", *wrong)


# --- set_all -----------------------------------------------------------------------------------------


def test_set_all(sg, listen):
    channel = listen("sg:{l}")
    text = ' [ {"id":"a","value": {"x" : [1.0, "}]"]} } ,\n{"value":"\\"{","id":7},{"\\u0069d":"\\u0061b","more":[{"deep":null}],"value":1e2}\t] '
    assert sg("sg_list_set_all", "l", text) == 1
    assert sg.items("l") == [(b'"a"', b'{"x" : [1.0, "}]"]}'), (b"7", b'"\\"{"'), (b'"ab"', b"1e2")]
    assert sg("sg_list_set_all", "l", '[{"id":"b","id":"c","value":1,"value":2}]') == 2  # the last of equal members counts
    assert sg.items("l") == [(b'"c"', b"2")]
    assert sg("sg_list_set_all", "l", "[]") == 3
    assert sg.items("l") == []
    assert channel.take() == [b"la 1 3", b"la 2 1", b"la 3 0"]


def test_an_empty_list_has_no_kind(sg, listen):
    channel = listen("sg:{l}")
    assert sg("sg_list_set_all", "l", "[]") == 1
    assert sg("sg_list_put", "l", "m", "a", "1") == 2
    sg.refuses("SGARG", "sg_list_insert", "l", 0, "b", "1")
    assert sg("sg_list_delete", "l", "a") == 3
    sg.refuses("SGID", "sg_list_move", "l", "a", 0)
    assert sg("sg_list_insert", "l", 0, "b", "2") == 4
    assert sg("sg_list_insert", "l", 0, "a", "1") == 5
    sg.refuses("SGARG", "sg_list_put", "l", "m", "c", "1")
    sg.refuses("SGARG", "sg_list_set_all", "l", '[{"id":1,"value":1,"sort":"x"}]')
    assert sg("sg_list_set_all", "l", "[]") == 6
    assert sg("sg_list_set_all", "l", '[{"id":1,"value":1,"sort":"x"}]') == 7
    sg.refuses("SGARG", "sg_list_set_all", "l", '[{"id":1,"value":1}]')
    assert sg("sg_list_set_all", "l", "[]") == 8
    assert sg("sg_list_set_all", "l", '[{"id":1,"value":1}]') == 9
    assert channel.take() == [
        b"la 1 0", b'li 2 0 1 3 "a" 1', b'lx 3 0 0 3 "a"', b'li 4 0 1 3 "b" 2', b'li 5 0 2 3 "a" 1', b"la 6 0", b"la 7 1", b"la 8 0", b"la 9 1",
    ]


def test_set_all_sorted(sg, listen):
    channel = listen("sg:{s}")
    assert sg("sg_list_set_all", "s", '[{"id":"b","value":1,"sort":"x"},{"id":"a","value":2,"sort":"x"},{"id":"c","value":3,"sort":"\\u0000"}]') == 1
    assert sg.items("s") == [(b'"c"', b"3"), (b'"a"', b"2"), (b'"b"', b"1")]
    assert sg("sg_list_put", "s", "\0", "c", "4") == 2
    assert sg("sg_list_put", "s", "w", "d", "5") == 3
    assert channel.take() == [b"la 1 3", b'ls 2 0 3 3 "c" 4', b'li 3 1 4 3 "d" 5']


@pytest.mark.parametrize("word,text", [
    ("SGJSON", ""), ("SGJSON", "x"), ("SGJSON", "{}"), ("SGJSON", "["), ("SGJSON", "[]x"), ("SGJSON", "[],"), ("SGJSON", "[1]"), ("SGJSON", "[[]]"),
    ("SGJSON", "[{]"), ("SGJSON", "[,]"), ("SGJSON", '[{"id":1,"value":1},]'), ("SGJSON", '[{"id":1,"value":1,}]'),
    ("SGJSON", '[{"id":1,"value":1}{"id":2,"value":1}]'), ("SGJSON", '[{"id":1 "value":1}]'), ("SGJSON", '[{"id":1,"value"}]'),
    ("SGJSON", '[{"id":1,"value":}]'), ("SGJSON", '[{"id":1,"value":1.}]'), ("SGJSON", '[{"id":1,"value":{"a":01}}]'), ("SGJSON", '[{id:1,"value":1}]'),
    ("SGJSON", '[{"id":1,"value":"a\nb"}]'), ("SGJSON", b'[{"id":1,"value":"\xff"}]'), ("SGJSON", '[{"id":1,"value":1,"more":NaN}]'),
    ("SGJSON", '[{"id":1,"value":"}]'), ("SGJSON", '[{"id":1,"value":{"}]'), ("SGJSON", '[{"id":1,"value":[}]}]'), ("SGJSON", '[{"id":1,"value":1}]\0'),
    ("SGJSON", '[{"id":1,"value":' + "[" * 61 + "]" * 61 + "}]"), ("SGJSON", '[{"id":1,"value":1}'), ("SGJSON", '[{"id\\x":1,"value":1}]'),
    ("SGJSON", '[{"id":1,"value":1},'), ("SGJSON", '[{"id":1,"value":"a\\"}]'), ("SGJSON", '[{"id":1,"value":1},2]'), ("SGJSON", '[{"id":1,'),
    ("SGARG", "[{}]"), ("SGARG", '[{"id":1}]'), ("SGARG", '[{"value":1}]'), ("SGARG", '[{"id":1.5,"value":1}]'), ("SGARG", '[{"id":null,"value":1}]'),
    ("SGARG", '[{"id":[],"value":1}]'), ("SGARG", '[{"id":1,"value":1,"sort":1}]'), ("SGARG", '[{"id":1,"value":1,"sort":"a"},{"id":2,"value":1}]'),
    ("SGARG", '[{"id":2,"value":1},{"id":1,"value":1,"sort":"a"}]'), ("SGARG", '[{"id":1,"value":1,"sort":"' + "x" * 257 + '"}]'),
    ("SGID", '[{"id":1,"value":1},{"id":2,"value":1},{"id":1,"value":1}]'), ("SGID", '[{"id":"a","value":1},{"id":"\\u0061","value":1}]'),
    ("SGID", '[{"id":0,"value":1},{"id":-0,"value":1}]'), ("SGID", '[{"id":"","value":1}]'), ("SGID", '[{"id":"' + "x" * 257 + '","value":1}]'),
])
def test_set_all_refuses(sg, listen, word, text):
    channel = listen("sg:{l}")
    sg("sg_list_insert", "l", 0, "old", "1")
    sg.refuses(word, "sg_list_set_all", "l", text)
    sg.refuses(word, "sg_list_set_all", "unknown", text)
    assert channel.take() == [b'li 1 0 1 5 "old" 1']


def test_set_all_like_another_parser(sg):
    """Values of every shape keep their bytes, whatever brackets and quotes stand in their strings."""
    rng = random.Random(5)
    for _ in range(60):
        values = [random_json(rng) for _ in range(rng.randrange(1, 30))]
        space = rng.choice(["", " ", "\n"])
        sg("sg_list_set_all", "l", "[" + ",".join(f'{space}{{"id":{place},{space}"value":{value}{space}}}' for place, value in enumerate(values)) + "]")
        assert [value.decode() for _, value in sg.items("l")] == values


def test_set_all_is_linear(sg):
    """Brackets in strings that never close do not make the scanner look at the whole array for each item."""
    costs = []
    for size in (2000, 16000):
        items = ",".join(f'{{"id":{number},"value":{{"a":"{{{{{{"}}}}' for number in range(size))
        tries = []
        for _ in range(3):  # the best of them, as the machine has other things to do
            sg.client.config_resetstat()
            sg("sg_list_set_all", "l", f"[{items}]")
            tries.append(sg.client.info("commandstats")["cmdstat_fcall"]["usec"])
        costs.append(min(tries))
        assert sg("sg_list_page", "l", 0, 1)[1] == size
    assert costs[1] < 32 * costs[0], "eight times the items; 64 times the cost would be quadratic"


# --- only if nobody changed it since ------------------------------------------------------------------

DELETIONS = 1000  # that a list remembers


def conflict(sg, function, name, *args):
    """The revision at which the item changed, as the refusal says it: None when it is not known."""
    sg.refuses("SGREV", function, name, *args)
    with pytest.raises(redis.exceptions.ResponseError) as refusal:
        sg(function, name, *args)
    since = args[-1]
    found = re.fullmatch(rf"SGREV expected no change since revision {since}, "
                         r"(?:found (\d+)|there may be one|and the list is only at \d+)", str(refusal.value))
    assert found, refusal.value
    return found[1] and int(found[1])


def test_since_of_a_sorted_list(sg, listen):
    channel = listen("sg:{l}")
    assert sg("sg_list_put", "l", "a", 1, "1", 0) == 1
    assert sg("sg_list_put", "l", "b", 2, "1", 0) == 2, "another item changed, not this one"
    assert conflict(sg, "sg_list_put", "l", "a", 1, "2", 0) == 1
    assert conflict(sg, "sg_list_set", "l", 2, "2", 1) == 2
    assert sg("sg_list_put", "l", "a", 1, "2", 1) == 3
    assert sg("sg_list_set", "l", 1, "3", 3) == 4
    assert conflict(sg, "sg_list_delete", "l", 1, 3) == 4
    assert sg("sg_list_put", "l", "c", 1, "3", 4) == 5
    assert sg("sg_list_delete", "l", 1, 5) == 6
    assert conflict(sg, "sg_list_put", "l", "a", 1, "9", 5) == 6
    assert conflict(sg, "sg_list_set", "l", 1, "9", 5) == 6
    sg.refuses("SGID", "sg_list_set", "l", 1, "9", 6)
    assert sg("sg_list_put", "l", "a", 1, "9", 6) == 7
    assert conflict(sg, "sg_list_put", "l", "a", 1, "9", 99) is None, "a revision that never was"
    assert len(channel.take()) == 7


def test_since_of_a_positional_list(sg):
    assert sg("sg_list_insert", "l", 0, "a", "1", 0) == 1
    assert sg("sg_list_insert", "l", -1, "b", "1", 0) == 2
    assert conflict(sg, "sg_list_insert", "l", 0, "a", "1", 0) == 1
    sg.refuses("SGID", "sg_list_insert", "l", 0, "a", "1", 1)
    assert sg("sg_list_move", "l", "a", 1, 1) == 3
    assert conflict(sg, "sg_list_move", "l", "a", 0, 1) == 3
    assert sg("sg_list_move", "l", "a", 1, 3) == 4, "to where it is"
    assert conflict(sg, "sg_list_set", "l", "a", "2", 3) == 4
    assert sg("sg_list_set_at", "l", 0, "5") == 5
    assert conflict(sg, "sg_list_set", "l", "b", "2", 4) == 5
    assert sg("sg_list_delete_at", "l", 0) == 6
    assert conflict(sg, "sg_list_move", "l", "b", 0, 5) == 6
    sg.refuses("SGID", "sg_list_move", "l", "b", 0, 6)


def test_since_sends_nothing_that_is_there(sg, listen):
    sg("sg_list_put", "l", "a", 1, '{"a":1}')
    channel = listen("sg:{l}")
    before = sg.contents()
    assert sg("sg_list_put", "l", "a", 1, '{"a":1}', 1) == sg("sg_list_set", "l", 1, '{"a":1}', 1) == 1
    assert sg("sg_list_delete", "l", 2, 1) == sg("sg_list_delete", "l", 2, 0) == 1
    assert sg("sg_list_delete", "none", 2, 0) == 0
    assert sg.contents() == before and channel.take() == []
    assert sg("sg_list_put", "l", "a", 1, '{"a": 1}', 1) == 2, "other bytes"
    assert sg("sg_list_put", "l", "a", 1, '{"a": 1}') == 3, "without since it is a change as ever"
    assert conflict(sg, "sg_list_set", "l", 1, "0", 2) == 3


@pytest.mark.parametrize("wrong", ["", "-1", "x", "1.0", "+1"])
def test_since_is_a_revision(sg, wrong):
    sg("sg_list_put", "l", "a", 1, "1")
    sg("sg_list_insert", "p", 0, 1, "1")
    for call in (("sg_list_put", "l", "a", 1, "2"), ("sg_list_set", "l", 1, "2"), ("sg_list_delete", "l", 1), ("sg_list_insert", "p", 0, 2, "1"),
                 ("sg_list_move", "p", 1, 0)):
        sg.refuses("SGARG", *call, wrong)


def test_since_and_what_replaces_everything(sg):
    sg("sg_list_put", "l", "a", 1, "1")
    assert sg("sg_list_set_all", "l", '[{"id":1,"value":1,"sort":"a"},{"id":2,"value":1,"sort":"b"}]') == 2
    assert conflict(sg, "sg_list_set", "l", 1, "2", 1) == 2
    assert conflict(sg, "sg_list_put", "l", "c", 3, "2", 1) is None, "it may have been there"
    assert sg("sg_list_put", "l", "c", 3, "2", 2) == 3
    assert sg("sg_list_drop", "l") == 1
    assert sg.client.keys("sg:{l}:*") == [b"sg:{l}:m"]
    assert conflict(sg, "sg_list_put", "l", "c", 3, "2", 3) is None
    assert sg("sg_list_put", "l", "c", 3, "2", 4) == 5


def test_since_when_deletions_are_forgotten(sg):
    """It refuses more than it has to, never less."""
    count = DELETIONS + 10
    sg.pipeline([("sg_list_put", "l", "a", number, "0") for number in range(count)])
    sg.pipeline([("sg_list_delete", "l", number) for number in range(count)])
    assert sg.client.zcard("sg:{l}:x") == DELETIONS
    assert conflict(sg, "sg_list_put", "l", "a", "other", "0", count + 9) is None
    assert sg("sg_list_put", "l", "a", "other", "0", count + 10) == 2 * count + 1
    assert conflict(sg, "sg_list_put", "l", "a", 10, "0", count + 10) == count + 11
    assert conflict(sg, "sg_list_put", "l", "a", count - 1, "0", 2 * count - 1) == 2 * count


def without_revisions(sg, name):
    """The list as version 4 of the library wrote it."""
    items = sg.client.hgetall(f"sg:{{{name}}}:h")
    for item, text in items.items():
        key, value = text.split(b"\0", 1)
        assert value[:1] == b"\1"
        sg.client.hset(f"sg:{{{name}}}:h", item, key + b"\0" + value[8:])
    sg.client.delete(f"sg:{{{name}}}:x")
    sg.client.hdel(f"sg:{{{name}}}:m", "x")


def test_since_and_what_an_older_library_wrote(sg):
    for number in range(3):
        sg("sg_list_put", "l", "a", number, '"text"')
    without_revisions(sg, "l")
    assert sg.items("l") == [(b"%d" % number, b'"text"') for number in range(3)]
    assert sg("sg_list_get", "l", 1) == [3, 1, b'"text"']
    assert conflict(sg, "sg_list_set", "l", 1, "2", 2) is None
    assert conflict(sg, "sg_list_put", "l", "a", 7, "2", 2) is None
    assert sg("sg_list_set", "l", 1, "2", 3) == 4
    assert conflict(sg, "sg_list_set", "l", 1, "2", 3) == 4
    assert sg("sg_list_set", "l", 0, "2", 3) == 5, "it is known since when"
    assert sg("sg_list_put", "l", "a", 7, "2", 3) == 6
    assert conflict(sg, "sg_list_set", "l", 2, "2", 2) is None
    assert sg.items("l") == [(b"0", b"2"), (b"1", b"2"), (b"2", b'"text"'), (b"7", b"2")]


@pytest.mark.parametrize("kind", ["positional", "sorted"])
@pytest.mark.parametrize("seed", range(3))
def test_since_against_a_model(sg, kind, seed):
    """Random changes by name and by place: a conditional one is refused exactly when the item changed after that revision."""
    rng = random.Random(seed)
    changed, revision, held, refused = {}, 0, {}, 0
    for _ in range(2500):
        item, since = rng.randrange(12), rng.choice([None, max(0, revision - rng.randrange(6))])
        condition = [] if since is None else [since]
        there, what = item in held, rng.choice(["put", "put", "set", "delete", "move"] if kind == "positional" else ["put", "put", "set", "delete"])
        value = str(rng.randrange(3))
        place = str(rng.randrange(4)) if kind == "sorted" else -1
        call = {"put": ("sg_list_put" if kind == "sorted" else "sg_list_insert", "l", place, item, value), "set": ("sg_list_set", "l", item, value),
                "delete": ("sg_list_delete", "l", item), "move": ("sg_list_move", "l", item, rng.choice([0, -1]))}[what]
        (answer,) = sg.pipeline([(*call, *condition)])
        absent_delete = what == "delete" and not there and since is not None
        if since is not None and changed.get(item, 0) > since and not absent_delete:
            assert str(answer) == f"SGREV expected no change since revision {since}, found {changed[item]}", call
            refused += 1
        elif what == "put" and kind == "positional" and there or what != "put" and not there and not absent_delete:
            assert str(answer).startswith("SGID "), (call, answer)
        elif absent_delete or since is not None and what in ("put", "set") and held.get(item) == (place if what == "put" else held[item][0], value):
            assert answer == revision
        else:
            revision += 1
            assert answer == revision, (call, condition)
            changed[item] = revision
            if what == "delete":
                del held[item]
            elif what != "move":
                held[item] = (place if what == "put" else held[item][0], value)
    assert refused > 100
    audit(sg, "l")


# --- lists against a model ---------------------------------------------------------------------------


def audit(sg, name):
    """The keys of a list agree with each other; answers its order keys."""
    root = f"sg:{{{name}}}"
    members = sg.client.zrange(root + ":l", 0, -1, withscores=True)
    stored = sg.client.hgetall(root + ":h")
    keys = {}
    for member, score in members:
        key, item = member.split(b"\0", 1)
        assert score == 0
        keys[item] = key
    assert len(keys) == len(members) == len(stored)
    for item, text in stored.items():
        assert text.split(b"\0", 1)[0] == keys[item]
    return list(keys.values())


def audit_positional(sg, name):
    keys = audit(sg, name)
    assert all(low < high for low, high in zip(keys, keys[1:])), "order keys are unique"
    assert all(key and not key.endswith(b"\1") for key in keys)
    assert max(map(len, keys), default=0) <= KEY_MAX
    return keys


def replay(items, payload):
    """Apply an event to [[id, value], ...] as a gateway does; answers the revision."""
    operation, revision, rest = (payload + b" ").split(b" ", 2)
    rest = rest[:-1]
    if operation in (b"la", b"lz"):
        return operation, int(revision)
    places = []
    for _ in range(3 if operation == b"lm" else 2):
        number, rest = rest.split(b" ", 1)
        places.append(int(number))
    length, rest = rest.split(b" ", 1)
    name, value = rest[:int(length)], rest[int(length) + 1:]
    assert rest[int(length):int(length) + 1] == (b"" if operation == b"lx" else b" ")
    if operation == b"li":
        items.insert(places[0], [name, value])
    elif operation == b"ls":
        assert items[places[0]][0] == name
        items[places[0]][1] = value
    elif operation == b"lx":
        assert items.pop(places[0])[0] == name
    else:
        assert operation == b"lm"
        assert items.pop(places[0])[0] == name
        items.insert(places[1], [name, value])
    assert places[-1] == len(items)
    return operation, int(revision)


class Positional:
    """A Python list that knows what sg_list_* should do with it."""

    def __init__(self, rng):
        self.rng = rng
        self.items = []
        self.fresh = 0

    def value(self):
        return self.rng.choice(["1", '"x y"', '{"a":[1, 2]}', "null"]).encode()

    def some_index(self):
        return self.rng.choice([0, -1, self.rng.randrange(-1, len(self.items) + 1), len(self.items) // 2])

    def step(self, grow):
        """One random operation, applied here; answers the call for Redis."""
        choice = self.rng.random()
        if not self.items or choice < grow:
            self.fresh += 1
            name, value, index = b'"n%d"' % self.fresh, self.value(), self.some_index()
            self.items.insert(index if index >= 0 else len(self.items), [name, value])
            return "sg_list_insert", index, name, value
        place = self.rng.randrange(len(self.items))
        name = self.items[place][0]
        if choice > 0.75:
            index = min(self.some_index(), len(self.items) - 1)
            item = self.items.pop(place)
            self.items.insert(index if index >= 0 else len(self.items), item)
            return "sg_list_move", name, index
        if choice > 0.6:
            self.items[place][1] = self.value()
            return "sg_list_set", name, self.items[place][1]
        del self.items[place]
        return "sg_list_delete", name

    def replacement(self):
        self.items = []
        for _ in range(self.rng.randrange(300)):
            self.fresh += 1
            self.items.append([b"%d" % self.fresh, self.value()])
        return b"[" + b",".join(b'{"id":%s,"value":%s}' % tuple(item) for item in self.items) + b"]"


class Sorted(Positional):
    """The same for a sorted list: (sort key, stored id) decides."""

    def __init__(self, rng):
        super().__init__(rng)
        self.order = {}

    def sort(self):
        return bytes(self.rng.choice(b"\0\1\2ab\xff") for _ in range(self.rng.randrange(4)))

    def place(self, name, value, sort):
        stored = b"s" + name.strip(b'"') if name.startswith(b'"') else b"i" + name
        self.order[name] = (sort, stored)
        bisect.insort(self.items, [name, value], key=lambda item: self.order[item[0]])

    def step(self, grow):
        choice = self.rng.random()
        sort, value = self.sort(), self.value()
        if not self.items or choice < grow:
            self.fresh += 1
            name = self.rng.choice([b'"n%d"', b"%d"]) % self.fresh
            self.place(name, value, sort)
            return "sg_list_put", sort, name, value
        place = self.rng.randrange(len(self.items))
        name = self.items[place][0]
        if choice > 0.7:
            del self.items[place]
            sort = self.rng.choice([sort, self.order[name][0]])
            self.place(name, value, sort)
            return "sg_list_put", sort, name, value
        if choice > 0.6:
            self.items[place][1] = value
            return "sg_list_set", name, value
        del self.items[place]
        return "sg_list_delete", name

    def replacement(self):
        self.items, parts = [], []
        for _ in range(self.rng.randrange(300)):
            self.fresh += 1
            number = self.fresh
            sort, value = self.rng.choice(["", "a", "b", "zz"]), self.value()
            self.place(b"%d" % number, value, sort.encode())
            parts.append(b'{"sort":"%s","id":%d,"value":%s}' % (sort.encode(), number, value))
        return b"[" + b",".join(parts) + b"]"


@pytest.mark.parametrize("model", [Positional, Sorted])
@pytest.mark.parametrize("seed", range(3))
def test_random_operations(sg, listen, model, seed):
    """What Redis holds, what it answers and what its events tell is at every time what a plain list would be."""
    rng = random.Random(seed)
    held, channel, mirror, revision = model(rng), listen("sg:{l}"), [], 0
    for round_number in range(60):
        grow = rng.choice([0.25, 0.5, 0.7])
        for _ in range(2):
            answers = sg.pipeline([(call[0], "l", *call[1:]) for call in (held.step(grow) for _ in range(50))])
            assert answers == list(range(revision + 1, revision + 51))
            for payload in channel.take():
                _, told = replay(mirror, payload)
                revision += 1
                assert told == revision
            assert mirror == held.items
        if held.items:
            place = rng.randrange(len(held.items))
            assert sg("sg_list_get", "l", held.items[place][0]) == [revision, place, held.items[place][1]]
            size = rng.randrange(1, 12)
            page = rng.randrange(-1, len(held.items) // size + 2)
            effective = max(0, min(page, (len(held.items) - 1) // size))
            wanted = [part for item in held.items[effective * size:(effective + 1) * size] for part in item]
            assert sg("sg_list_page", "l", page, size) == [revision, len(held.items), effective, size, *wanted]
        if round_number % 10 == 9:
            assert [list(item) for item in sg.items("l")] == held.items
            (audit if model is Sorted else audit_positional)(sg, "l")
            revision += 1
            assert sg("sg_list_set_all", "l", held.replacement()) == revision
            assert channel.take() == [b"la %d %d" % (revision, len(held.items))]
            assert [list(item) for item in sg.items("l")] == held.items
            mirror = [list(item) for item in held.items]


# --- order keys in the worst cases -------------------------------------------------------------------

INSERTS = 20000
WORST = {
    "head": lambda count: 0,
    "end": lambda count: -1,
    "between the same two": lambda count: 500,
    "after the last inserted": lambda count: 500 + count,
    "before the end": lambda count: 999 + count,
    "behind the head": lambda count: 1,
    "in turns left and right": lambda count: 500 + count // 2,
    "two places": lambda count: 100 if count % 2 else 900,
}


@pytest.mark.parametrize("where", WORST)
def test_order_keys_stay_short(sg, where):
    """Twenty thousand inserts at the worst places: keys stay short, and few items get a new one for it."""
    rng = random.Random(7)
    sg("sg_list_set_all", "l", json.dumps([{"id": -1 - number, "value": 0} for number in range(1000)]))
    model = [b"%d" % (-1 - number) for number in range(1000)]
    sg.client.config_resetstat()
    for start in range(0, INSERTS, 1000):
        calls = []
        for count in range(start, start + 1000):
            index = WORST[where](count)
            model.insert(index if index >= 0 else len(model), b"%d" % count)
            calls.append(("sg_list_insert", "l", index, count, "0"))
        assert all(isinstance(answer, int) for answer in sg.pipeline(calls))
    statistics_of = sg.client.info("commandstats")
    moved = 8 * statistics_of.get("cmdstat_zrem", {"calls": 0})["calls"]
    assert moved <= {"head": 0, "end": 0, "in turns left and right": 4 * INSERTS}.get(where, INSERTS / 2), "items that got a new key"
    keys = audit_positional(sg, "l")
    assert len(keys) == 1000 + INSERTS
    assert [name for name, _ in sg.items("l")] == model
    # And the neighbourhood is as good as new for anything else.
    for _ in range(300):
        index = rng.randrange(len(model))
        name = model.pop(rng.randrange(len(model)))
        index = min(index, len(model))
        model.insert(index, name)
        assert isinstance(sg("sg_list_move", "l", name, index), int)
    assert [name for name, _ in sg.items("l")] == model


def test_order_keys_stay_short_against_an_adversary(sg):
    """Who sees the keys and always inserts into the narrower of the two gaps beside the last item gains nothing by it."""

    def fraction(key, digits=2 * KEY_MAX):
        return int.from_bytes(key.ljust(digits, b"\1"), "big")

    sg("sg_list_set_all", "l", json.dumps([{"id": -1 - number, "value": 0} for number in range(100)]))
    sg.client.config_resetstat()
    index, inserts = 50, 4000
    for count in range(inserts):
        sg("sg_list_insert", "l", index, count, "0")
        before, new, behind = (fraction(member.split(b"\0")[0]) for member in sg.client.zrange("sg:{l}:l", index - 1, index + 1))
        assert before < new < behind
        if behind - new < new - before:
            index += 1
    moved = 8 * sg.client.info("commandstats").get("cmdstat_zrem", {"calls": 0})["calls"]
    assert moved < 4 * inserts
    audit_positional(sg, "l")


def test_short_list_of_many_moves(sg):
    """A list of three whose items change places for ever needs no longer keys than that."""
    sg("sg_list_set_all", "l", json.dumps([{"id": number, "value": number} for number in range(3)]))
    model = [b"0", b"1", b"2"]
    rng = random.Random(2)
    calls = []
    for _ in range(5000):
        name, index = model.pop(rng.randrange(3)), rng.randrange(3)
        model.insert(index, name)
        calls.append(("sg_list_move", "l", name, index))
    assert all(isinstance(answer, int) for answer in sg.pipeline(calls))
    assert [name for name, _ in sg.items("l")] == model
    audit_positional(sg, "l")


@pytest.mark.parametrize("edge", ["low", "high"])
def test_order_keys_at_the_edges_of_space(sg, edge):
    """A list that has used up the space on one side goes on growing there."""
    sg("sg_list_insert", "l", 0, "start", "0")
    key = b"\1\1\1\1\1\2" if edge == "low" else b"\xff" * 6
    sg.client.delete("sg:{l}:l", "sg:{l}:h")
    sg.client.zadd("sg:{l}:l", {key + b"\0sstart": 0})
    sg.client.hset("sg:{l}:h", "sstart", key + b"\x000")
    index = 0 if edge == "low" else -1
    answers = sg.pipeline([("sg_list_insert", "l", index, count, "0") for count in range(3000)])
    assert all(isinstance(answer, int) for answer in answers)
    names = [name for name, _ in sg.items("l")]
    added = [b"%d" % count for count in range(3000)]
    assert names == (added[::-1] + [b'"start"'] if edge == "low" else [b'"start"'] + added)
    audit_positional(sg, "l")


def test_order_keys_where_no_step_fits(sg):
    """Items crowd together right below a digit boundary: the first window has no room at all, a wider one has."""
    prefix = b"\x05" + b"\xff" * 5
    keys = [prefix + bytes([10 + number]) for number in range(37)]
    keys[21] = keys[20] + b"\1" * 24 + b"\2"  # the two that something is put between
    keys += [b"\x06"] + [b"\x06" + bytes([2 + number]) for number in range(100)]
    sg("sg_list_set_all", "l", json.dumps([{"id": number, "value": number} for number in range(len(keys))]))
    sg.client.delete("sg:{l}:l")
    for number, key in enumerate(keys):
        sg.client.zadd("sg:{l}:l", {b"%s\0i%d" % (key, number): 0})
        sg.client.hset("sg:{l}:h", f"i{number}", b"%s\0%d" % (key, number))
    audit_positional(sg, "l")
    model = [b"%d" % number for number in range(len(keys))]
    assert [name for name, _ in sg.items("l")] == model
    sg("sg_list_insert", "l", 21, "-1", "0")
    model.insert(21, b"-1")
    assert [name for name, _ in sg.items("l")] == model
    assert len(audit_positional(sg, "l")[22]) < 24, "the crowd was spread"


def fcall_usec(sg, calls):
    """Microseconds that Redis spent in the calls, by its own account."""
    sg.client.config_resetstat()
    assert all(isinstance(answer, int) for answer in sg.pipeline(calls))
    spent = sg.client.info("commandstats")["cmdstat_fcall"]
    assert spent["calls"] == len(calls)
    return spent["usec"]


def test_a_million_items(sg):
    """An insert anywhere in a list of a million costs Redis less than five times what it costs in a list of a thousand."""
    sizes = {"small": 1000, "large": 1000000}
    for name, size in sizes.items():
        text = "[" + ",".join(f'{{"id":{number},"value":{number}}}' for number in range(size)) + "]"
        assert sg("sg_list_set_all", name, text) == 1
    assert sg("sg_list_page", "large", 99999, 10)[:6] == [1, 1000000, 99999, 10, b"999990", b"999990"]
    rng = random.Random(4)
    costs = {"small": [], "large": []}
    for start in range(0, 500, 10):  # in turns, so that a busy machine slows both
        for name, size in sizes.items():
            calls = [("sg_list_insert", name, rng.randrange(size), f"new{number}", '{"some":"value"}') for number in range(start, start + 10)]
            costs[name].append(fcall_usec(sg, calls) / len(calls))
    small, large = statistics.median(costs["small"]), statistics.median(costs["large"])
    print(f"median insert: {small} us in a thousand, {large} us in a million")
    assert large < 5 * small
    assert sg("sg_list_drop", "large") == 1


# --- calls -------------------------------------------------------------------------------------------

LEASE_MS = 60000


def expire_lease(sg, gateway):
    sg.client.zadd(CALLS + ":g", {gateway: 1})


def busy(sg, name):
    members = [member.decode() for member in sg.client.zrange(f"{CALLS}:f:{name}", 0, -1)]
    return {member: int(sg.client.hget(f"{CALLS}:e:{member.split()[0]}", member.split()[1])) for member in members}


def test_catalogue(sg, listen):
    channel = listen(CALLS)
    assert sg("sg_fn_list", CALLS) == [0]
    assert sg("sg_fn_serve", CALLS, "g1", "e1", "add", LEASE_MS) == 1
    assert sg("sg_fn_serve", CALLS, "g1", "e1", "add", LEASE_MS) == 1
    assert sg("sg_fn_serve", CALLS, "g1", "e2", "add", LEASE_MS) == 1
    assert sg("sg_fn_serve", CALLS, "g2", "e1", "a function", LEASE_MS) == 2
    assert sg("sg_fn_serve", CALLS, "g2", "e1", "add", LEASE_MS) == 2
    assert sg("sg_fn_list", CALLS) == [2, b"a function", b"add"]
    assert sg("sg_fn_leave", CALLS, "g1", "e1", "add") == 2
    assert sg("sg_fn_leave", CALLS, "g1", "e1", "add") == 2
    assert sg("sg_fn_leave", CALLS, "g2", "e1", "add") == 2
    assert sg("sg_fn_leave", CALLS, "g1", "e2", "add") == 3
    assert sg("sg_fn_list", CALLS) == [3, b"a function"]
    assert sg("sg_fn_serve", CALLS, "g1", "e1", "add", LEASE_MS) == 4
    assert sg("sg_fn_gone", CALLS, "g1") == 6
    assert sg("sg_fn_gone", CALLS, "g1") == 6
    assert sg("sg_fn_gone", CALLS, "g2") == 8
    assert channel.take() == [b"f+ 1 add", b"f+ 2 a function", b"f- 3 add", b"f+ 4 add", b"f- 5 add", b"g- 6 g1", b"f- 7 a function", b"g- 8 g2"]
    assert sg.keys() == {b"sg:@{calls}:r", b"sg:@{calls}:k"}


def test_serve_and_leave_clean_up(sg):
    for name in ("a", "b"):
        sg("sg_fn_serve", CALLS, "g1", "e1", name, LEASE_MS)
    for name in ("a", "b"):
        sg("sg_fn_leave", CALLS, "g1", "e1", name)
    assert sg.keys() == {b"sg:@{calls}:r", b"sg:@{calls}:g", b"sg:@{calls}:k"}


def test_call_and_result(sg, listen):
    one, two = listen(CALLS + ":g1"), listen(CALLS + ":g2")
    sg("sg_fn_serve", CALLS, "g1", "e1", "add me", LEASE_MS)
    assert sg("sg_fn_call", CALLS, "add me", "c7", "g2", 30000, '{"a": 1}') == [b"g1", b"e1"]
    assert sg("sg_fn_call", CALLS, "add me", "c8", "g2", 1, "") == [b"g1", b"e1"]
    assert one.take() == [b'c c7 g2 e1 30000 6 add me {"a": 1}', b"c c8 g2 e1 1 6 add me "]
    assert busy(sg, "add me") == {"g1 e1": 2}
    assert sg("sg_fn_done", CALLS, "g1", "e1", "c7", "g2", "v  [1, 2]") == 1
    assert sg("sg_fn_done", CALLS, "g1", "e1", "c8", "g2", "e 6 a is missing") == 1
    assert busy(sg, "add me") == {"g1 e1": 0}
    assert sg("sg_fn_done", CALLS, "g1", "e1", "c9", "g2", "n") == 1
    assert busy(sg, "add me") == {"g1 e1": 0}, "never below nothing"
    assert sg("sg_fn_done", CALLS, "g1", "e9", "c9", "nobody", "n") == 0
    assert two.take() == [b"r c7 v  [1, 2]", b"r c8 e 6 a is missing", b"r c9 n"]
    assert sg.client.hgetall(CALLS + ":e:g1") == {b"e1": b"0"}


def test_call_takes_the_least_busy(sg, listen):
    mailboxes = [listen(f"{CALLS}:g{number}") for number in (1, 2)]
    for gateway in ("g1", "g2"):
        for executor in ("a", "b"):
            sg("sg_fn_serve", CALLS, gateway, executor, "f", LEASE_MS)
    first_choices = set()
    for _ in range(60):
        chosen = [b" ".join(sg("sg_fn_call", CALLS, "f", "c", "g1", 1000, "")) for _ in range(4)]
        first_choices.add(chosen[0])
        assert sorted(chosen) == [b"g1 a", b"g1 b", b"g2 a", b"g2 b"], "nobody gets a second call before all have one"
        for executor in chosen:
            gateway, name = executor.split(b" ")
            sg("sg_fn_done", CALLS, gateway, name, "c", "g1", "n")
    assert len(first_choices) == 4, "equals are chosen in no fixed order"
    assert sum(payload[:1] == b"c" for mailbox in mailboxes for payload in mailbox.take()) == 240


def test_busy_counts_span_functions(sg, listen):
    """An executor that works for one function is busy for its others too; a beat sets the truth."""
    listen(CALLS + ":g1")
    for executor, name in (("e1", "f"), ("e1", "g"), ("e2", "g")):
        sg("sg_fn_serve", CALLS, "g1", executor, name, LEASE_MS)
    sg("sg_fn_call", CALLS, "f", "c", "g1", 1000, "")
    assert busy(sg, "g") == {"g1 e1": 1, "g1 e2": 0}
    assert sg("sg_fn_call", CALLS, "g", "c", "g1", 1000, "") == [b"g1", b"e2"]
    revision = sg("sg_fn_beat", CALLS, "g1", LEASE_MS, "e1", 0, "e2", 7, "unknown", 3)
    assert revision == 2
    assert busy(sg, "f") == {"g1 e1": 0}
    assert busy(sg, "g") == {"g1 e1": 0, "g1 e2": 7}
    assert sg("sg_fn_serve", CALLS, "g1", "e2", "f", LEASE_MS) == 2
    assert busy(sg, "f") == {"g1 e1": 0, "g1 e2": 7}
    assert sg.client.hgetall(CALLS + ":e:g1") == {b"e1": b"0", b"e2": b"7"}


def test_call_of_nobody(sg):
    sg.refuses("SGNAME", "sg_fn_call", CALLS, "f", "c", "g1", 1000, "")


def test_call_passes_by_a_gateway_without_ears(sg, listen):
    """A gateway whose link is cut has its lease to come back: calls go to those that listen, or learn that nobody does."""
    channel, mailbox = listen(CALLS), listen(CALLS + ":g2")
    for executor in range(30):
        sg("sg_fn_serve", CALLS, "g1", f"e{executor}", "f", LEASE_MS)
    sg("sg_fn_serve", CALLS, "g1", "e1", "only here", LEASE_MS)
    sg("sg_fn_serve", CALLS, "g2", "e2", "f", LEASE_MS)
    sg("sg_fn_beat", CALLS, "g2", LEASE_MS, "e2", 5)
    for number in range(50):  # whichever it compares first
        assert sg("sg_fn_call", CALLS, "f", f"c{number}", "g2", 1000, "{}") == [b"g2", b"e2"]
    assert len(mailbox.take()) == 50
    sg.refuses("SGAWAY", "sg_fn_call", CALLS, "only here", "c2", "g2", 1000, "{}")
    assert channel.take() == [b"f+ 1 f", b"f+ 2 only here"]
    back = listen(CALLS + ":g1")
    assert sg("sg_fn_call", CALLS, "only here", "c3", "g2", 1000, "{}") == [b"g1", b"e1"]
    assert back.take() == [b"c c3 g2 e1 1000 9 only here {}"]


def test_call_passes_by_an_ended_lease(sg, listen):
    """Who may not live any more is not asked, even when it listens; the next beat of anybody buries it."""
    channel, one = listen(CALLS), listen(CALLS + ":g1")
    sg("sg_fn_serve", CALLS, "g1", "e1", "f", LEASE_MS)
    expire_lease(sg, "g1")
    sg.refuses("SGNAME", "sg_fn_call", CALLS, "f", "c1", "g2", 1000, "{}")
    assert one.take() == []
    assert sg("sg_fn_beat", CALLS, "g2", LEASE_MS) == 3
    assert channel.take() == [b"f+ 1 f", b"f- 2 f", b"g- 3 g1"]


def commands_of(sg, *calls):
    """How many commands the functions gave to Redis, by its own account."""
    sg.client.config_resetstat()
    sg.pipeline(calls)
    return sum(row["calls"] for name, row in sg.client.info("commandstats").items() if name not in ("cmdstat_fcall", "cmdstat_config|resetstat"))


def test_a_call_costs_the_same_however_much_its_executor_serves(sg, listen):
    listen(CALLS + ":g1")
    counts = []
    for served in (1, 10, 1000):
        sg.pipeline([("sg_fn_serve", CALLS, "g1", "e1", f"f{number}", LEASE_MS) for number in range(served)])
        counts.append(commands_of(sg, ("sg_fn_call", CALLS, "f0", "c", "g2", 1000, ""), ("sg_fn_done", CALLS, "g1", "e1", "c", "g2", "n"),
                                  ("sg_fn_beat", CALLS, "g1", LEASE_MS, "e1", served)))
    assert counts[0] == counts[1] == counts[2]


def test_a_call_of_many_executors_costs_no_more(sg, listen):
    """It compares eight of them and takes the least busy of those."""
    listen(CALLS + ":g1")
    for executor in range(1000):
        sg("sg_fn_serve", CALLS, "g1", f"e{executor}", "f", LEASE_MS)
    counts = {commands_of(sg, ("sg_fn_call", CALLS, "f", "c", "g2", 1000, "")) for _ in range(20)}
    assert max(counts) <= 8 + 8
    assert sg("sg_fn_list", CALLS) == [1, b"f"]


def test_held_tells_everything_in_pieces(sg):
    wanted = set()
    for executor in range(700):
        for name in ("f", f"only {executor}"):
            sg("sg_fn_serve", CALLS, "g1", f"e{executor}", name, LEASE_MS)
            wanted.add((f"e{executor}".encode(), name.encode()))
    sg("sg_fn_serve", CALLS, "g2", "e1", "f", LEASE_MS)
    place, told, pieces = b"0", set(), 0
    while pieces == 0 or place != b"0":
        place, *rows = sg("sg_fn_held", CALLS, "g1", place)
        told.update(zip(rows[::2], rows[1::2]))
        pieces += 1
    assert told == wanted and pieces > 1
    assert sg("sg_fn_held", CALLS, "nobody", 0) == [b"0"]


def test_a_gateway_that_is_back(sg, listen):
    """It says so, learns which of its calls came, and none of the others comes after that."""
    channel, one = listen(CALLS), listen(CALLS + ":g1")
    sg("sg_fn_serve", CALLS, "g1", "e1", "f", LEASE_MS)
    assert sg("sg_fn_back", CALLS, "g2", 0) == 0
    with pytest.raises(redis.exceptions.ResponseError, match="^SGNAME "):
        sg("sg_fn_call", CALLS, "g", "1", "g2", 1000, "")
    assert sg("sg_fn_call", CALLS, "f", "2", "g2", 1000, "") == [b"g1", b"e1"]
    assert sg("sg_fn_back", CALLS, "g2", 4) == 2
    for late in (2, 3, 4):
        sg.refuses("SGARG", "sg_fn_call", CALLS, "f", late, "g2", 1000, "")
    assert sg("sg_fn_call", CALLS, "f", "5", "g2", 1000, "") == [b"g1", b"e1"]
    assert sg("sg_fn_call", CALLS, "f", "3", "g3", 1000, "") == [b"g1", b"e1"], "each counts for itself"
    assert [payload.split()[1] for payload in one.take()] == [b"2", b"5", b"3"]
    assert channel.take() == [b"f+ 1 f", b"b g2", b"b g2"]
    for gateway in ("g1", "g2", "g3"):
        sg("sg_fn_gone", CALLS, gateway)
    assert sg.keys() == {b"sg:@{calls}:r", b"sg:@{calls}:k"}


def test_asking_again(sg, listen):
    one, two = listen(CALLS + ":g1"), listen(CALLS + ":g2")
    assert sg("sg_fn_again", CALLS, "g3", "g1", "7", "g2", "8", "away", "9") == 2
    assert one.take() == [b"a 7 g3"] and two.take() == [b"a 8 g3"]


def test_beat_buries_the_dead(sg, listen):
    channel = listen(CALLS)
    sg("sg_fn_beat", CALLS, "caller", LEASE_MS)
    sg("sg_fn_serve", CALLS, "g1", "e1", "f", LEASE_MS)
    sg("sg_fn_serve", CALLS, "g2", "e1", "f", LEASE_MS)
    for gateway in ("g1", "caller"):
        expire_lease(sg, gateway)
    assert sg("sg_fn_beat", CALLS, "g2", LEASE_MS) == 3
    assert sorted(payload.split()[::2] for payload in channel.take()[1:]) == [[b"g-", b"caller"], [b"g-", b"g1"]]
    expire_lease(sg, "g2")
    assert sg("sg_fn_beat", CALLS, "g2", LEASE_MS) == 3, "who beats lives"
    assert sg("sg_fn_list", CALLS) == [3, b"f"]
    assert busy(sg, "f") == {"g2 e1": 0}


def step_clock(sg, seconds):
    """As if the clock of Redis had been set: what the lease clock compares it with lies that much further back."""
    sg.client.hincrby(CALLS + ":k", "w", -1000 * seconds)


def test_no_step_of_the_clock_ends_or_prolongs_a_lease(sg):
    """Two hours ahead, an hour back: it counts as one beat at most, and time goes on from there."""
    beats = itertools.count()

    def shown():
        sg("sg_fn_beat", CALLS, f"other{next(beats)}", 86400000)
        return int(sg.client.hget(CALLS + ":k", "n"))
    sg("sg_fn_serve", CALLS, "g1", "e1", "f", 9000)
    sg("sg_fleet_beat", CALLS, "g1", "{}", 15000)
    began, started = shown(), time.monotonic()
    step_clock(sg, 7200)
    assert sg("sg_fleet_list", CALLS, 15000)[::3] == [b"g1"]
    ahead = shown()
    assert 3000 <= ahead - began <= 3000 + 1000 * (time.monotonic() - started + 1)
    assert sg("sg_fn_list", CALLS) == [1, b"f"], "nobody is buried"
    step_clock(sg, -3600)
    back = shown()
    assert back >= ahead, "never back"
    assert sg("sg_fleet_beat", CALLS, "g2", "{}", 15000) == 2
    assert all(0 <= age <= 15000 for age in sg("sg_fleet_list", CALLS, 15000)[1::3])
    for _ in range(9):  # of a lease that nobody renews no hour is left
        step_clock(sg, 1)
        shown()
    assert sg("sg_fn_list", CALLS)[1:] == []


def test_lease_runs_out_by_the_clock_of_redis(sg, listen):
    channel = listen(CALLS)
    sg("sg_fn_serve", CALLS, "g1", "e1", "f", 1)
    while sg("sg_fn_beat", CALLS, "g2", LEASE_MS) < 3:
        pass
    assert channel.take() == [b"f+ 1 f", b"f- 2 f", b"g- 3 g1"]


def test_call_functions_refuse(sg):
    for word in ("", "a b", "x" * 65, "ü", "a\n"):
        sg.refuses("SGARG", "sg_fn_serve", CALLS, word, "e", "f", 1000)
        sg.refuses("SGARG", "sg_fn_serve", CALLS, "g", word, "f", 1000)
        sg.refuses("SGARG", "sg_fn_leave", CALLS, word, "e", "f")
        sg.refuses("SGARG", "sg_fn_leave", CALLS, "g", word, "f")
        sg.refuses("SGARG", "sg_fn_gone", CALLS, word)
        sg.refuses("SGARG", "sg_fn_beat", CALLS, word, 1000)
        sg.refuses("SGARG", "sg_fn_call", CALLS, "f", word, "g", 1000, "")
        sg.refuses("SGARG", "sg_fn_call", CALLS, "f", "c", word, 1000, "")
        for place in range(4):
            words = ["g", "e", "c", "g2"]
            words[place] = word
            sg.refuses("SGARG", "sg_fn_done", CALLS, *words, "n")
    for lease in ("", "0", "-1", "x", "1.5", "86400001"):
        sg.refuses("SGARG", "sg_fn_serve", CALLS, "g", "e", "f", lease)
        sg.refuses("SGARG", "sg_fn_beat", CALLS, "g", lease)
    for name in ("", "a{b", "a\0", b"\xff", "x" * 513):
        sg.refuses("SGNAME", "sg_fn_serve", CALLS, "g", "e", name, 1000)
    for timeout in ("", "0", "-1", "x"):
        sg.refuses("SGARG", "sg_fn_call", CALLS, "f", "c", "g", timeout, "")
        sg.refuses("SGARG", "sg_fn_back", CALLS, "g", timeout) if timeout != "0" else None
    for place in ("", "-1", "x", "1" * 21):
        sg.refuses("SGARG", "sg_fn_held", CALLS, "g", place)
    sg.refuses("SGARG", "sg_fn_held", CALLS, "a b", 0)
    sg.refuses("SGARG", "sg_fn_back", CALLS, "a b", 0)
    for words in (["a b", "g", "c"], ["g", "a b", "c"], ["g", "g", "a b"], ["g", "g", "c", "g"], ["g"] * 2003):
        sg.refuses("SGARG", "sg_fn_again", CALLS, *words)
    sg.refuses("SGARG", "sg_fn_beat", CALLS, "g", 1000, "e")
    sg.refuses("SGARG", "sg_fn_beat", CALLS, "g", 1000, "e", "-1")
    sg.refuses("SGARG", "sg_fn_beat", CALLS, "g", 1000, "e", "x")


def test_identity_of_callers(sg, listen):
    mailbox = listen(CALLS + ":g")
    sg("sg_fn_serve", CALLS, "g", "e", "add", 60000, "identity,later")
    assert sg("sg_fn_call", CALLS, "add", "1", "w", 1000, '{"a":1}', '{"user":"42"}') == [b"g", b"e"]
    assert sg("sg_fn_call", CALLS, "add", "2", "w", 1000, "") == [b"g", b"e"]
    sg("sg_fn_serve", CALLS, "g", "e", "old", 60000)
    assert sg("sg_fn_call", CALLS, "old", "3", "w", 1000, "{}", '{"user":"42"}') == [b"g", b"e"]
    sg("sg_fn_serve", CALLS, "g", "e", "add", 60000)
    assert sg("sg_fn_call", CALLS, "add", "4", "w", 1000, "{}", "null") == [b"g", b"e"]
    assert mailbox.take() == [b'c 1 w e 1000 3 13 add {"user":"42"} {"a":1}', b"c 2 w e 1000 3 4 add null ", b"c 3 w e 1000 3 old {}",
                              b"c 4 w e 1000 3 add {}"]
    for executor in range(40):
        sg("sg_fn_serve", CALLS, "deaf", f"d{executor}", "many", 60000)
    sg("sg_fn_serve", CALLS, "g", "e", "many", 60000, "identity")
    assert sg("sg_fn_call", CALLS, "many", "5", "w", 1000, "{}", "7") == [b"g", b"e"], "found behind those that do not listen"
    assert mailbox.take() == [b"c 5 w e 1000 4 1 many 7 {}"]


def test_cancelling_and_progress(sg, listen):
    executor, caller = listen(CALLS + ":g"), listen(CALLS + ":w")
    sg("sg_fn_serve", CALLS, "g", "e", "add", 60000)
    assert sg("sg_fn_cancel", CALLS, "g", "e", "1", "w", "caller") == 0, "it did not ask"
    sg("sg_fn_serve", CALLS, "g", "e", "add", 60000, "identity,cancel,progress")
    for reason in ("caller", "gone", "deadline"):
        assert sg("sg_fn_cancel", CALLS, "g", "e", "1", "w", reason) == 1
    sg("sg_fn_leave", CALLS, "g", "e", "add")
    assert sg("sg_fn_cancel", CALLS, "g", "e", "2", "w", "gone") == 1, "what it has runs on"
    assert executor.take() == [b"k 1 w e caller", b"k 1 w e gone", b"k 1 w e deadline", b"k 2 w e gone"]
    assert sg("sg_fn_progress", CALLS, "1", "w", '{"percent": 5}') == 1
    assert sg("sg_fn_progress", CALLS, "1", "nobody", "5") == 0
    assert caller.take() == [b'p 1 {"percent": 5}']
    sg("sg_fn_gone", CALLS, "g")
    assert sg("sg_fn_cancel", CALLS, "g", "e", "1", "w", "gone") == 0
    assert sg.keys() == {b"sg:@{calls}:r", b"sg:@{calls}:k"}


def test_identity_cancel_and_progress_refuse(sg):
    sg("sg_fn_serve", CALLS, "g", "e", "add", 60000, "cancel")
    for features in ("Cancel", "a b", "a" * 257, "identity;cancel"):
        sg.refuses("SGARG", "sg_fn_serve", CALLS, "g", "e", "add", 60000, features)
    sg.refuses("SGARG", "sg_fn_call", CALLS, "add", "1", "w", 1000, "", '"' + "x" * 4095 + '"')
    sg.refuses("SGJSON", "sg_fn_call", CALLS, "add", "1", "w", 1000, "", "user")
    sg.refuses("SGJSON", "sg_fn_call", CALLS, "add", "1", "w", 1000, "", "")
    sg.refuses("SGARG", "sg_fn_cancel", CALLS, "g", "e", "1", "w", "bored")
    sg.refuses("SGARG", "sg_fn_cancel", CALLS, "g", "e", "", "w", "gone")
    sg.refuses("SGJSON", "sg_fn_progress", CALLS, "1", "w", "{")
    sg.refuses("SGARG", "sg_fn_progress", CALLS, "1 2", "w", "1")


# --- the manual --------------------------------------------------------------------------------------


def manual():
    with open(os.path.join(REPOSITORY, "docs", "redis-api.md"), encoding="utf-8") as text:
        return text.read()


def test_examples_of_the_manual(server, sg):
    """Every example was run: redis-cli says again what the manual shows."""
    blocks = re.findall(r"^```redis\n(.*?)^```$", manual(), re.M | re.S)
    assert len(blocks) >= 4
    for block in blocks:
        commands = re.findall(r"^> (.*)$", block, re.M)
        cli = subprocess.run(["redis-cli", "--no-raw", "-s", server.socket_path], input="\n".join(commands) + "\n", text=True, capture_output=True, check=True)
        assert cli.stdout.rstrip("\n") == re.sub(r"^> .*\n", "", block, flags=re.M).rstrip("\n")


def test_manual_names_every_function(sg):
    (library,) = sg.client.execute_command("FUNCTION", "LIST", "LIBRARYNAME", "syncgate")
    library = dict(zip(library[::2], library[1::2]))
    names = {dict(zip(row[::2], row[1::2]))[b"name"].decode() for row in library[b"functions"]}
    assert set(re.findall(r"^\| `(sg_\w+)`", manual(), re.M)) == names


# --- where it runs -----------------------------------------------------------------------------------


def test_rights(server, sg):
    """The rules of docs/redis-api.md suffice, and whoever may not publish changes nothing."""
    rules = dict(re.findall(r"^ACL SETUSER (writer|gateway) on >secret (.+)$", manual().replace("\\\n", ""), re.M))
    assert set(rules) == {"writer", "gateway"}
    for user, rule in rules.items():
        sg.client.execute_command("ACL", "SETUSER", user, "reset", "on", ">secret", *rule.split())
    with server.client(username="writer", password="secret") as client:
        writer = Library(client)
        assert writer("sg_var_set", "sg:{a}", "1") == 1
        assert writer("sg_var_set", "sg:{a}", "2", 1) == 2
        assert writer("sg_var_delete", "sg:{a}") == 1
        assert writer("sg_var_set", "sg:{a}", "2") == 4
        for number in range(300):
            writer("sg_list_insert", "sg:{l}", min(number, 1), number, "1")
        writer("sg_list_move", "sg:{l}", 5, 7)
        writer("sg_list_set", "sg:{l}", 5, "1")
        writer("sg_list_delete", "sg:{l}", 5)
        writer("sg_list_page", "sg:{l}", 0, 5)
        writer("sg_list_get", "sg:{l}", 6)
        writer("sg_list_set_all", "sg:{l}", '[{"id":1,"value":2}]')
        writer("sg_list_drop", "sg:{l}")
        for number in range(2):
            writer("sg_list_put", "sg:{l}", str(number), 1, "1")
        with pytest.raises(redis.exceptions.ResponseError, match="^SGREV "):
            writer("sg_list_put", "sg:{l}", "1", 1, "1", 0)
        with pytest.raises(redis.exceptions.ResponseError, match="^SGREV "):
            writer("sg_list_put", "sg:{l}", "1", 2, "1", 0)
        for command in (("GET", "other"), ("SPUBLISH", "other", "x"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("FCALL", "sg_var_set", 1, "other:{a}", "1")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
    with server.client(username="gateway", password="secret") as client:
        gateway = Library(client)
        client.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY)
        gateway("sg_fn_serve", CALLS, "g", "e", "f", 1000)
        gateway("sg_fn_beat", CALLS, "g", 1000, "e", 1)
        with pytest.raises(redis.exceptions.ResponseError, match="^SGAWAY "):
            gateway("sg_fn_call", CALLS, "f", "c", "g", 1000, "")
        gateway("sg_fn_serve", CALLS, "g", "e", "f", 1000, "identity,cancel,progress")
        gateway("sg_fn_cancel", CALLS, "g", "e", "c", "g", "gone")
        gateway("sg_fn_progress", CALLS, "c", "g", "1")
        gateway("sg_fn_done", CALLS, "g", "e", "c", "g", "n")
        with pytest.raises(redis.exceptions.ResponseError, match="^SGAWAY "):
            gateway("sg_fn_call", CALLS, "f", "1", "g", 1000, "")
        for executor in range(20):
            gateway("sg_fn_serve", CALLS, "g", f"e{executor}", "f", 1000)
        with pytest.raises(redis.exceptions.ResponseError, match="^SGAWAY "):
            gateway("sg_fn_call", CALLS, "f", "2", "g", 1000, "")
        gateway("sg_fn_held", CALLS, "g", 0)
        gateway("sg_fn_back", CALLS, "g", 2)
        gateway("sg_fn_again", CALLS, "g", "g", "c")
        gateway("sg_fleet_beat", CALLS, "g", "{}", 15000)
        gateway("sg_fleet_list", CALLS, 15000)
        gateway("sg_fn_leave", CALLS, "g", "e", "f")
        gateway("sg_fn_gone", CALLS, "g")
        gateway("sg_fn_list", CALLS)
        gateway("sg_list_read", "sg:{l}", 1, 0, 1, 0)
        gateway("sg_state", "sg:{l}")
        gateway("sg_var_read", "sg:{a}")
    sg.client.execute_command("ACL", "SETUSER", "mute", "reset", "on", ">secret", "+@all", "~*")
    with server.client(username="mute", password="secret") as client:
        before = sg.contents()
        for call in (("sg_var_set", "a", "9"), ("sg_var_delete", "a"), ("sg_list_put", "l", "5", 1, "1"), ("sg_list_put", "l", "1", 2, "1"),
                     ("sg_list_set", "l", 1, "5"), ("sg_list_delete", "l", 1), ("sg_list_drop", "l"), ("sg_list_insert", "new", 0, 1, "1"),
                     ("sg_list_set_all", "l", '[{"id":1,"value":2,"sort":"x"}]')):
            with pytest.raises(redis.exceptions.ResponseError, match="publish|channel"):
                client.fcall(call[0], 1, *call[1:])
        assert sg.contents() == before
    for user in (*rules, "mute"):
        sg.client.execute_command("ACL", "DELUSER", user)


def test_reads_on_a_read_only_call(sg):
    sg("sg_var_set", "a", "1")
    sg("sg_list_insert", "l", 0, "a", "1")
    for call in (("sg_var_get", "a"), ("sg_var_read", "a"), ("sg_state", "a"), ("sg_list_get", "l", "a"), ("sg_list_page", "l", 0, 1),
                 ("sg_list_read", "l", 0, 0), ("sg_fn_list", CALLS)):
        assert sg.client.execute_command("FCALL_RO", call[0], 1, *call[1:])
    with pytest.raises(redis.exceptions.ResponseError, match="write flag|no-writes|\\*_ro"):
        sg.client.execute_command("FCALL_RO", "sg_var_set", 1, "a", "1")


def test_cluster():
    """On a cluster node everything of one name lives in one slot, whether the key is the bare name or the full root."""
    with RedisServer(args=["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]) as node, node.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
            pass
        node.load_library()
        sg = Library(client)
        for name in ("price", "sg:{price}", "acme:{price}"):
            assert isinstance(sg("sg_var_set", name, "1"), int)
            assert isinstance(sg("sg_list_insert", name, 0, name.strip("{}"), "1"), int)
            assert sg("sg_list_page", name, 0, 1)[0] == sg("sg_state", name)[2]
        channel = Channel(node, CALLS + ":g1")
        sg("sg_fn_serve", CALLS, "g1", "e", "f", 60000)
        assert sg("sg_fn_call", CALLS, "f", "c", "g1", 1000, "") == [b"g1", b"e"]
        assert channel.next() == b"c c g1 e 1000 1 f "
        channel.close()


def test_data_and_library_survive_a_restart():
    with RedisServer(keep_data=True) as server:
        server.load_library()
        with server.client() as client:
            sg = Library(client)
            sg("sg_var_set", "a", '"kept"')
            sg("sg_list_insert", "l", 0, "a", "1")
            before = sg.contents()
        server.restart()
        with server.client() as client:
            sg = Library(client)
            assert sg.contents() == before
            assert sg("sg_var_set", "a", "2") == 2
            assert sg("sg_list_insert", "l", 1, "b", "2") == 2
