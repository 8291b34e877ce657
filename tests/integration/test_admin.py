"""Who gets into /admin/: a token with `admin: true`, and whoever is on this machine without a balancer or a page between."""
import asyncio
import json

import pytest

from conftest import Gateways, write_config
from gateway import http_exchange

CONFIG = """
tokens:
  - { token: "boss", name: boss, admin: true }
  - { token: "clerk", name: clerk, admin: no, subscribe: ["*"] }
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("admin")
    pool = Gateways(folder, redis_server.socket_path)
    yield pool.start("--config", write_config(folder / "syncgate.yaml", CONFIG), dev=False)
    pool.stop()


def ask(address, path="/admin/nowhere", method="GET", body=b"", **headers):
    headers = {"Host": "localhost", "Connection": "close"} | {key.replace("_", "-"): value for key, value in headers.items()}
    if body:
        headers["Content-Length"] = len(body)
    lines = [f"{method} {path} HTTP/1.1"] + [f"{key}: {value}" for key, value in headers.items() if value is not None]
    return http_exchange(address, ("\r\n".join(lines) + "\r\n\r\n").encode() + body)


# 404: got in, and there is nothing.
@pytest.mark.parametrize("headers, status", [
    ({}, 404), ({"Host": "127.0.0.1:80"}, 404), ({"Host": "[::1]"}, 404), ({"Host": "gate.example"}, 401), ({"Host": ""}, 401),
    ({"X_Forwarded_For": "10.0.0.1"}, 401), ({"x_forwarded_for": "127.0.0.1"}, 401), ({"X_Real_IP": "10.0.0.1"}, 401),
    ({"Forwarded": "for=10.0.0.1"}, 401), ({"FORWARDED": "for=127.0.0.1"}, 401),
    ({"Origin": "http://localhost"}, 404), ({"Origin": "http://evil.example"}, 401), ({"Origin": "null"}, 401),
    ({"Origin": "http://localhost:3000"}, 401), ({"Origin": "http://" + "x" * 300}, 401),
    ({"X_Forwarded_For": ""}, 401), ({"Forwarded": ""}, 401), ({"X_Real_IP": ""}, 401),
    ({"Host ": "evil.example"}, 400), ({"Host\t": "evil.example"}, 400), ({" Host": "evil.example"}, 400), ({"X Y": "1"}, 400),
    ({"host": "localhost"}, 400), ({"Host": "local\0host"}, 400), ({"Origin": "http://localhost\0.evil.example"}, 400),
    ({"Origin": ""}, 401),
    ({"Sec_Fetch_Site": "cross-site"}, 401), ({"Sec_Fetch_Site": "same-site"}, 401), ({"Sec_Fetch_Site": ""}, 401),
    ({"Sec_Fetch_Site": "same-origin"}, 404), ({"Sec_Fetch_Site": "none"}, 404),
    ({"Authorization": "Bearer"}, 401), ({"Authorization": ""}, 401), ({"Authorization": "Bearer " + "x" * 1100}, 401),
    ({"Authorization": "Bearer boss  "}, 404), ({"Authorization": "Bearer boss\0x"}, 400),
    ({"Authorization": "Bearer boss"}, 404), ({"Authorization": "Bearer boss", "Host": "gate.example"}, 404),
    ({"Authorization": "Bearer boss", "X_Forwarded_For": "10.0.0.1"}, 404),
    ({"Authorization": "Bearer clerk"}, 403), ({"Authorization": "Bearer clerk", "Host": "gate.example"}, 403),
    ({"Authorization": "Bearer bos"}, 401), ({"Authorization": "Basic Ym9zcw==", "Host": "gate.example"}, 401),
], ids=str)
def test_who_gets_in(gateway, headers, status):
    for method in "GET", "POST":
        response = ask(gateway.address, method=method, **headers)
        assert response.status == status, (method, response)
        assert (status == 401) == ("www-authenticate" in response.headers)


def test_what_a_page_of_another_origin_may_do_with_a_token(gateway):
    """It may look, as somebody gave it the token; it may not act."""
    headers = {"Sec_Fetch_Site": "cross-site", "Authorization": "Bearer boss"}
    assert ask(gateway.address, method="GET", **headers).status == 404
    assert ask(gateway.address, method="POST", **headers).status == 403


def test_a_token_in_the_address(gateway):
    for token, status in ("boss", 404), ("clerk", 403), ("bos", 401), ("", 401):
        assert ask(gateway.address, f"/admin/nowhere?token={token}", Host="gate.example").status == status


@pytest.mark.parametrize("path", ["/admin/../admin/nowhere", "//admin/nowhere", "/%61dmin/nowhere", "/x/../admin/nowhere"])
def test_other_spellings_do_not_lead_around(gateway, path):
    assert ask(gateway.address, path, Host="gate.example").status in (401, 403, 404)
    assert ask(gateway.address, "/admin/drain", "POST", Host="gate.example").status == 401


def test_a_unix_socket_is_local(gateways, tmp_path):
    path = str(tmp_path / "gate.sock")
    gateway = gateways.new(listen=[f"unix:{path}"])
    gateway.get = lambda where: ask(path, where)
    gateway.start()
    assert ask(path).status == 404
    assert ask(path, Host="unix").status == 404
    assert ask(path, Host="gate.example").status == 401
    assert ask(path, X_Forwarded_For="10.0.0.1").status == 401


def test_refusals_are_counted(gateway):
    before = gateway.metrics()['syncgate_refused_total{reason="unauthorized"}']
    ask(gateway.address, Host="gate.example")
    assert gateway.metrics()['syncgate_refused_total{reason="unauthorized"}'] == before + 1


# --- methods and bodies ---


def test_methods(gateway):
    assert ask(gateway.address, "/healthz", "POST").status == 405
    assert ask(gateway.address, "/healthz", "POST", b"x" * 1000).status == 405
    assert ask(gateway.address, "/nowhere", "POST").status == 404
    for method in "PUT", "DELETE", "PATCH":
        assert ask(gateway.address, method=method).status in (404, 405)
    assert gateway.get("/healthz").status == 200
