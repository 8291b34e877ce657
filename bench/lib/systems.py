"""The servers that are measured: how each is started, and how syncgate-bench talks to it.

Every server runs on core 0; Redis, the generator and whatever publishes for a server run on core 1. All of them have the same
Redis, over TCP on loopback, except mosquitto and nats-server, which are message brokers themselves.
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench/peers"
PATIENCE_S = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stage:
    """A folder, a Redis, and the processes that were started; all of it ends with stop()."""

    def __init__(self, folder, programs, pinned=True):
        self.folder = pathlib.Path(folder)
        self.programs = programs  # name -> path: syncgate, syncgate-bench, limit
        self.pinned = pinned
        self.processes = []
        self.commands = []  # as started, for the report
        self.redis_port = free_port()
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}"
        self._start_redis()

    def _start_redis(self):
        self.redis = self.start("redis", 1, [
            "redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self.folder), "--tcp-backlog", "4096"])
        self.wait_for(self.redis_port)
        self.permanent = len(self.processes)

    def start(self, name, core, command, env=None, cwd=None):
        """core None: any."""
        command = [str(word) for word in command]
        if self.pinned and core is not None:
            command = ["taskset", "-c", str(core), *command]
        self.commands.append(" ".join(command))
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd or self.folder,
                env={**os.environ, **(env or {})}, start_new_session=True)
        process.label = name
        self.processes.append(process)
        return process

    def wait_for(self, port):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for process in self.processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.label} ended with {process.returncode}: {self.log(process.label)}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"nothing listens on port {port}")

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")[-600:]

    def flush(self):
        """The servers end, Redis forgets; one that does not answer is started anew."""
        self._end(self.processes[self.permanent:])
        del self.processes[self.permanent:]
        try:
            self._empty_redis()
        except OSError:
            self.stop()
            self._start_redis()

    def _empty_redis(self):
        with socket.create_connection(("127.0.0.1", self.redis_port)) as redis:
            redis.sendall(b"*1\r\n$8\r\nFLUSHALL\r\n*2\r\n$8\r\nFUNCTION\r\n$5\r\nFLUSH\r\n")
            redis.settimeout(PATIENCE_S)
            answer = b""
            while answer.count(b"\r\n") < 2:
                received = redis.recv(100)
                if not received:
                    raise ConnectionResetError("Redis hung up")
                answer += received

    def stop(self):
        self._end(self.processes)
        self.processes = []

    @staticmethod
    def _end(processes):
        for process in reversed(processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in reversed(processes):
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def children(pid):
    """The direct children of a process."""
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def package_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], text=True, capture_output=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


class System:
    """`start` returns (pids of the server, arguments for syncgate-bench)."""

    name = title = ""
    core = 0

    def missing(self, stage):
        """Why it cannot be measured here; None: it can."""
        raise NotImplementedError

    def version(self):
        return ""

    def start(self, stage, work):
        raise NotImplementedError


class Limit(System):
    def __init__(self, name, title, *flags):
        self.name, self.title, self.flags = name, title, flags

    def missing(self, stage):
        return None

    def start(self, stage, work):
        port = free_port()
        server = stage.start(self.name, 0, [stage.programs["limit"], "--listen", port, "--redis", stage.redis_url, *self.flags])
        stage.wait_for(port)
        return [server.pid], ["--kind", "raw", "--url", f"ws://127.0.0.1:{port}/%s", "--publish", f"redis:{stage.redis_url}"]


def http_status(port, method, path, body=None, tls=False):
    """None: no answer."""
    if tls:
        # Our own certificate of this minute: nothing to check it against.
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body=body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def wait_ready(stage, port, tls=False):
    """The gateway has Redis, and Redis the functions."""
    stage.wait_for(port)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if http_status(port, "GET", "/readyz", tls=tls) == 200:
            return
        time.sleep(0.05)
    raise RuntimeError("the gateway does not become ready")


class Syncgate(System):
    name, title = "syncgate", "syncgate"

    def missing(self, stage):
        return None

    def version(self):
        done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], text=True, capture_output=True, check=False)
        return done.stdout.strip()

    def start(self, stage, work):
        port = free_port()
        scheme, flags = "ws", [*work.syncgate]
        if work.tls:
            scheme = "wss"
            flags += ["--tls-cert", certificate(stage), "--tls-key", stage.folder / "key.pem"]
        server = stage.start(self.name, work.server_core, [
            stage.programs["syncgate"], "--listen", f"127.0.0.1:{port}", "--redis", stage.redis_url, "--dev",
            "--log-level", "warn", *flags])
        wait_ready(stage, port, work.tls)
        pids = children(server.pid) if work.workers > 1 else [server.pid]
        publish = "ws" if work.writes else f"redis:{stage.redis_url}"
        arguments = ["--kind", work.kind, "--url", f"{scheme}://127.0.0.1:{port}", "--publish", publish]
        return pids, arguments + (["--insecure"] if work.tls else [])


def wait_while_503(port):
    """nchan answers so until it has found Redis."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if http_status(port, "POST", "/pub/warm", body="-") not in (None, 503):
            return
        time.sleep(0.1)
    raise RuntimeError("nchan does not find Redis")


class Nchan(System):
    name, title = "nchan", "nchan (nginx)"

    def missing(self, stage):
        if not shutil.which("nginx"):
            return "nginx is not installed"
        return None if os.path.exists("/usr/lib/nginx/modules/ngx_nchan_module.so") else "libnginx-mod-nchan is not installed"

    def version(self):
        return package_version("libnginx-mod-nchan")

    def start(self, stage, work):
        port = free_port()
        config = stage.folder / "nginx.conf"
        config.write_text(f"""
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; user root; worker_processes 1; worker_rlimit_nofile 20000;
pid {stage.folder}/nginx.pid; error_log {stage.folder}/nginx-error.log warn;
events {{ worker_connections 19000; }}
http {{
    access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path {stage.folder}/body; proxy_temp_path {stage.folder}/proxy; fastcgi_temp_path {stage.folder}/fastcgi;
    scgi_temp_path {stage.folder}/scgi; uwsgi_temp_path {stage.folder}/uwsgi;
    nchan_shared_memory_size 256M;
    upstream redis {{ nchan_redis_server {stage.redis_url}; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/sub/(.+)$ {{ nchan_subscriber websocket; nchan_channel_id $1; nchan_redis_pass redis;
                                 nchan_subscriber_first_message newest; }}
        location ~ ^/pub/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; nchan_redis_pass redis;
                                 nchan_message_buffer_length 1000; }}
    }}
}}
""")
        server = stage.start(self.name, 0, ["nginx", "-p", stage.folder, "-c", config])
        stage.wait_for(port)
        wait_while_503(port)
        return [server.pid, *children(server.pid)], [
            "--kind", "raw", "--url", f"ws://127.0.0.1:{port}/sub/%s", "--publish", f"http://127.0.0.1:{port}/pub/%s"]


class Node(System):
    def missing(self, stage):
        if not shutil.which("node"):
            return "node is not installed"
        return None if (PEERS / "node_modules").is_dir() else "bench/peers has no node_modules"

    def packaged(self, package):
        return json.loads((PEERS / "node_modules" / package / "package.json").read_text())["version"]

    def node(self, stage, name, core, *arguments):
        return stage.start(name, core, ["node", *arguments], env={"NODE_ENV": "production"}, cwd=PEERS)


class NodeWs(Node):
    name, title = "ws", "Node.js ws + ioredis"

    def version(self):
        return self.packaged("ws")

    def start(self, stage, work):
        port = free_port()
        server = self.node(stage, self.name, 0, "ws.js", port, stage.redis_url)
        stage.wait_for(port)
        return [server.pid], ["--kind", "raw", "--url", f"ws://127.0.0.1:{port}/%s", "--publish", f"redis:{stage.redis_url}"]


class SocketIo(Node):
    name, title = "socketio", "Socket.IO + Redis adapter"

    def version(self):
        return self.packaged("socket.io")

    def start(self, stage, work):
        port, post = free_port(), free_port()
        server = self.node(stage, self.name, 0, "socketio.js", port, stage.redis_url)
        self.node(stage, "socketio-publisher", 1, "socketio.js", post, stage.redis_url, "publish")
        stage.wait_for(port)
        stage.wait_for(post)
        return [server.pid], [
            "--kind", "socketio", "--url", f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket&room=%s",
            "--publish", f"http://127.0.0.1:{post}/%s"]


class Channels(System):
    def __init__(self, name, title, layer):
        self.name, self.title, self.layer = name, title, layer

    def missing(self, stage):
        for package in "daphne", "python3-django-channels", "python3-channels-redis":
            if not package_version(package):
                return f"{package} is not installed"
        return None

    def version(self):
        return package_version("python3-django-channels")

    def start(self, stage, work):
        port, post = free_port(), free_port()
        environment = {"BENCH_REDIS": stage.redis_url, "BENCH_LAYER": self.layer, "PYTHONDONTWRITEBYTECODE": "1"}

        def daphne(name, core, where):
            return stage.start(name, core, [
                "/usr/bin/python3", "-m", "daphne", "-b", "127.0.0.1", "-p", where, "-v", "0", "channels_app:application"],
                env=environment, cwd=PEERS)

        server = daphne(self.name, 0, port)
        daphne(self.name + "-publisher", 1, post)
        stage.wait_for(port)
        stage.wait_for(post)
        return [server.pid], ["--kind", "raw", "--url", f"ws://127.0.0.1:{port}/%s", "--publish", f"http://127.0.0.1:{post}/%s"]


class Mosquitto(System):
    name, title = "mosquitto", "mosquitto (no Redis)"

    def missing(self, stage):
        return None if shutil.which("mosquitto") else "mosquitto is not installed"

    def version(self):
        return package_version("mosquitto")

    def start(self, stage, work):
        port = free_port()
        config = stage.folder / "mosquitto.conf"
        config.write_text(f"""user root
persistence false
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
log_type error
listener {free_port()} 127.0.0.1
listener {port} 127.0.0.1
protocol websockets
socket_domain ipv4
""")  # it does not start without a plain listener, and without the domain it listens on every interface
        server = stage.start(self.name, 0, ["mosquitto", "-c", config])
        stage.wait_for(port)
        return [server.pid], ["--kind", "mqtt", "--url", f"ws://127.0.0.1:{port}", "--publish", "ws"]


class Nats(System):
    name, title = "nats", "nats-server (no Redis)"

    def missing(self, stage):
        return None if shutil.which("nats-server") else "nats-server is not installed"

    def version(self):
        return package_version("nats-server")

    def start(self, stage, work):
        port = free_port()
        config = stage.folder / "nats.conf"
        config.write_text(f"""host: 127.0.0.1
port: {free_port()}
max_connections: 19000
ping_interval: "1h"
write_deadline: "60s"
websocket {{ host: 127.0.0.1, port: {port}, no_tls: true }}
""")
        server = stage.start(self.name, 0, ["nats-server", "-c", config])
        stage.wait_for(port)
        return [server.pid], ["--kind", "nats", "--url", f"ws://127.0.0.1:{port}", "--publish", "ws"]


def certificate(stage):
    path = stage.folder / "cert.pem"
    if not path.exists():
        subprocess.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-keyout", stage.folder / "key.pem", "-out", path], check=True, capture_output=True)
    return path


SYSTEMS = [
    Limit("limit", "limit, one write per message"),
    Limit("limit-merged", "limit, one write per turn", "--merge"),
    Syncgate(),
    Nchan(),
    NodeWs(),
    SocketIo(),
    Channels("channels", "Django Channels, core layer", "core"),
    Channels("channels-pubsub", "Django Channels, pub/sub layer", "pubsub"),
    Mosquitto(),
    Nats(),
]
