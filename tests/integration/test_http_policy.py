"""What every answer over HTTP tells browsers, whatever was asked: each row of the endpoint table, the page, each kind of refusal. And from
where /admin/, /metrics and the page may be used."""
import re
import socket

import pytest

from conftest import Gateways, write_config
from gateway import REPOSITORY, Response, http_exchange
from test_admin import ask
from test_endpoints import upgrade_text

CONFIG = """
tokens:
  - { token: "boss", name: boss, admin: true }
  - { token: "scraper", name: scraper, metrics: true }
  - { token: "clerk", name: clerk, subscribe: ["*"] }
"""
POLICY = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def table():
    """(method, path) as gateway/admin/endpoints.c has them."""
    text = (REPOSITORY / "gateway/admin/endpoints.c").read_text()
    rows = re.findall(r'\{HTTP_(GET|POST), (ADMIN_AREA )?"([^"]+)",', text)
    assert len(rows) > 10
    return [(method, "/admin/" + path if area else path) for method, area, path in rows]


ASSETS = [("GET", "/" if file.name == "index.html" else f"/{file.name}")
          for file in sorted((REPOSITORY / "gateway/admin/page").iterdir()) if file.suffix in (".html", ".js", ".css", ".svg")]
ALL = table() + ASSETS + [("GET", "/syncgate.js"), ("GET", "/nowhere"), ("POST", "/healthz"), ("GET", "/admin/nowhere"), ("GET", "/ws")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("policy")
    pool = Gateways(folder, redis_server.socket_path)
    yield pool.start("--config", write_config(folder / "syncgate.yaml", CONFIG), dev=False)
    pool.stop()


def check(response):
    headers = response.headers
    for key, value in POLICY.items():
        assert headers.get(key) == value, (key, response)
    assert headers["cache-control"] in ("no-store", "no-cache")
    if "etag" not in headers:
        assert headers["cache-control"] == "no-store"
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers


def ask_head(address, path, method, **headers):
    """The head alone: an answer may go on for ever."""
    lines = [f"{method} {path} HTTP/1.1"] + [f"{key}: {value}" for key, value in ({"Host": "localhost"} | headers).items()]
    with socket.create_connection(address, timeout=30) as sock:
        sock.sendall(("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode())
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = sock.recv(65536)
            assert chunk, data
            data += chunk
    lines = data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    return Response(int(lines[0].split()[1]), {key.lower(): value.strip() for key, value in fields.items()}, b"")


@pytest.mark.parametrize("method, path", [(method, path) for method, path in ALL], ids=lambda value: value)
def test_each_answer(gateway, method, path):
    """With a token and without, so that the refusal is looked at too; POSTs are such that nothing comes of them."""
    for headers in {"Host": "gate.example"}, {"Authorization": "Bearer boss"}, {"Authorization": "Bearer clerk"}:
        if method == "POST" and path == "/admin/drain" and headers.get("Authorization") == "Bearer boss":
            headers["Origin"] = "https://evil.example"
        check(ask_head(gateway.address, path, method, **headers))
    if method == "GET":
        check(ask_head(gateway.address, path, "HEAD", Authorization="Bearer boss"))


def test_an_answer_that_says_nothing_is_new(gateway):
    etag = ask(gateway.address, "/").headers["etag"]
    again = ask(gateway.address, "/", If_None_Match=etag)
    assert again.status == 304
    check(again)


REFUSALS = [
    (400, b"GET /healthz HTTP/1.1\r\nHost : g\r\n\r\n"),
    (400, upgrade_text(Sec_WebSocket_Key="short")),
    (401, upgrade_text(Authorization="Bearer wrong")),
    (403, upgrade_text(Origin="https://evil.example")),
    (404, upgrade_text().replace(b"/ws ", b"/nowhere ")),
    (405, b"POST /healthz HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n"),
    (411, b"POST /admin/connection/close HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (413, b"GET /healthz HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\n\r\n"),
    (426, upgrade_text(Sec_WebSocket_Version="8")),
    (431, b"GET /healthz HTTP/1.1\r\nHost: g\r\nX: " + b"x" * 20000 + b"\r\n\r\n"),
]


@pytest.mark.parametrize("status, request_text", REFUSALS, ids=[f"{status}-{i}" for i, (status, _) in enumerate(REFUSALS)])
def test_each_refusal(gateway, status, request_text):
    response = http_exchange(gateway.address, request_text)
    assert response.status == status, response
    check(response)


async def test_who_finds_no_room(gateways, peers):
    gateway = gateways.start("--max-connections", "1", "--handshakes-per-address", "1", "--trusted-proxy", "127.0.0.1")
    await peers(gateway)
    response = http_exchange(gateway.address, upgrade_text())
    assert response.status == 503
    check(response)
    gateway = gateways.start("--handshakes-per-address", "1", "--trusted-proxy", "127.0.0.1")
    while response.status != 429:
        response = http_exchange(gateway.address, upgrade_text(X_Forwarded_For="192.0.2.1"))
    check(response)


# --- from where ---


def statuses(gateway, path, forwarded, **headers):
    """By what a trusted proxy says, with whose token."""
    more = {"X_Forwarded_For": forwarded} if forwarded else {}
    return {who: ask(gateway.address, path, Authorization=who and f"Bearer {who}", **more, **headers).status
            for who in (None, "boss", "scraper", "clerk", "wrong")}


NOBODY = {None: 401, "boss": 403, "scraper": 403, "clerk": 403, "wrong": 401}


@pytest.fixture(scope="module")
def fenced(tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("fenced")
    pool = Gateways(folder, redis_server.socket_path)
    yield pool.start("--config", write_config(folder / "syncgate.yaml", CONFIG + """
trusted_proxy: ["127.0.0.1"]
admin_from: ["192.0.2.0/24", "2001:db8::/32"]
metrics_from: ["198.51.100.7"]
page_from: ["203.0.113.0/24"]
"""), dev=False)
    pool.stop()


@pytest.mark.parametrize("path", ["/admin/stats", "/admin/nowhere"])
def test_admin_from(fenced, gateway, path):
    """The address does not do without the token, nor the token without the address."""
    good = 200 if path == "/admin/stats" else 404
    for inside in "192.0.2.9", "2001:db8::1":
        assert statuses(fenced, path, inside) == {None: 401, "boss": good, "scraper": 403, "clerk": 403, "wrong": 401}
    for outside in "203.0.113.1", "198.51.100.7", None:
        answers = [ask(fenced.address, path, Authorization=who, X_Forwarded_For=outside) for who in (None, "Bearer boss", "Bearer wrong")]
        assert {answer.status for answer in answers} == {403}
        assert len({answer.body for answer in answers}) == 1, "the token makes no difference"
    assert ask(gateway.address, path).status == good, "without the option this machine may"


def test_metrics_from(fenced, gateway):
    assert set(statuses(fenced, "/metrics", "198.51.100.7").values()) == {200}
    for outside in "198.51.100.8", None:
        assert statuses(fenced, "/metrics", outside) == {None: 401, "boss": 200, "scraper": 200, "clerk": 401, "wrong": 401}
    assert "www-authenticate" in ask(fenced.address, "/metrics").headers
    assert set(statuses(gateway, "/metrics", None).values()) == {200}


def test_page_from(fenced, gateway):
    for path in "/", "/app.js", "/style.css":
        assert ask(fenced.address, path, X_Forwarded_For="203.0.113.5").status == 200
        assert set(statuses(fenced, path, "192.0.2.9").values()) == {403}
        assert ask(gateway.address, path).status == 200
    for path in "/syncgate.js", "/healthz", "/readyz":
        assert ask(fenced.address, path, X_Forwarded_For="192.0.2.9").status == 200, path
    refused = ask(fenced.address, "/admin/refusals", Authorization="Bearer boss", X_Forwarded_For="192.0.2.9").body
    assert b"page_from" in refused
