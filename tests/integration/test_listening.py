"""What cannot be listened at, or with, ends the start at once, and one line says why."""
import os
import socket
import subprocess
import sys

import pytest

from gateway import free_port
from test_reload import make_certificate

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]


def refused(gateways, why, *flags, listen=None, workers=1, launcher=()):
    """Starts it, and returns what it says; one error, and that is `why`."""
    gateway = gateways.new("--workers", str(workers), *flags, listen=listen)
    gateway.port = free_port()
    gateway.launcher = list(launcher)
    gateway.launch()
    assert gateway.wait_exit() == 1
    errors = [line for line in gateway.stderr().splitlines() if "level=error" in line]
    assert len(errors) == 1 and why in errors[0], gateway.stderr()
    return errors[0]


@pytest.fixture(params=[1, 3], ids=["one", "workers"])
def workers(request):
    return request.param


@pytest.mark.parametrize("address", ["192.0.2.1:8080", "[2001:db8::1]:8080"])
def test_an_address_of_another_machine(gateways, workers, address):
    if address[0] == "[" and not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 here")
    assert address in refused(gateways, "Cannot assign requested address", listen=[address], workers=workers)


def test_a_port_that_is_taken(gateways, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused(gateways, "Address already in use", listen=[f"127.0.0.1:{taken.getsockname()[1]}"], workers=workers)


def test_the_second_address_counts_too(gateways, workers):
    refused(gateways, "Cannot assign requested address", listen=[f"127.0.0.1:{free_port()}", "192.0.2.1:80"], workers=workers)


def test_a_folder_that_is_not_there(gateways, workers, tmp_path):
    refused(gateways, "No such file or directory", listen=[f"unix:{tmp_path}/no/s"], workers=workers)


def test_a_file_that_is_no_socket_stays(gateways, workers, tmp_path):
    path = tmp_path / "precious"
    path.write_text("words")
    refused(gateways, "File exists", listen=[f"unix:{path}"], workers=workers)
    assert path.read_text() == "words"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else, which root may")


@needs_root
def test_a_folder_without_the_right(gateways, workers, tmp_path):
    tmp_path.chmod(0o755)
    refused(gateways, "Permission denied", listen=[f"unix:{tmp_path}/s"], workers=workers, launcher=NOBODY)


@needs_root
def test_a_privileged_port(gateways, workers):
    bind = "import socket; socket.socket().bind(('127.0.0.1', 81))"
    if subprocess.run([*NOBODY, sys.executable, "-c", bind], capture_output=True).returncode == 0:
        pytest.skip("no port is privileged here")
    refused(gateways, "Permission denied", listen=["127.0.0.1:81"], workers=workers, launcher=NOBODY)


def test_certificates(gateways, tmp_path):
    cert, key = make_certificate(tmp_path, "one")
    (tmp_path / "other").mkdir()
    _, other = make_certificate(tmp_path / "other", "two")
    nonsense, empty = tmp_path / "nonsense.pem", tmp_path / "empty.pem"
    nonsense.write_text("nonsense")
    empty.write_text("")
    cases = [(tmp_path / "none.pem", key, "No such file or directory"), (cert, tmp_path / "none.pem", "No such file or directory"),
             (tmp_path, key, "Is a directory"), (empty, key, "it is empty"), (cert, empty, "it is empty"),
             (nonsense, key, "the certificate or its key is not good"), (cert, nonsense, "the certificate or its key is not good"),
             (cert, other, "the certificate or its key is not good")]
    for chain, secret, why in cases:
        line = refused(gateways, why, "--tls-cert", str(chain), "--tls-key", str(secret))
        assert "file=" in line or "not good" in why
