"""syncgate --top: a gateway that runs, as text and in a terminal."""
import asyncio
import fcntl
import http.server
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading

import pytest

from gateway import BINARY, free_port, http_exchange, poll, until

TOKEN = "0123456789-an-admin"


def clean(**more):
    return {**{key: value for key, value in os.environ.items() if not key.startswith("SYNCGATE_")}, "TERM": "xterm", **more}


def once(*flags, **env):
    done = subprocess.run([BINARY, "--top", "--once", *flags], env=clean(**env), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def at(gateway):
    return f"--listen=127.0.0.1:{gateway.port}"


async def printed(gateway, pattern):
    """What --once prints, as soon as it says that."""
    async def look():
        code, text, said = await asyncio.to_thread(once, at(gateway))
        assert (code, said) == (0, "")
        return text if re.search(pattern, text, re.M) else None
    return await until(look, f"{pattern} in --top --once")


async def test_once_prints_text(gateways, peers, db, name):
    gateway = await gateways.new().start_async()
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway)
    await peer.subscribe("var", name)
    text = await printed(gateway, r"^connections 1 +subscriptions 1 ")
    assert "\x1b" not in text
    assert re.match(rf"syncgate \d+\.\d+\.\d+  127\.0\.0\.1:{gateway.port}  ready  up \d+ s\n", text)
    assert re.search(r"^links to Redis: 1 of 1 up, round trip \d+\.\d\d ms, came up 1 times, lost 0$", text, re.M)
    assert re.search(r"^  \d+ +127\.0\.0\.1 +anonymous +1 +0 ", text, re.M)
    text = await printed(gateway, rf"^\* .*127\.0\.0\.1:{gateway.port} +ready +1 ")


async def test_deliveries_are_counted(gateways, peers, db, name):
    gateway = await gateways.new().start_async()
    await db.fcall("sg_var_set", name, "1")
    peer = await peers(gateway)
    await peer.subscribe("var", name)

    async def write():
        for number in range(1_000_000):
            await db.fcall("sg_var_set", name, str(number))
            await asyncio.sleep(0.005)
    writer = asyncio.create_task(write())
    try:
        await printed(gateway, r"^sent/s [1-9]\d* .*changes/s [1-9]")
    finally:
        writer.cancel()


async def test_every_worker_is_asked(gateways, peers):
    gateway = await gateways.new("--workers", 2).start_async()
    held = [await peers(gateway) for _ in range(4)]
    text = await printed(gateway, r"of 2 of 2 workers")
    assert len(re.findall(r"^  \d+#[01] +127\.0\.0\.1 ", text, re.M)) == len(held)


def test_admin_token_from_the_environment_only(gateways, tmp_path):
    (tmp_path / "c.yaml").write_text(
        f"tokens:\n  - {{token: {TOKEN}, name: admin, admin: true}}\n  - {{token: other, name: other}}\n")
    gateway = gateways.start("--config", str(tmp_path / "c.yaml"), dev=False)
    url = f"http://127.1:{gateway.port}"  # this machine, by a name that does not go without a token
    code, text, said = once(url)
    assert (code, text) == (1, "") and "SYNCGATE_TOKEN" in said
    code, text, said = once(url, SYNCGATE_TOKEN="other")
    assert code == 1 and "no admin's" in said and "other" not in said
    code, text, said = once(url, SYNCGATE_TOKEN=TOKEN)
    assert (code, said) == (0, "") and text.startswith("syncgate ")


def test_tls_and_unix_sockets(gateways, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    gateway = gateways.new("--tls-cert", cert, "--tls-key", key)
    gateway.port = free_port()
    gateway.listen = [f"127.0.0.1:{gateway.port}", f"unix:{tmp_path}/socket"]
    gateway.launch()
    poll(lambda: once(f"unix:{tmp_path}/socket")[0] == 0, "a gateway at its socket")
    assert once(f"https://127.0.0.1:{gateway.port}")[0] == 0
    assert once(f"--listen=127.0.0.1:{gateway.port}", "--tls-cert", str(cert), "--tls-key", str(key))[0] == 0


def test_nobody_there():
    code, text, said = once(f"--listen=127.0.0.1:{free_port()}")
    assert (code, text) == (1, "") and "Connection refused" in said


def serve(handler):
    """An HTTP server with that handler, on a thread."""
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize("whole", [True, False])
def test_behind_a_proxy_that_sends_in_chunks(gateways, whole):
    gateway = gateways.start()

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            request = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            answer = http_exchange(gateway.address, request.encode())
            self.send_response(answer.status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(answer.body), 300):
                part = answer.body[at:at + 300]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n" if whole else b"")
            self.close_connection = True

        def log_message(self, *_):
            pass
    with serve(Proxy) as server:
        code, text, said = once(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    if whole:
        assert (code, said) == (0, "") and f"127.0.0.1:{gateway.port}" in text
    else:
        assert code == 1 and "ended early" in said


def test_no_gateway():
    """Something else that answers in HTTP."""
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"history": [1, "\x1b[2J"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    with serve(Other) as server:
        code, text, said = once(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert (code, text) == (1, "") and "is not what a gateway" in said


# --- in a terminal ------------------------------------------------------------------------------------------


class Terminal:
    """The program in a pseudo-terminal of that size; what it wrote is in `text`."""

    def __init__(self, *flags, rows=24, columns=80):
        self.main, side = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.main)
        self.text = b""
        self.process = subprocess.Popen([BINARY, "--top", *flags], env=clean(), stdin=side, stdout=side, stderr=subprocess.PIPE,
                                        start_new_session=True)
        os.close(side)

    def resize(self, rows, columns):
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.main], [], [], 0)[0]:
            try:
                chunk = os.read(self.main, 65536)
            except OSError:  # the other side is closed
                return self.text
            self.text += chunk
            if not chunk:
                break
        return self.text

    def expect(self, pattern):
        poll(lambda: re.search(pattern, self.read()), f"{pattern!r} in the terminal: {self.text[-2000:]!r}")

    def last_page(self):
        return self.text.rsplit(b"\x1b[H", 1)[1]

    def end(self):
        """Its exit code; the terminal is as it was."""
        poll(lambda: (self.read(), self.process.poll() is not None)[1], "an end")
        assert self.process.stderr.read() == b""
        self.process.stderr.close()
        assert self.text.endswith(b"\x1b[?25h\x1b[?1049l")
        assert termios.tcgetattr(self.main) == self.before
        os.close(self.main)
        return self.process.returncode


def test_q_ends_it(gateways):
    terminal = Terminal(at(gateways.start()))
    terminal.expect(rb"(?s)\x1b\[\?1049h.*SLOWEST CLIENTS.*q ends")
    os.write(terminal.main, b"xq")
    assert terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_put_the_terminal_back(gateways, number):
    terminal = Terminal(at(gateways.start()))
    terminal.expect(b"q ends")
    terminal.process.send_signal(number)
    assert terminal.end() == 0


def test_it_fits_the_terminal(gateways):
    terminal = Terminal(at(gateways.start()), rows=10, columns=40)
    terminal.expect(b"q ends")
    page = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", terminal.last_page())
    lines = page.replace(b"\r", b"").split(b"\n")
    assert len(lines) <= 10 and max(map(len, lines)) <= 60
    assert all(len(line) <= 40 for line in lines[:-1])
    terminal.resize(50, 200)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.expect(b"nobody is connected")
    os.write(terminal.main, b"q")
    assert terminal.end() == 0


def test_it_waits_for_a_gateway_that_is_away(gateways):
    gateway = gateways.start()
    terminal = Terminal(at(gateway))
    terminal.expect(b"q ends")
    gateway.stop()
    terminal.expect(b"Connection refused")
    gateway.start()
    terminal.text = b""
    terminal.expect(b"q ends")
    os.write(terminal.main, b"q")
    assert terminal.end() == 0
