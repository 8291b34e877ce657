"""syncgate --selftest: what it finds in a Redis as it should be, and in others; and that nothing of it stays."""
import os
import re
import subprocess

import pytest

from gateway import BINARY, free_port
from redis_server import RedisServer

RIGHTS = ("+@connection +fcall +fcall_ro +function|load +ssubscribe +sunsubscribe +spublish +@hash +@sortedset +@set "
          "+get +incr +del +unlink +exists +copy +expire +persist +time").split()


def selftest(*flags):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SYNCGATE_")}
    done = subprocess.run([BINARY, "--selftest", *flags], env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout


def line(subject, text):
    """(level, what was found) of one subject."""
    found = re.search(f"^(ok|note|BAD) +{subject} +(.*)$", text, re.M)
    assert found, f"no {subject} in:\n{text}"
    return found[1], found[2]


def levels(text):
    return {found[2].strip(): found[1] for found in re.finditer(r"^(ok|note|BAD) +(.{12}) ", text, re.M)}


@pytest.fixture
def redis():
    """A Redis of its own for each test: rights and settings are changed."""
    with RedisServer() as server:
        with server.client(decode_responses=True) as client:
            yield server, client


def url(server, user="", db=0):
    return f"redis://{user}127.0.0.1:{server.port}/{db}"


def everything(client):
    """All keys of all databases, the library, and the channels somebody listens to."""
    return client.info("keyspace"), client.execute_command("FUNCTION", "LIST"), client.execute_command("PUBSUB", "SHARDCHANNELS"), sorted(client.keys())


def test_a_redis_before_its_first_gateway(redis):
    server, client = redis
    before = everything(client)
    code, text = selftest("--redis", url(server))
    assert code == 0 and text.endswith("\nall is well\n")
    assert line("library", text) == ("note", "not there yet: the first gateway loads it")
    for subject in "redis", "rights", "memory", "output limit", "two links", "clocks", "latency":
        assert line(subject, text)[0] == "ok"
    assert everything(client) == before


def test_with_the_library_a_change_goes_through(redis):
    server, client = redis
    server.load_library()
    before = everything(client)
    code, text = selftest("--redis", url(server))
    assert code == 0
    assert line("library", text)[0] == line("a change", text)[0] == "ok"
    assert everything(client) == before


def test_another_database_hears_its_own_channel(redis):
    server, client = redis
    server.load_library()
    before = everything(client)
    code, text = selftest("--redis", url(server, db=3))
    assert code == 0 and line("a change", text)[0] == "ok"
    assert everything(client) == before


def test_a_note_of_the_functions_that_was_there_stays(redis):
    server, client = redis
    server.load_library()
    client.fcall("sg_var_set", 1, "sg:{price}", "1")
    assert client.exists("sg:@{db}")
    selftest("--redis", url(server))
    assert client.exists("sg:@{db}")


def test_the_documented_rights_are_enough(redis):
    server, client = redis
    server.load_library()
    client.execute_command("ACL", "SETUSER", "gateway", "on", ">secret", "~sg:*", "&sg:*", *RIGHTS)
    code, text = selftest("--redis", url(server, "gateway:secret@"))
    assert code == 0 and line("rights", text)[0] == "ok"
    assert line("settings", text)[0] == "note"  # which it may not see
    assert client.keys("*selftest*") == []


@pytest.mark.parametrize("right", [right for right in RIGHTS if right != "+@connection"])
def test_each_right_that_is_missing_is_named(redis, right):
    server, client = redis
    client.execute_command("ACL", "SETUSER", "gateway", "on", ">secret", "~sg:*", "&sg:*", *RIGHTS, "-" + right[1:])
    code, text = selftest("--redis", url(server, "gateway:secret@"))
    level, found = line("rights", text)
    # Taking a category away takes its commands, and +@hash and the like share none with the rest.
    assert code == 1 and level == "BAD" and right in found.split(), text
    assert "ACL SETUSER gateway " in text
    assert client.keys("*selftest*") == []


def test_keys_and_channels_that_are_missing_are_named(redis):
    server, client = redis
    client.execute_command("ACL", "SETUSER", "gateway", "on", ">secret", "~other:*", "&other:*", *RIGHTS)
    code, text = selftest("--redis", url(server, "gateway:secret@"))
    assert code == 1 and line("rights", text) == ("BAD", "missing: '~sg:*' '&sg:*'")
    code, text = selftest("--redis", url(server, "gateway:secret@"), "--prefix", "other:")
    assert code == 0


def test_settings_that_lose_state(redis):
    server, client = redis
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 10")
    code, text = selftest("--redis", url(server))
    assert code == 1 and text.endswith("\n2 to mend\n")
    assert line("memory", text)[0] == line("output limit", text)[0] == "BAD"
    assert "CONFIG SET maxmemory-policy noeviction" in text
    # The cures are lines for the shell.
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 30")
    assert selftest("--redis", url(server))[0] == 0


def test_a_wrong_password_is_told_as_one(redis):
    server, client = redis
    client.execute_command("ACL", "SETUSER", "gateway", "on", ">secret", "~sg:*", "&sg:*", *RIGHTS)
    code, text = selftest("--redis", url(server, "gateway:hunter22@"))
    assert code == 1 and "wrong user or password" in text and "cannot reach" not in text and "hunter22" not in text
    code, text = selftest("--redis", url(server, db=99))
    assert code == 1 and "no such database" in text


def test_nobody_there():
    code, text = selftest("--redis", f"redis://127.0.0.1:{free_port()}")
    assert code == 1 and line("redis", text)[1].startswith("cannot reach 127.0.0.1:")


def test_it_wants_to_know_which_redis():
    code, text = selftest()
    assert code == 1 and "--redis" in text
