"""The program's options: what it says of them, what it takes from where, and what it refuses. At the end, what a
running program makes of them."""
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess

import pytest
import yaml

from gateway import children_of, free_port, poll

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("SYNCGATE_BIN", str(ROOT / "build/release/syncgate"))
OPTIONS = ["listen", "redis", "data-dir", "workers", "config", "tls-cert", "tls-key", "prefix", "log-level",
           "log-format", "trusted-proxy", "admin-from", "metrics-from", "page-from",
           "allowed-origin", "max-message", "max-value", "max-cache", "max-depth", "max-page-size", "call-timeout", "calls-per-connection", "ping-interval", "subscribe-timeout",
           "sweep-interval", "probe-interval", "queue-budget", "stall-timeout", "errors-per-minute",
           "subscriptions-per-connection", "items-per-connection", "names-per-second", "messages-per-second", "bytes-per-second",
           "answer-bytes-per-second", "rate-patience",
           "max-connections", "connections-per-address", "handshakes-per-address",
           "connections-per-user", "calls-per-user", "memory-budget", "drain-delay", "drain-seconds", "linger", "index-mode", "deflate",
           "jwt-algorithm", "jwt-key-file", "jwt-issuer", "jwt-audience", "jwt-leeway", "jwt-max-age", "token-grace", "token-expiry", "dev"]


def key_of(option):
    """The flag of a list may be its singular."""
    return {"allowed-origin": "allowed_origins", "jwt-key-file": "jwt_key_files"}.get(option, option.replace("-", "_"))


CONFIG = """\
listen: ["0.0.0.0:8080", "unix:/run/syncgate.sock"]
redis: redis://app:hunter22@redis:6379/1
workers: 2
max_message: 2MiB
anonymous: {subscribe: ["public.*"]}
tokens:
  - {token: backend-secret, name: backend, write: ["*"], serve: ["job.*"]}
  - {token: viewer-secret, name: viewer, subscribe: ["*"]}
names:
  - {pattern: "order:*", type: var}
  - {pattern: "feed:*", type: list, max_page_size: 50}
"""


def run(*flags, cwd=None, **env):
    """Runs the program to its end; its environment holds no option but those given."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SYNCGATE_")}
    return subprocess.run([PROGRAM, *flags], cwd=cwd, env={**clean, **env}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


def check(*flags, cwd=None, **env):
    """--check-config beside whatever runs: on a port that is free."""
    return run("--check-config", "--listen", f"127.0.0.1:{free_port()}", *flags, cwd=cwd, **env)


def printed(*flags, cwd=None, **env):
    """The effective configuration as YAML readers see it."""
    done = run("--print-config", *flags, cwd=cwd, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return yaml.safe_load(done.stdout)


@pytest.fixture
def config(tmp_path):
    """Writes the file that tests in tmp_path call c.yaml."""
    def write(text):
        (tmp_path / "c.yaml").write_text(text)
        return tmp_path
    return write


# --- what it says -------------------------------------------------------------------------------------------


def test_help_lists_each_option():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^  --([a-z-]+)", done.stdout, re.M) == OPTIONS + [
        "check-config", "print-config", "selftest", "top", "healthcheck", "version", "help"]
    assert max(map(len, done.stdout.splitlines())) <= 105


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"syncgate \d+\.\d+\.\d+\n", done.stdout)


def test_document_is_current():
    text = (ROOT / "docs/configuration.md").read_text()
    table = run("--print-options-markdown").stdout
    assert len(table.splitlines()) == len(OPTIONS) + 2
    found = re.search(r"<!-- options: [^\n]*-->\n(.*?)<!-- end of options -->", text, re.S)
    assert found and found[1] == table, "run `syncgate --print-options-markdown` and put it into docs/configuration.md"


def test_example_is_good():
    done = check("--config", str(ROOT / "deploy/syncgate.yaml"))
    assert (done.returncode, done.stderr) == (0, "")


# --- what it refuses ----------------------------------------------------------------------------------------


def test_check_config_good(config):
    done = check("--config", "c.yaml", cwd=config(CONFIG))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the configuration is good\n"


@pytest.mark.parametrize("text, message", [
    pytest.param("workers: 1\nlisen: []\n", "c.yaml:2: unknown key `lisen`, did you mean `listen`?\n", id="unknown key"),
    pytest.param("anonymous:\n  subscribe: []\n  wirte: []\n", "c.yaml:3: unknown key `wirte`, did you mean `write`?\n", id="unknown verb"),
    pytest.param("tokens:\n  - token: abcdefgh\n    name: a\n    x: 1\n", "c.yaml:4: unknown key `x`\n",
                 id="unknown key of a token"),
    pytest.param("\nmax_message: 1MB\n",
                 "c.yaml:2: max_message: expected a size in B, KiB, MiB or GiB, 1KiB to 64MiB; given is `1MB`\n", id="size"),
    pytest.param("listen:\n- '*:80'\n- '*'\n",
                 "c.yaml:3: listen: expected ADDR:PORT with a port from 0 to 65535, or unix:PATH; given is `*`\n", id="address"),
    pytest.param("dev: true\ndev: true\n", "c.yaml:2: `dev` stands here a second time\n", id="key twice"),
    pytest.param("tokens:\n- {token: abcdefgh, name: a}\n- {token: abcdefgh, name: b}\n",
                 "c.yaml:3: token: the same as that of line 2\n", id="token twice"),
])
def test_check_config_bad(config, text, message):
    for flags in ["--check-config"], ["--print-config"], []:
        done = run(*flags, "--config", "c.yaml", cwd=config(text))
        assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def test_an_unquoted_star_is_explained(config):
    done = run("--check-config", "--config", "c.yaml", cwd=config("anonymous:\n  subscribe: [*]\n"))
    assert (done.returncode, done.stderr) == (1, 'c.yaml:2: a star needs quotes in YAML: "*"\n')


def test_misspelt_variables_are_told(gateways):
    done = check(SYNCGATE_LISEN="*:1", SYNCGATE_PORT="tcp://10.0.0.1:80")
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == [
        "SYNCGATE_LISEN: unknown variable, ignored; did you mean SYNCGATE_LISTEN?",
        "SYNCGATE_PORT: none of our variables, ignored"]
    gateway = gateways.start(env={"SYNCGATE_LISEN": "*:1", "SYNCGATE_PORT": "tcp://10.0.0.1:80"})
    ignored = [line for line in warnings(gateway) if "environment" in line]
    assert len(ignored) == 1 and "name=SYNCGATE_LISEN meant=SYNCGATE_LISTEN" in ignored[0]


# --- what --check-config tries out --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Makes a pair of files, with so many days to live."""
    folder = tmp_path_factory.mktemp("pem")

    def make(name, days):
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        if not cert.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                            str(days), "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        return str(cert), str(key)
    return make


def test_check_config_reads_the_certificate(pem, tmp_path):
    cert, key = pem("good", 400)
    _, other = pem("other", 400)
    done = check("--tls-cert", cert, "--tls-key", key)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration is good\n", "")
    done = check("--tls-cert", cert, "--tls-key", other)
    assert done.returncode == 1 and f"{other} is the key of another certificate" in done.stderr
    done = check("--tls-cert", key, "--tls-key", key)
    assert done.returncode == 1 and f"{key} is no certificate" in done.stderr
    done = check("--tls-cert", cert, "--tls-key", cert)
    assert done.returncode == 1 and f"{cert} is no key" in done.stderr
    done = check("--tls-cert", cert, "--tls-key", str(tmp_path / "nowhere.pem"))
    assert done.returncode == 1 and "nowhere.pem: No such file or directory" in done.stderr
    done = check("--tls-cert", cert)
    assert done.returncode == 1 and "--tls-key is missing" in done.stderr


def test_check_config_never_asks_for_a_password(pem, tmp_path):
    cert, key = pem("good", 400)
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", locked], check=True, capture_output=True)
    done = check("--tls-cert", cert, "--tls-key", str(locked))
    assert done.returncode == 1 and "without a password" in done.stderr


def test_an_old_certificate_is_a_warning(pem):
    cert, key = pem("short", 2)
    done = check("--tls-cert", cert, "--tls-key", key)
    assert done.returncode == 0 and "expires in" in done.stderr


def test_check_config_tries_the_addresses(tmp_path):
    done = run("--check-config", "--listen", "203.0.113.1:8080")
    assert done.returncode == 1 and "cannot listen on 203.0.113.1:8080" in done.stderr
    done = run("--check-config", "--listen", f"unix:{tmp_path}/nowhere/socket")
    assert done.returncode == 1 and "No such file or directory" in done.stderr
    (tmp_path / "file").write_text("mine")
    done = run("--check-config", "--listen", f"unix:{tmp_path}/file")
    assert done.returncode == 1 and (tmp_path / "file").read_text() == "mine"


def test_an_address_in_use_ends_the_start_with_a_cure():
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = "127.0.0.1:%d" % other.getsockname()[1]
        done = run("--listen", place, "--redis", "redis://127.0.0.1:1")
    assert done.returncode == 1 and re.search(f"cannot listen on {place}: .*name another port with --listen", done.stderr)


def test_check_config_beside_the_gateway_that_runs(gateways, tmp_path):
    """As before a reload. What is in use is no fault, and goes on."""
    path = f"{tmp_path}/socket"
    gateway = gateways.new()
    gateway.port = free_port()
    gateway.listen = [f"127.0.0.1:{gateway.port}", f"unix:{path}"]
    gateway.start()
    done = run("--check-config", "--listen", gateway.listen[0], "--listen", gateway.listen[1])
    assert done.returncode == 0 and done.stderr.count("is in use") == 2
    assert run("--healthcheck", f"unix:{path}").returncode == 0


def test_check_config_full_asks_redis(redis_server):
    good = f"unix:{redis_server.socket_path}"
    done = check("--redis", good)
    assert (done.returncode, done.stdout) == (0, "the configuration is good\n")
    done = run("--check-config=full", "--listen", f"127.0.0.1:{free_port()}", "--redis", good)
    assert done.returncode == 0
    for subject in "redis", "library", "rights", "memory", "output limit", "listen":
        assert re.search(f"^(ok|note) +{subject} ", done.stdout, re.M), subject
    done = run("--check-config=full", "--listen", f"127.0.0.1:{free_port()}", "--redis", "redis://127.0.0.1:1")
    assert done.returncode == 1 and re.search("^BAD +redis +cannot reach 127.0.0.1:1: ", done.stdout, re.M)
    done = run("--check-config=full", "--listen", f"127.0.0.1:{free_port()}", "--redis", "rediss://127.0.0.1:1")
    assert done.returncode == 1 and "listen there with TLS (redis:// is without)" in done.stdout


def test_syntax_error_has_its_line(config):
    done = run("--check-config", "--config", "c.yaml", cwd=config("workers: 1\nlisten: [\n\n"))
    assert done.returncode == 1
    assert re.fullmatch(r"c\.yaml:\d: .+\n", done.stderr)


def test_every_fault_is_told(config):
    done = run("--check-config", "--config", "c.yaml", "--drain-delay", "5", cwd=config("workers: x\nlinger: y\n"),
               SYNCGATE_DEV="perhaps")
    assert done.returncode == 1
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == [
        "c.yaml:1:", "c.yaml:2:", "SYNCGATE_DEV:", "--drain-delay:"]


def test_no_message_holds_a_secret(config):
    text = "redis: http://app:hunter22@r\ntokens: [{token: hunter22, name: a}, {token: hunter22, name: a}]\n"
    done = run("--check-config", "--config", "c.yaml", cwd=config(text))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert "hunter22" not in done.stderr


# --- what it takes from where -------------------------------------------------------------------------------


def test_defaults():
    values = printed()
    assert values["listen"] == ["127.0.0.1:8080"]
    assert values["redis"] == ""
    assert values["anonymous"] == {"subscribe": ["*"], "call": ["*"], "write": [], "serve": []}
    assert values["tokens"] == values["names"] == []
    assert set(values) == {key_of(name) for name in OPTIONS if name != "config"} | {
        "anonymous", "tokens", "names"}


def test_precedence(config):
    folder = config("max_page_size: 7\n")
    assert printed(cwd=folder)["max_page_size"] == 100
    assert printed("--config", "c.yaml", cwd=folder)["max_page_size"] == 7
    assert printed(cwd=folder, SYNCGATE_CONFIG="c.yaml")["max_page_size"] == 7
    environment = {"SYNCGATE_CONFIG": "c.yaml", "SYNCGATE_MAX_PAGE_SIZE": "8"}
    assert printed(cwd=folder, **environment)["max_page_size"] == 8
    assert printed("--max-page-size=9", cwd=folder, **environment)["max_page_size"] == 9
    assert printed("--max-page-size", "9", "--max-page-size", "10")["max_page_size"] == 10


def test_lists_replace_one_another(config):
    folder = config("listen: ['127.0.0.1:1', '127.0.0.1:2']\n")
    environment = {"SYNCGATE_CONFIG": "c.yaml", "SYNCGATE_LISTEN": "127.0.0.1:3,[::1]:3"}
    assert printed("--config", "c.yaml", cwd=folder)["listen"] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert printed(cwd=folder, **environment)["listen"] == ["127.0.0.1:3", "[::1]:3"]
    assert printed("--listen", "*:4", cwd=folder, **environment)["listen"] == ["0.0.0.0:4"]


@pytest.mark.parametrize("option", [name for name in OPTIONS if name not in ("config", "listen", "redis", "dev", "jwt-algorithm", "jwt-key-file")])
def test_each_option_from_each_place(config, option):
    key = key_of(option)
    value = {"data-dir": "elsewhere", "tls-cert": "chain.pem", "tls-key": "key.pem", "prefix": "acme:", "log-level": "debug",
             "log-format": "json", "trusted-proxy": ["10.0.0.0/8", "unix"], "admin-from": ["10.0.0.0/8", "unix"], "metrics-from": ["::1"],
             "page-from": ["192.0.2.1"],
             "allowed-origin": ["same-host", "https://*.example.com"], "max-message": "4KiB",
             "max-value": "9KiB", "max-cache": "9KiB", "queue-budget": "8KiB", "index-mode": "absolute", "workers": 3, "max-depth": 9, "max-page-size": 9,
             "subscriptions-per-connection": 9, "items-per-connection": 9, "names-per-second": 9, "messages-per-second": 9,
             "connections-per-address": 9, "handshakes-per-address": 9, "connections-per-user": 9, "calls-per-user": 9,
             "bytes-per-second": "9KiB", "answer-bytes-per-second": "9KiB",
             "calls-per-connection": 9, "errors-per-minute": 9, "drain-seconds": 9, "max-connections": 9, "memory-budget": "64MiB", "deflate": True, "token-expiry": "anonymous"}.get(option, "700ms")
    texts = value if isinstance(value, list) else ["on" if value is True else str(value)]  # `on` is a truth in YAML
    text = ",".join(texts)
    folder = config(f"{key}: {json.dumps(value if isinstance(value, list) else text)}\n")
    assert printed()[key] != value
    assert printed(*(f"--{option}={text}" for text in texts))[key] == value
    assert printed(**{"SYNCGATE_" + key.upper(): text})[key] == value
    assert printed("--config=c.yaml", cwd=folder)[key] == value


def test_dev():
    everything = {verb: ["*"] for verb in ("subscribe", "call", "write", "serve")}
    assert printed("--dev")["anonymous"] == everything
    assert printed(SYNCGATE_DEV="1")["anonymous"] == everything


def test_print_config_round_trip(config):
    folder = config(CONFIG)
    first = run("--print-config", "--config", "c.yaml", "--log-level", "warn", cwd=folder)
    assert first.returncode == 0
    for secret in "hunter22", "backend-secret", "viewer-secret":
        assert secret not in first.stdout
    values = yaml.safe_load(first.stdout)
    assert values["listen"] == ["0.0.0.0:8080", "unix:/run/syncgate.sock"]
    assert values["max_message"] == "2MiB"
    assert values["log_level"] == "warn"
    assert values["anonymous"] == {"subscribe": ["public.*"], "call": [], "write": [], "serve": []}
    assert [token["name"] for token in values["tokens"]] == ["backend", "viewer"]
    assert values["names"][1] == {"pattern": "feed:*", "type": "list", "max_page_size": 50}

    (folder / "c.yaml").write_text(first.stdout)
    second = run("--print-config", "--config", "c.yaml", cwd=folder)
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")


# --- what a running program makes of them -------------------------------------------------------------------


async def test_anonymous_by_default(gateways, peers, db, name):
    gateway = gateways.start(dev=False)
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway, tolerant=True)
    await peer.subscribe("var", name)
    await peer.expect(f'{{"func":"set","type":"var","name":"{name}","value":1}}')
    await peer.send(func="set", type="var", name=name, value=2)
    await peer.expect_error(1, type="var", name=name)
    await peer.subscribe("function", name)
    await peer.expect_error(3, type="function", name=name)


async def test_a_placeholder_lets_nobody_in(gateways, peers, tmp_path):
    (tmp_path / "c.yaml").write_text('tokens: [{token: "<secret>", name: example, write: ["*"]}]')
    gateway = gateways.start("--config", str(tmp_path / "c.yaml"), dev=False)
    peer = await peers.open(gateway.address)
    await peer.upgrade("/ws/socksync/", "dGhlIHNhbXBsZSBub25jZQ==", {"Authorization": "Bearer <secret>"})
    assert peer.status == 401
    assert "placeholders" in gateway.stderr()


def warnings(gateway):
    return [line for line in gateway.stderr().splitlines() if "level=warn" in line]


def test_warning_beyond_loopback(gateways, tmp_path):
    (tmp_path / "open.yaml").write_text("anonymous: {subscribe: ['*'], call: ['*']}")
    (tmp_path / "worse.yaml").write_text("anonymous: {write: [x]}")

    def warned(address, *flags, dev=False):
        gateway = gateways.new(*flags, dev=dev)
        gateway.port = free_port()
        gateway.listen = [f"{address}:{gateway.port}"]
        gateway.start()
        return [line for line in warnings(gateway) if "ANYONE" in line]

    assert warned("127.0.0.1", dev=True) == []
    assert "call everything" in warned("0.0.0.0")[0]
    assert warned("0.0.0.0", "--config", str(tmp_path / "open.yaml")) == []  # somebody has decided so
    assert "write or serve" in warned("0.0.0.0", "--config", str(tmp_path / "worse.yaml"))[0]
    assert "write or serve" in warned("0.0.0.0", dev=True)[0]


def test_log_names_the_options_without_secrets(gateways, tmp_path):
    (tmp_path / "c.yaml").write_text("tokens: [{token: hunter22, name: a}]")
    gateway = gateways.start("--config", str(tmp_path / "c.yaml"), "--log-level", "debug")
    first = gateway.stderr().splitlines()[0]
    assert re.fullmatch(r'ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info msg="syncgate starts" version=\S+ .*', first)
    assert f"listen=127.0.0.1:{gateway.port} " in first
    assert "hunter22" not in gateway.stderr()


def test_log_level(gateways):
    assert warnings(gateways.start("--log-level", "error")) == []
    assert "level=info" not in gateways.start("--log-level", "warn").stderr()


def test_file_limit_is_raised(gateways):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        gateway = gateways.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limits = pathlib.Path(f"/proc/{gateway.process.pid}/limits").read_text()
    assert re.search(r"Max open files\s+(\d+)", limits)[1] == str(min(hard, 1 << 20))


@pytest.mark.parametrize("workers", [1, 3])
def test_port_that_is_taken(gateways, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = gateways.new("--workers", workers)
        gateway.port = taken.getsockname()[1]
        gateway.launch()
        assert gateway.wait_exit() == 1
    assert "level=error" in gateway.stderr()


@pytest.mark.parametrize("flags", [[], ["--workers", "2"]], ids=["one", "workers"])
def test_folder_that_is_taken(gateways, tmp_path, flags):
    first = gateways.start("--data-dir", tmp_path / "data", redis=None)
    second = gateways.new("--data-dir", tmp_path / "data", *flags, redis=None)
    second.launch()
    assert second.wait_exit() == 1
    assert "in use" in second.stderr()
    assert first.get("/readyz").status == 200


# --- workers ------------------------------------------------------------------------------------------------


def test_workers_serve_and_end_together(gateways):
    gateway = gateways.start("--workers", 3)
    poll(lambda: len(children_of(gateway.process.pid)) == 3, "three workers")
    workers = children_of(gateway.process.pid)
    gateway.stop()  # which checks the exit code
    assert [pid for pid in workers if os.path.exists(f"/proc/{pid}")] == []


async def test_a_dead_worker_comes_back(gateways, peers, db, name):
    gateway = gateways.start("--workers", 2)
    await db.fcall("sg_var_set", name, "1")
    poll(lambda: len(children_of(gateway.process.pid)) == 2, "two workers")
    before = set(children_of(gateway.process.pid))
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    poll(lambda: len(set(children_of(gateway.process.pid)) - {victim}) == 2, "another worker")
    assert len(before & set(children_of(gateway.process.pid))) == 1
    gateway.wait_ready()
    for _ in range(4):  # whoever of the two accepts
        peer = await peers(gateway)
        await peer.subscribed("var", name)
    poll(lambda: "worker died" in gateway.stderr(), "the log says so")


def test_workers_end_with_their_parent(gateways):
    gateway = gateways.start("--workers", 2)
    poll(lambda: len(children_of(gateway.process.pid)) == 2, "two workers")
    workers = children_of(gateway.process.pid)
    gateway.kill()
    poll(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), "the workers end too")


def test_workers_share_the_private_redis(gateways, tmp_path):
    gateway = gateways.start("--workers", 2, "--data-dir", tmp_path / "data", redis=None)
    poll(lambda: len(children_of(gateway.process.pid)) == 3, "two workers and redis-server")
    sockets = list((tmp_path / "data").glob("*.sock"))
    assert len(sockets) == 1
    gateway.stop()
    assert not gateway.stderr().count("worker died")


def test_private_redis_comes_back(gateways, tmp_path):
    gateway = gateways.start("--data-dir", tmp_path / "data", redis=None)
    victim, = children_of(gateway.process.pid)
    os.kill(victim, signal.SIGKILL)
    poll(lambda: [pid for pid in children_of(gateway.process.pid) if pid != victim], "another redis-server")
    gateway.wait_ready()
