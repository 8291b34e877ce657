"""A private redis-server for tests: own folder, unix socket and free loopback port, gone at stop().

    with RedisServer() as server:
        server.load_library()
        server.client().fcall("sg_var_set", 1, "price", "5")
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import redis

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = subprocess.check_output([os.path.join(REPOSITORY, "redis", "functions", "join")], text=True)  # what a gateway loads
START_TIMEOUT_S = 20


CLUSTER_BUS = 10000  # a cluster node listens there too, that much higher


def free_port():
    """A TCP port that was free a moment ago, low enough for a cluster node."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port <= 65535 - CLUSTER_BUS:
                return port


class RedisServer:
    """One redis-server process. `keep_data=True` switches the append-only file on, so that restart() keeps the data."""

    def __init__(self, keep_data=False, args=(), port=None):
        self.keep_data = keep_data
        self.args = list(args)
        # Unix socket paths are limited to about 100 bytes: a short folder, whatever TMPDIR says.
        self.folder = tempfile.mkdtemp(prefix="sg-redis-", dir="/tmp")
        self.socket_path = os.path.join(self.folder, "redis.sock")
        self.log_path = os.path.join(self.folder, "redis.log")
        self.port = port or free_port()
        self.process = None

    @property
    def url(self):
        """redis://127.0.0.1:PORT"""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self):
        """unix:PATH"""
        return f"unix:{self.socket_path}"

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def command(self):
        return [
            "redis-server",
            "--bind", "127.0.0.1",
            "--port", str(self.port),
            "--unixsocket", self.socket_path,
            "--dir", self.folder,
            "--logfile", self.log_path,
            "--save", "",
            "--appendonly", "yes" if self.keep_data else "no",
            "--appendfsync", "always" if self.keep_data else "no",
            "--daemonize", "no",
            *self.args,
        ]

    def start(self):
        """Start and wait until it answers. The port stays the same over restarts."""
        assert self.process is None, "already running"
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return self
            except redis.exceptions.RedisError as error:  # not there yet, or loading its data
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.log()
                    self.kill()
                    raise RuntimeError(f"redis-server did not start: {error}\n{log}") from error
            time.sleep(0.01)

    def stop(self):
        """End it politely and remove its folder."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self):
        """End it like a power cut; the folder stays for start()."""
        self._end(signal.SIGKILL)

    def restart(self):
        """A crash and a new start: the data survives with keep_data only, the library too."""
        self.kill()
        return self.start()

    def pause(self):
        """Freeze the process: connections stay open, nothing is answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def client(self, **options):
        """A new client of python3-redis; bytes unless decode_responses=True."""
        return redis.Redis(unix_socket_path=self.socket_path, **options)

    def load_library(self):
        """Load the functions, as a gateway does."""
        with self.client() as client:
            client.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY)

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def _end(self, how):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
        try:
            self.process.wait(timeout=START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
