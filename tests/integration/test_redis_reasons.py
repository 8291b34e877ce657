"""Why a Redis cannot be used is said in words that tell what to do, by a gateway that waits for it and by --selftest."""
import re
import socket
import subprocess
import threading

import pytest

from gateway import BINARY, free_port, poll
from redis_server import RedisServer
from test_selftest import selftest


class Old:
    """Answers every command as a Redis of that version answers HELLO."""

    def __init__(self, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.answer = answer
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.socket.getsockname()[1]}"

    def _accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer:
            try:
                while chunk := peer.recv(65536):
                    peer.sendall(self.answer * chunk.count(b"*"))
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


REDIS_5 = b"-ERR unknown command `HELLO`, with args beginning with: `3`, `SETNAME`, `syncgate`, \r\n"
REDIS_6 = (b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.2.14\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n"
           b"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n")


def said(gateways, url, pattern):
    """What a gateway says of that Redis while it waits for it."""
    gateway = gateways.new("--redis", url, redis=None)
    gateway.launch()
    poll(lambda: re.search(pattern, gateway.stderr()), f"{pattern} in the log")
    return gateway.stderr()


@pytest.mark.parametrize("answer, words", [(REDIS_5, "Redis 5 or older: Redis 7.0 or newer is needed"),
                                           (REDIS_6, "it is Redis 6.2.14, which is too old: 7.0 or newer is needed")])
def test_too_old(gateways, answer, words):
    with Old(answer) as old:
        assert "cannot reach" not in said(gateways, old.url, re.escape(words))
        code, text = selftest("--redis", old.url)
        assert code == 1 and words in text


def test_a_wrong_password(gateways):
    with RedisServer() as server:
        with server.client() as client:
            client.config_set("requirepass", "secret")
        for url, words in [(f"redis://:hunter22@127.0.0.1:{server.port}", "wrong user or password"),
                           (f"redis://127.0.0.1:{server.port}", "it wants a password")]:
            text = said(gateways, url, words)
            assert "cannot reach" not in text and "hunter22" not in text


def test_a_database_that_is_not_there(gateways, redis_server):
    assert "cannot reach" not in said(gateways, redis_server.url + "/99", "no such database")


def test_waiting_is_told(gateways):
    """The first time after a few seconds; how the pauses grow: tests/unit/gateway/process/waiting_test.c."""
    text = said(gateways, f"redis://127.0.0.1:{free_port()}", "still waiting for Redis")
    assert re.search(r'level=warn msg="still waiting for Redis" seconds=3$', text, re.M)


def test_full_check_names_the_same():
    with Old(REDIS_6) as old:
        done = subprocess.run([BINARY, "--check-config=full", "--redis", old.url, "--listen", f"127.0.0.1:{free_port()}"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "6.2.14" in done.stdout
