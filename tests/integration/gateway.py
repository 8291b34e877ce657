"""Runs the real program: starts it on a free loopback port, waits until it is ready, stops, kills and looks into it.

A stop checks what every test wants to know: exit status 0 after SIGTERM, no sanitizer report, no process left behind.
"""
import asyncio
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SYNCGATE_BIN", str(REPOSITORY / "build/release/syncgate"))
PATIENCE_S = float(os.environ.get("SYNCGATE_TEST_PATIENCE", "30"))  # a hang guard, not an expectation
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|ERROR: LeakSanitizer|Assertion .* failed")


def free_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def poll(condition, what, patience_s=PATIENCE_S):
    """Asks until the condition is true; for what can be seen only from outside a process."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.02)


async def until(condition, what, patience_s=PATIENCE_S):
    """poll() for a loop: the condition may be a coroutine function."""
    deadline = time.monotonic() + patience_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what() if callable(what) else what}"
        await asyncio.sleep(0.02)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"HTTP {self.status} {self.headers} {self.body[:200]!r}"


def http_exchange(address, request, patience_s=PATIENCE_S):
    """Sends raw bytes to ("127.0.0.1", port) or a unix path, and reads one HTTP response to its end."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(patience_s)
        sock.connect(address)
        sock.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = sock.recv(65536)
            if not chunk:
                raise ConnectionError(f"closed without a response, after {data!r}")
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            key, _, value = line.partition(":")
            headers[key.strip().lower()] = value.strip()
        length = int(headers["content-length"]) if "content-length" in headers else None
        while status != 101 and (length is None or len(body) < length):
            chunk = sock.recv(65536)
            if not chunk:
                break
            body += chunk
        return Response(status, headers, body)


def http_get(address, path):
    return http_exchange(address, f"GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n".encode())


class Gateway:
    """One gateway process (with its workers and its embedded Redis, when it has them)."""

    children_patience_s = 10

    def __init__(self, folder, redis=None, *flags, listen=None, env=None, dev=True):
        """`redis` is a unix socket path; None starts the embedded one. `listen` overrides the loopback port."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.redis = redis
        self.flags = [str(flag) for flag in flags]
        self.listen = listen
        self.env = env or {}
        self.dev = dev
        self.port = None
        self.process = None
        self.stderr_path = self.folder / "stderr.log"
        self.stderr_seen = 0
        self.launcher = []  # a program with arguments that becomes the gateway
        self.pass_fds = ()

    # --- life ---

    def command(self):
        command = [BINARY]
        for address in self.listen or [f"127.0.0.1:{self.port}"]:
            command += ["--listen", address]
        if self.redis:
            command += ["--redis", f"unix:{self.redis}"]
        if self.dev:
            command += ["--dev"]
        return command + self.flags

    def launch(self):
        """Starts the process and does not wait for it."""
        assert self.process is None, "already running"
        if self.port is None:
            self.port = free_port()
        environment = dict(os.environ)
        environment.update(
            # A small quarantine, so that memory that was freed does not look like memory in use.
            ASAN_OPTIONS="detect_leaks=1:exitcode=99:detect_stack_use_after_return=1:quarantine_size_mb=4",
            UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
        )
        environment.update(self.env)
        with open(self.stderr_path, "ab") as log:
            self.process = subprocess.Popen(
                self.launcher + self.command(), pass_fds=self.pass_fds, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )

    def start(self):
        """Starts the process and waits until /readyz says 200."""
        assert os.access(BINARY, os.X_OK), f"no gateway at {BINARY} (SYNCGATE_BIN names another)"
        self.launch()
        self.wait_ready()
        return self

    async def start_async(self):
        await asyncio.to_thread(self.start)
        return self

    def is_ready(self):
        try:
            return self.get("/readyz").status == 200
        except (OSError, ConnectionError):
            assert self.process is None or self.process.poll() is None, (
                f"the gateway ended with {self.process.returncode} while starting:\n{self.stderr()[-2000:]}")
            return False

    def wait_ready(self):
        poll(self.is_ready, f"/readyz of {self.command()} says 200; stderr ends:\n{self.stderr()[-2000:]}")

    def stop(self):
        """SIGTERM and the checks. Safe to call twice."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            for pid in session_members(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"the gateway did not end within {PATIENCE_S} s of SIGTERM") from None
        self._check_clean(process, status, 0)

    async def stop_async(self):
        await asyncio.to_thread(self.stop)

    def kill(self):
        """SIGKILL, as a machine that goes away."""
        process, self.process = self.process, None
        process.kill()
        process.wait()
        self._check_clean(process, None, None)

    def wait_exit(self):
        """Waits for an end that the test has asked for itself; returns the status after the usual checks."""
        process, self.process = self.process, None
        status = process.wait(PATIENCE_S)
        self._check_clean(process, status, status)
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def freeze(self):
        """SIGSTOP. It stands still when this returns, and not some time later."""
        self.signal(signal.SIGSTOP)
        poll(lambda: _stat_fields(self.process.pid)[0] == "T", "the process stands still")

    def thaw(self):
        self.signal(signal.SIGCONT)

    def _check_clean(self, process, status, expected):
        try:
            poll(lambda: not session_members(process.pid), "the children end", self.children_patience_s)
        except AssertionError:
            left = session_members(process.pid)
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"the gateway left processes behind: {left}") from None
        text = self.stderr()
        report = SANITIZER.search(text, self.stderr_seen)
        self.stderr_seen = len(text)
        assert not report, f"sanitizer report:\n{text[report.start():][:6000]}"
        assert status == expected, f"the gateway ended with {status}, not {expected}; stderr ends:\n{text[-2000:]}"

    # --- looking in ---

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def url(self, path="/ws/socksync/"):
        return f"ws://127.0.0.1:{self.port}{path}"

    def get(self, path):
        return http_get(self.address, path)

    async def get_async(self, path):
        return await asyncio.to_thread(self.get, path)

    def metrics(self):
        """{'syncgate_errors_total{code="1"}': 3.0, …}"""
        response = self.get("/metrics")
        assert response.status == 200, response
        return parse_metrics(response.body.decode())

    async def metric(self, name):
        """One number: the sum over all labels of that name."""
        metrics = await asyncio.to_thread(self.metrics)
        return sum(value for key, value in metrics.items() if key.split("{")[0] == name)

    def stderr(self):
        try:
            return self.stderr_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def rss_bytes(self):
        """Resident memory of the process itself."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def children(self):
        """Pids of the direct children, in the order of their start."""
        return children_of(self.process.pid)


def parse_metrics(text):
    """The samples of a Prometheus text exposition; refuses lines that are none."""
    out = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{[^}]*\})?) (\S+)', line)
        assert match, f"not a sample line: {line!r}"
        out[match[1]] = float(match[2])
    return out


def _stat_fields(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()  # state, ppid, pgrp, session, …


def session_members(session):
    """Live processes (no zombies) of a session: a gateway is started in one of its own, with all that it starts."""
    out = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat_fields(entry)
            if fields and int(fields[3]) == session and fields[0] != "Z":
                out.append(int(entry))
    return out


def children_of(parent):
    out = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat_fields(entry)
            if fields and int(fields[1]) == parent and fields[0] != "Z":
                out.append(int(entry))
    return sorted(out)
