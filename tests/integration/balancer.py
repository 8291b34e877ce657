"""The real HAProxy and nginx, run with the files of deploy/ in front of gateways on loopback.

The files are used as they are but for what belongs to a machine: ports, paths, the addresses of the gateways. Where the test is
not root, the balancer is not told to become somebody else either.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess

from gateway import PATIENCE_S, REPOSITORY, free_port, http_exchange, poll, session_members

HOST = "gateway.test"


def program(name):
    """Where it is, or None; in Debian they are not in everybody's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def certificate(folder):
    """(chain, key) for HOST, made for this run."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", chain],
                   check=True, capture_output=True)
    return chain, key


def replaced(text, changes):
    """Each of (old, new) once; what is not there any more is a test that has to be renewed."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in the file"
        text = text.replace(old, new)
    return text


class Balancer:
    """One balancer process in front of three addresses (HOST:PORT), each with so many places (if it counts them)."""

    def __init__(self, folder, chain_and_key, gateways, places=1000):
        self.folder = pathlib.Path(folder) / self.name
        self.folder.mkdir()
        self.chain, self.key = chain_and_key
        self.gateways, self.places = list(gateways), places
        assert len(self.gateways) == 3
        self.port, self.plain_port = free_port(), free_port()
        self.log = self.folder / "stderr.log"
        self.process = None

    @property
    def url(self):
        return f"wss://127.0.0.1:{self.port}/ws/socksync/"

    @property
    def tls(self):
        return ssl.create_default_context(cafile=str(self.chain))

    def check(self):
        """What it says about the file; it must say that it is good."""
        done = subprocess.run(self.check_command(), env=self.environment(), capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        poll(self._listens, lambda: f"{self.name} listens: {self.said()}")
        return self

    def stop(self):
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)  # both: at once
        process.wait(PATIENCE_S)
        poll(lambda: not session_members(process.pid), f"{self.name} leaves no process behind")

    def _listens(self):
        assert self.process.poll() is None, f"{self.name} ended: {self.said()}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def said(self):
        """Its errors and its access log."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def environment(self):
        return dict(os.environ)

    def owners(self):
        """The users that its processes run as."""
        users = set()
        for pid in session_members(self.process.pid):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                users.add(pathlib.Path(f"/proc/{pid}").owner())
        return users


class Haproxy(Balancer):
    name = "haproxy"
    own_file = REPOSITORY / "deploy/haproxy/haproxy.cfg"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        both = self.folder / "syncgate.pem"
        both.write_text(self.chain.read_text() + self.key.read_text())
        self.file = self.own_file
        if os.geteuid() != 0:
            self.file = self.folder / "haproxy.cfg"
            self.file.write_text(re.sub(r"(?m)^    (user|group|chroot) .*\n", "", self.own_file.read_text()))

    def environment(self):
        variables = {"SYNCGATE_BIND_HTTPS": f"127.0.0.1:{self.port}", "SYNCGATE_BIND_HTTP": f"127.0.0.1:{self.plain_port}",
                     "SYNCGATE_BIND_FIGURES": f"unix@{self.folder}/figures.sock",
                     "SYNCGATE_CERTIFICATE": f"{self.folder}/syncgate.pem", "SYNCGATE_PLACES": str(self.places)}
        for number, address in enumerate(self.gateways, 1):
            variables[f"SYNCGATE_GATEWAY_{number}"] = address
        return {**super().environment(), **variables}

    def figure(self, name, label):
        """One of its counters for Prometheus."""
        response = http_exchange(f"{self.folder}/figures.sock", b"GET /metrics HTTP/1.0\r\n\r\n")  # 1.0: in one piece
        return float(re.search(rf"(?m)^{re.escape(f'{name}{{{label}}}')} (.*)$", response.body.decode())[1])

    def check_command(self):
        return [program("haproxy"), "-c", "-f", self.file]

    def command(self):
        return [program("haproxy"), "-db", "-f", self.file]


class Nginx(Balancer):
    name = "nginx"
    own_file = REPOSITORY / "deploy/nginx/nginx.conf"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        text = replaced(self.own_file.read_text(), [
            ("pid /run/nginx.pid;", f"pid {self.folder}/nginx.pid;"),
            ("error_log /var/log/nginx/error.log warn;", f"error_log {self.folder}/error.log warn;"),
            ("access_log /var/log/nginx/access.log paths;", f"access_log {self.folder}/access.log paths;"),
            ("ssl_certificate /etc/nginx/syncgate.crt;", f"ssl_certificate {self.chain};"),
            ("ssl_certificate_key /etc/nginx/syncgate.key;", f"ssl_certificate_key {self.key};"),
            ("listen 80 default_server;", f"listen 127.0.0.1:{self.plain_port} default_server;"),
            ("listen 443 ssl default_server;", f"listen 127.0.0.1:{self.port} ssl default_server;"),
            *((f"server 10.0.0.1{number}:8080 ", f"server {address} ") for number, address in enumerate(self.gateways, 1)),
        ])
        if os.geteuid() != 0:
            text = text.replace("user www-data;\n", "")
            kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            text = text.replace("http {\n", "http {\n" + "".join(f"    {k}_temp_path {self.folder}/{k};\n" for k in kinds))
        self.file = self.folder / "nginx.conf"
        self.file.write_text(text)

    def check_command(self):
        # Its errors before the file is read go where its package says; not our business.
        return [program("nginx"), "-t", "-c", self.file, "-e", self.folder / "start.log"]

    def command(self):
        return [program("nginx"), "-c", self.file, "-e", self.folder / "start.log", "-g", "daemon off;"]


BALANCERS = [Haproxy, Nginx]
