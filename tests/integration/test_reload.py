"""SIGHUP: what the configuration says now counts at once, no connection breaks, and a file that is not good changes nothing."""
import asyncio
import json
import signal
import socket
import ssl
import subprocess

import pytest
from websockets.legacy import client as websocket_client  # what both 10 (Debian 12) and 15 (Debian 13) have

from gateway import until
from peer import Peer
from test_admin import ask
from test_endpoints import refused
from test_functions import Held, answer, begin, received

TOKENS = """
tokens:
  - { token: "boss", name: boss, subscribe: ["*"], call: ["*"], write: ["*"], serve: ["*"], admin: true }
"""


class Reloaded:
    """A gateway and its file."""

    def __init__(self, gateways, folder, text, *flags, **options):
        self.path = folder / "syncgate.yaml"
        self.path.write_text(text)
        self.gateway = gateways.start("--config", self.path, *flags, dev=False, **options)

    def count(self, result):
        return sum(value for key, value in self.gateway.metrics().items()
                   if key.startswith("syncgate_reloads_total") and f'result="{result}"' in key)

    async def load(self, text=None, result="ok", processes=1):
        """Writes the file, if there is something to write, and waits until it was read."""
        before = await asyncio.to_thread(self.count, result)
        if text is not None:
            self.path.write_text(text)
        self.gateway.signal(signal.SIGHUP)

        async def read():
            return await asyncio.to_thread(self.count, result) == before + processes
        await until(read, "the file is read")


@pytest.fixture
def reloaded(gateways, tmp_path):
    return lambda text, *flags, **options: Reloaded(gateways, tmp_path, text, *flags, **options)


async def test_connections_stay_and_new_grants_count_at_once(reloaded, peers, db, name):
    one = reloaded("anonymous: {subscribe: []}")
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(one.gateway, tolerant=True)
    await peer.subscribe("var", name)
    await peer.expect_error(3, type="var", name=name)
    await one.load(f'anonymous: {{subscribe: ["{name}"]}}')
    await peer.subscribed("var", name)
    await db.fcall("sg_var_set", name, "2")
    await peer.until(lambda: peer.state.value(name) == "2", "the change")


async def test_what_is_not_granted_any_more_ends_and_the_rest_goes_on(reloaded, peers, db, name):
    kept, lost, rows = f"{name}:kept", f"{name}:lost", f"{name}:rows"
    it = reloaded('anonymous: {subscribe: ["*"]}')
    for one in (kept, lost):
        await db.fcall("sg_var_set", one, "1")
    await db.fcall("sg_list_set_all", rows, json.dumps([{"id": "a", "value": 1}]))
    raw = await peers.bare(it.gateway.address)

    async def told():
        return json.loads(await raw.recv_text())
    for fields in ({"type": "var", "name": kept}, {"type": "var", "name": lost}, {"type": "list", "name": rows},
                   {"type": "list", "name": rows, "id": "a"}):
        await raw.send(func="subscribe", **fields)
        assert (await told())["func"] != "error"
    await it.load(f'anonymous: {{subscribe: ["{kept}"]}}')
    errors = [await told() for _ in range(3)]
    assert all(error["func"] == "error" and error["error_code"] == 3 for error in errors), errors
    assert sorted((error["type"], error["name"], error.get("id")) for error in errors if "id" not in error) == [
        ("list", rows, None), ("var", lost, None)]
    assert [error["id"] for error in errors if "id" in error] == ["a"]
    await db.fcall("sg_var_set", lost, "2")
    await db.fcall("sg_list_set", rows, "a", "2")
    await db.fcall("sg_var_set", kept, "2")
    assert await told() == {"func": "set", "type": "var", "name": kept, "value": 2}
    await raw.send(func="get", type="var", name=lost)
    assert (await told())["error_code"] == 3
    assert await it.gateway.metric("syncgate_subscriptions") == 1


async def test_a_token_that_vanished_ends_its_connections(reloaded, peers, db, name):
    it = reloaded(TOKENS + '  - {token: "gone", name: gone, subscribe: ["*"]}\n')
    await db.fcall("sg_var_set", name, "1")
    boss, gone, nobody = [await peers(it.gateway, token=token) for token in ("boss", "gone", None)]
    for peer in (boss, gone):
        await peer.subscribed("var", name)
    await it.load(TOKENS)
    assert await gone.closed() == 1008
    assert gone.broken.reason == "token revoked"
    assert await refused(it.gateway, token="gone") == 401
    await db.fcall("sg_var_set", name, "2")
    assert (await boss.recv())["value"] == 2
    assert await nobody.fence() == []
    await until(lambda: 'user="gone"' in it.gateway.stderr(), "the log still knows who it was")
    await it.load(TOKENS + '  - {token: "gone", name: back, subscribe: ["*"]}\n')
    await (await peers(it.gateway, token="gone")).subscribed("var", name)


async def test_admin_comes_and_goes(reloaded):
    it = reloaded(TOKENS)
    headers = {"Host": "gate.example", "Authorization": "Bearer boss"}
    assert ask(it.gateway.address, **headers).status == 404
    await it.load(TOKENS.replace("true", "false"))
    assert ask(it.gateway.address, **headers).status == 403


async def test_functions_follow_the_grants(reloaded, peers, name):
    text = 'tokens:\n  - {{token: "w", name: w, serve: [{}]}}\n  - {{token: "c", name: c, call: [{}]}}\n'
    it = reloaded(text.format(f'"{name}"', f'"{name}"'))
    worker, caller = await peers(it.gateway, token="w", tolerant=True), await peers(it.gateway, token="c")
    held = Held()
    await worker.serve(name, held)
    await caller.offered(name)
    await begin(caller, name, "1")
    await received(held, worker)
    worker.take()
    await it.load(text.format("", f'"{name}"'))
    await worker.expect_error(3, type="function", name=name)
    await caller.offered(name, False)
    await answer(held.calls[0], 7)
    assert (await caller.settled("1"))["value"] == 7, "what runs goes on"
    await it.load(text.format(f'"{name}"', f'"{name}"'))
    worker.take()
    await worker.serve(name, held)
    await caller.offered(name)
    await it.load(text.format(f'"{name}"', ""))
    await caller.offered(name, False)
    await it.load(text.format(f'"{name}"', f'"{name}"'))
    await caller.offered(name)


async def test_names_that_may_be_written_are_announced_and_withdrawn(reloaded, peers):
    it = reloaded('anonymous: {write: ["pen"]}')
    raw = await peers.bare(it.gateway.address)

    async def told(count):
        frames = [json.loads(await raw.recv_text()) for _ in range(count)]
        return sorted((frame["func"], frame["type"], frame["name"]) for frame in frames)
    assert await told(2) == [("subscribe", "list", "pen"), ("subscribe", "var", "pen")]
    await it.load('anonymous: {write: ["pen", "ink"]}')
    assert await told(2) == [("subscribe", "list", "ink"), ("subscribe", "var", "ink")]
    await it.load('anonymous: {write: ["i*"]}')
    assert await told(2) == [("unsubscribe", "list", "pen"), ("unsubscribe", "var", "pen")]


async def test_a_bad_file_changes_nothing(reloaded, peers, db, name):
    it = reloaded(TOKENS + "max_page_size: 7\n")
    await db.fcall("sg_var_set", name, "1")
    boss = await peers(it.gateway, token="boss", max_page_size=7)
    await boss.subscribed("var", name)
    for text, complaint in (("tokens: []\nmax_page_size: 8\nmax_depth: 99\n", "syncgate.yaml:3: max_depth: expected a whole number"),
                            ("tokens: [\n", "syncgate.yaml:"), ("tockens: []\n", "syncgate.yaml:1: unknown key `tockens`")):
        await it.load(text, "failed")
        assert complaint in it.gateway.stderr()
        assert it.count("ok") == 0
    it.path.unlink()
    await it.load(None, "failed")
    await db.fcall("sg_var_set", name, "2")
    assert (await boss.recv())["value"] == 2
    assert (await (await peers(it.gateway, token="boss")).subscribed("var", name))["value"] == 2


async def test_what_cannot_change_is_named_and_kept(reloaded, peers):
    it = reloaded("prefix: 'a:'\nworkers: 1\ndata_dir: here\n")
    await it.load("prefix: 'b:'\nworkers: 2\ndata_dir: there\nlog_level: debug\nindex_mode: absolute\n")
    log = it.gateway.stderr()
    for option in ("prefix", "workers", "data-dir", "index-mode"):
        assert f"--{option} cannot change while the gateway runs" in log, option
    assert "--listen cannot" not in log and "--redis cannot" not in log and "--log-level cannot" not in log
    await peers(it.gateway)
    await until(lambda: "level=debug" in it.gateway.stderr(), "the log level can")


async def test_limits_count_at_once(reloaded, peers, db, name):
    it = reloaded("max_page_size: 3\n")
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": i, "value": i} for i in range(9)]))
    peer = await peers(it.gateway, max_page_size=3)
    assert len((await peer.subscribed("list", name))["items"]) == 3
    await it.load('max_page_size: 5\nmax_message: 2KiB\nmax_connections: 2\nanonymous: {subscribe: ["*"]}\n'
                  'names: [{pattern: "later:*", type: var}]\n')
    other = await peers(it.gateway, max_page_size=5)
    assert len((await other.subscribed("list", name))["items"]) == 5
    assert (await other.subscribed("var", "later:1"))["value"] is None
    assert await refused(it.gateway) == 503
    await other.send_text('"' + "x" * 4000 + '"')
    assert await other.closed() == 1009


async def test_flags_and_environment_still_go_first(reloaded, peers, db, name):
    it = reloaded("max_page_size: 3\n", "--max-page-size", "4", env={"SYNCGATE_MAX_CONNECTIONS": "1"})
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": i, "value": i} for i in range(9)]))
    await it.load("max_page_size: 5\nmax_connections: 9\n")
    assert len((await (await peers(it.gateway, max_page_size=4)).subscribed("list", name))["items"]) == 4
    assert await refused(it.gateway) == 503


async def test_many_reloads_under_load(reloaded, peers, db, name):
    """Everything moves at once: connections, subscriptions, tokens and the file."""
    texts = [TOKENS, TOKENS + '  - {token: "second", name: second, subscribe: ["t*"]}\n', 'anonymous: {subscribe: ["t*"]}\n' + TOKENS]
    it = reloaded(TOKENS)
    boss = await peers(it.gateway, token="boss")
    await db.fcall("sg_var_set", name, "0")
    await boss.subscribed("var", name)
    for turn in range(30):
        await it.load(texts[turn % 3])
        if turn % 3 == 1:
            second = await Peer.connect(it.gateway, token="second")
            await second.subscribed("var", name)
        await db.fcall("sg_var_set", name, str(turn + 1))
        await boss.until(lambda turn=turn: boss.state.value(name) == str(turn + 1), "the change")
        if turn % 3 == 2:
            assert await second.closed() == 1008


async def test_all_workers_read_it(reloaded, peers, db, name):
    """A worker that is started later too."""
    it = reloaded("anonymous: {subscribe: []}", "--workers", "2")
    await it.load('anonymous: {subscribe: ["*"]}', processes=2)
    await db.fcall("sg_var_set", name, "1")
    for _ in range(12):
        await (await peers(it.gateway)).subscribed("var", name)
    victim = it.gateway.children()[0]
    subprocess.run(["kill", "-KILL", str(victim)], check=True)
    await until(lambda: victim not in it.gateway.children() and len(it.gateway.children()) == 2, "it is started again")
    await asyncio.to_thread(it.gateway.wait_ready)

    async def all_subscribe():
        for _ in range(12):
            peer = await Peer.connect(it.gateway, tolerant=True)
            await peer.subscribed("var", name)
            await peer.close()
        return True
    await until(all_subscribe, "they know it")


# --- certificates ---


def make_certificate(folder, subject):
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={subject}", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def shown(port):
    """The certificate that new connections are shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))


async def test_certificates_are_read_again(gateways, tmp_path, db, name):
    cert, key = make_certificate(tmp_path, "first")
    gateway = gateways.new("--tls-cert", cert, "--tls-key", key)
    gateway.launch()

    def listening():
        try:
            return shown(gateway.port)
        except OSError:
            return None
    first = await until(lambda: listening(), "TLS is there")
    assert first.split() == cert.read_text().split()
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    ws = await websocket_client.connect(f"wss://127.0.0.1:{gateway.port}/ws", ssl=context, compression=None)
    await db.fcall("sg_var_set", name, "1")
    await ws.send(json.dumps({"func": "subscribe", "type": "var", "name": name}))
    await ws.recv()

    make_certificate(tmp_path, "second")
    gateway.signal(signal.SIGHUP)
    await until(lambda: shown(gateway.port) != first, "the new one is shown")
    second = shown(gateway.port)
    assert second.split() == cert.read_text().split()
    for broken in ("nonsense", cert.read_text().replace("M", "N", 3)):
        before = gateway.stderr().count("certificate or its key is not good")
        cert.write_text(broken)
        gateway.signal(signal.SIGHUP)
        await until(lambda before=before: gateway.stderr().count("certificate or its key is not good") == before + 1, "it is refused")
        assert shown(gateway.port) == second
    make_certificate(tmp_path, "third")
    good = cert.read_text()
    make_certificate(tmp_path, "fourth")
    cert.write_text(good)  # and the key of another one
    before = gateway.stderr().count("certificate or its key is not good")
    gateway.signal(signal.SIGHUP)
    await until(lambda: gateway.stderr().count("certificate or its key is not good") == before + 1, "a key that does not fit is refused")
    assert shown(gateway.port) == second
    await db.fcall("sg_var_set", name, "2")
    assert '"value":2' in await ws.recv(), "the connection of the first certificate lives"
    await ws.close()
