"""syncgate --healthcheck: what containers ask the program about the gateway that runs beside it."""
import os
import socket
import subprocess
import threading

import pytest

from gateway import BINARY, free_port, poll

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def ask(*flags, **env):
    """(exit code, what it said); nothing of our own environment counts."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SYNCGATE_")}
    done = subprocess.run([BINARY, *flags], env={**clean, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60)
    assert done.stdout == ""
    return done.returncode, done.stderr


class Listener:
    """A server that gives one connection the same bytes whatever it asks, and keeps the request. None: never answers."""

    def __init__(self, answer, family=socket.AF_INET, address=("127.0.0.1", 0)):
        self.socket = socket.socket(family)
        self.socket.bind(address)
        self.socket.listen()
        self.answer, self.request, self.peer = answer, b"", None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        self.peer, _ = self.socket.accept()
        while b"\r\n\r\n" not in self.request:
            chunk = self.peer.recv(4096)
            if not chunk:
                return
            self.request += chunk
        if self.answer is not None:
            self.peer.sendall(self.answer)
            self.peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        if self.peer:
            self.peer.close()

    @property
    def port(self):
        return self.socket.getsockname()[1]


def test_gateway_that_runs(gateways):
    gateway = gateways.start()
    address = f"127.0.0.1:{gateway.port}"
    assert ask("--healthcheck", "--listen", address) == (0, "")
    assert ask("--listen", address, "--healthcheck") == (0, "")
    assert ask("--healthcheck", SYNCGATE_LISTEN=address) == (0, "")
    assert ask("--healthcheck", f"http://{address}/readyz") == (0, "")
    assert ask(f"--healthcheck=http://localhost:{gateway.port}") == (0, "")
    code, said = ask("--healthcheck", f"http://{address}/nowhere")
    assert (code, said) == (1, f"healthcheck: http://{address}/nowhere: answered 404\n")


def test_wildcard_is_asked_on_loopback(gateways):
    gateway = gateways.start()
    assert ask("--healthcheck", "--listen", f"*:{gateway.port}") == (0, "")


def test_first_address_counts(tmp_path):
    path = str(tmp_path / "socket")
    with Listener(OK, socket.AF_UNIX, path) as listener:
        assert ask("--healthcheck", "--listen", f"unix:{path}", "--listen", f"127.0.0.1:{free_port()}") == (0, "")
        assert listener.request.startswith(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")


def test_file_names_the_address(tmp_path):
    with Listener(OK) as listener:
        config = tmp_path / "c.yaml"
        config.write_text(f'listen: ["0.0.0.0:{listener.port}"]\n')
        assert ask("--healthcheck", "--config", str(config)) == (0, "")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=example.org", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return str(cert), str(key)


def test_gateway_with_tls(gateways, certificate, tmp_path):
    """The name in the certificate is the world's, not this machine's; nobody stands between."""
    cert, key = certificate
    gateway = gateways.new("--tls-cert", cert, "--tls-key", key)
    gateway.port = free_port()
    gateway.listen = [f"127.0.0.1:{gateway.port}", f"unix:{tmp_path}/socket"]
    gateway.launch()
    poll(lambda: ask("--healthcheck", f"https://localhost:{gateway.port}/readyz")[0] == 0, "a gateway that is ready")
    flags = "--listen", gateway.listen[0], "--tls-cert", cert, "--tls-key", key
    assert ask("--healthcheck", *flags) == (0, "")
    assert ask("--healthcheck", f"unix:{tmp_path}/socket", *flags) == (0, "")
    code, said = ask("--healthcheck", f"http://127.0.0.1:{gateway.port}")
    assert code == 1 and said
    code, said = ask("--healthcheck", f"https://127.0.0.1:{gateway.port}/nowhere")
    assert (code, said) == (1, f"healthcheck: https://127.0.0.1:{gateway.port}/nowhere: answered 404\n")


def test_plain_gateway_asked_for_tls(gateways):
    gateway = gateways.start()
    code, said = ask("--healthcheck", f"https://127.0.0.1:{gateway.port}")
    assert (code, said) == (1, f"healthcheck: https://127.0.0.1:{gateway.port}: TLS: what answers there does not speak TLS\n")


def test_nobody_listens():
    code, said = ask("--healthcheck", "--listen", f"127.0.0.1:{free_port()}")
    assert code == 1 and "Connection refused" in said


def test_stopped_gateway_is_not_well(gateways):
    """It accepts (the kernel does) and never answers: the check ends by itself."""
    gateway = gateways.start()
    gateway.freeze()
    try:
        assert ask("--healthcheck", "--listen", f"127.0.0.1:{gateway.port}") == (
            1, "healthcheck: no answer in time\n")
    finally:
        gateway.thaw()


@pytest.mark.parametrize("answer,said", [
    (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered 503"),
    (b"HTTP/1.0 500 x\r\n\r\n", "answered 500"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "answered 204"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "no answer in HTTP"),
    (b"SSH-2.0-200 200 200\r\n", "no answer in HTTP"),
    (b"HTTP/1.1 200", "no answer in HTTP"),
    (b"", "no answer in HTTP"),
])
def test_other_answers(answer, said):
    with Listener(answer) as listener:
        code, text = ask("--healthcheck", "--listen", f"127.0.0.1:{listener.port}")
        assert code == 1 and text.endswith(f": {said}\n")


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/healthz", "ftp://127.0.0.1/", "http://", "nonsense", "127.0.0.1:0"])
def test_what_cannot_be_asked(url):
    code, said = ask("--healthcheck", url)
    assert code == 1 and said.startswith(f"healthcheck: {url}: ")


def test_bad_configuration_is_not_well():
    code, said = ask("--healthcheck", "--listen", "nowhere")
    assert code == 1 and said.startswith("--listen: ")
