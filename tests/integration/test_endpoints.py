"""Transport: paths, upgrades, sub-protocols, HTTP endpoints, and what tokens open."""
import asyncio
import base64
import json
import os

import pytest
from websockets.exceptions import InvalidStatusCode

from conftest import Gateways, write_config
from gateway import http_exchange, parse_metrics, until
from peer import Peer, dumps

CONFIG = """
anonymous: { subscribe: ["open*", "cursor"], call: [], write: [], serve: [] }
tokens:
  - { token: "backend", name: backend, subscribe: ["*"], call: ["*"], write: ["*"], serve: ["*"] }
  - { token: "s3cret/+ &=%", name: odd, subscribe: ["*"], call: [], write: [], serve: [] }
  - { token: "pen", name: pen, subscribe: ["*"], call: [], write: ["cursor", "todo", "draft:?", "notes:*"], serve: [] }
  - { token: "blind", name: blind, write: ["box:*"] }
  - { token: "caller", name: caller, subscribe: [], call: ["math.*"], write: [], serve: [] }
  - { token: "worker", name: worker, subscribe: [], call: [], write: [], serve: ["math.*", "exact"] }
names:
  - { pattern: "cursor", type: var }
  - { pattern: "todo", type: list }
  - { pattern: "draft:*", type: var }
  - { pattern: "small:*", type: list, max_page_size: 3 }
"""
PATHS = ["/ws/socksync/", "/ws/socksync", "/ws", "/ws/"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("endpoints")
    pool = Gateways(folder, redis_server.socket_path)
    started = pool.start("--config", write_config(folder / "syncgate.yaml", CONFIG), dev=False)
    with redis_server.client() as client:
        for name in ("open", "closed", "cursor", "draft:1", "draft:12", "notes:1"):
            client.execute_command("FCALL", "sg_var_set", 1, name, "1")
    yield started
    pool.stop()


# --- paths and upgrades ---


@pytest.mark.parametrize("path", PATHS + [path + "?x=1&y" for path in PATHS])
async def test_paths_that_speak(gateway, peers, path):
    peer = await peers(gateway, path=path)
    await peer.subscribed("var", "open")


@pytest.mark.parametrize("path", ["/nowhere", "/ws/other/", "/wss", "/ws/socksync/x", "/WS", "/readyz/x"])
async def test_unknown_paths_are_404(gateway, peers, path):
    peer = await peers.open(gateway.address)
    assert await peer.upgrade(path, key()) == 404
    assert gateway.get(path).status == 404


@pytest.mark.parametrize("path", ["/../ws", "/ws/../nowhere", "/%2e%2e/etc/passwd", "/%00", "/" + "x" * 2000, "//"])
async def test_strange_paths_are_refused_and_harm_nothing(gateway, path):
    try:
        assert http_exchange(gateway.address, f"GET {path} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n".encode()).status >= 300 \
            or path == "//"
    except ConnectionError:
        pass  # ended without a word
    assert gateway.get("/healthz").status == 200


def key():
    return base64.b64encode(os.urandom(16)).decode()


def upgrade_text(version="HTTP/1.1", **changes):
    """An upgrade request; a header that is None is left out."""
    headers = {"Host": "gateway", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key(),
               "Sec-WebSocket-Version": "13"}
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"GET /ws {version}"] + [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.parametrize("changes", [
    {"Host": None}, {"version": "HTTP/1.0"}, {"Sec_WebSocket_Key": None}, {"Sec_WebSocket_Key": "short"}, {"Sec_WebSocket_Key": ""},
    {"Sec_WebSocket_Key": "x" * 23 + "="}, {"Sec_WebSocket_Key": "*" * 22 + "=="}, {"Sec_WebSocket_Key": "A" * 40 + "=="},
    {"Connection": "keep-alive"},
], ids=str)
async def test_malformed_upgrades_are_400(gateway, peers, changes):
    peer = await peers.open(gateway.address)
    assert await peer.request(upgrade_text(**changes)) == 400


@pytest.mark.parametrize("version", ["8", "0", "14", "x", None])
async def test_another_websocket_version_is_not_upgraded(gateway, peers, version):
    peer = await peers.open(gateway.address)
    assert await peer.request(upgrade_text(Sec_WebSocket_Version=version)) in (400, 426)


@pytest.mark.parametrize("changes", [{"Connection": "keep-alive, Upgrade"}, {"Upgrade": "WebSocket"}, {"Connection": "upgrade"}],
                         ids=str)
async def test_upgrades_as_browsers_write_them(gateway, peers, changes):
    peer = await peers.open(gateway.address)
    assert await peer.request(upgrade_text(**changes)) == 101
    await peer.send(func="subscribe", type="var", name="open")
    assert json.loads(await peer.recv_text())["value"] == 1


TOKENS = [
    ("?token=backend", 101), ("?tokens=a&token=backend", 101), ("?x&token=backend&y=1", 101), ("?TOKEN=wrong", 101), ("?token", 101),
    ("?token=", 101), ("?to%6ben=backend", 101), ("?token%3dwrong", 101),
    ("?tokens=backend", 101), ("?token=backen", 401), ("?token=backendx", 401), ("?token=backend%00x", 401),
    ("?token=%00x", 401), ("?token=" + "x" * 1023, 401), ("?token=" + "x" * 1024, 401), ("?token=" + "x" * 1100, 401), ("?token=" + "x" * 2500, 401),
    ("?token=wrong&token=backend", 401), ("?token=backend&token=backend", 401), ("?token=&token=backend", 401),
]


@pytest.mark.parametrize("query, status", TOKENS, ids=lambda value: str(value)[:40])
async def test_a_token_is_what_is_called_so_and_all_of_it(gateway, peers, query, status):
    """`closed` tells an anonymous client from the one whose token it is."""
    peer = await peers.open(gateway.address)
    assert await peer.upgrade("/ws" + query, key()) == status
    if status == 101:
        await peer.send(func="subscribe", type="var", name="closed")
        answer = json.loads(await peer.recv_text())
        known = any(part in query.replace("%6b", "k").split("?")[1].split("&") for part in ("token=backend",))
        assert answer["func"] == ("set" if known else "error"), answer


@pytest.mark.parametrize("text, status", [
    ("Bearer backend", 101), ("bearer backend", 101), ("Bearer backend \t", 101), ("Basic eDp5", 101), ("Bearers backend", 101),
    ("Bearer", 401), ("Bearer ", 401), ("", 401), ("Bearer backen", 401), ("Bearer backend x", 401), ("Bearer " + "x" * 1100, 401),
    ("Bearer back\0end", 400),
], ids=lambda value: str(value)[:40])
async def test_a_token_in_a_header_is_all_of_it(gateway, peers, text, status):
    peer = await peers.open(gateway.address)
    assert await peer.request(upgrade_text(Authorization=text)) == status


@pytest.mark.parametrize("name", ["Host ", "Host\t", " Host", "X Y", "X\0Y", "X(Y", "host"])
async def test_headers_that_others_may_read_differently_are_refused(gateway, peers, name):
    for path in "/ws", "/healthz":
        peer = await peers.open(gateway.address)
        request = upgrade_text() if path == "/ws" else b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
        assert await peer.request(request[:-2] + f"{name}: evil.example\r\n\r\n".encode()) == 400


@pytest.mark.parametrize("target, status", [
    ("http://gateway/ws", 101), ("HTTP://gateway:80/ws/socksync/", 101), ("https://gateway/ws?token=backend", 101),
    ("ws://gateway/ws", 101), ("http://other/ws", 101), ("http://gateway/ws?token=wrong", 401), ("http://gateway/nowhere", 404),
    ("http://gateway", 404), ("http://ws", 404), ("ftp://gateway/ws", 404),
])
async def test_a_target_with_scheme_and_host(gateway, peers, target, status):
    """RFC 9112 section 3.2.2: a server takes it, and its host counts before the header's."""
    peer = await peers.open(gateway.address)
    assert await peer.upgrade(target, key()) == status
    peer = await peers.open(gateway.address)
    if status == 101:
        host = target.split("/")[2]
        assert await peer.upgrade(target, key(), {"Origin": f"http://{host}", "Host": "elsewhere"}) == 101
        peer = await peers.open(gateway.address)
        assert await peer.upgrade(target, key(), {"Origin": "http://elsewhere", "Host": "elsewhere"}) == 403


async def test_nothing_counts_behind_a_close_frame(gateway, peers, db):
    await db.fcall("sg_var_set", "closing", "1")
    peer = await peers.bare(gateway.address, path="/ws?token=backend")
    write = dumps(func="set", type="var", name="closing", value=2).encode()
    await peer.write(peer.encode(peer.CLOSE, b"\x03\xe8") + peer.encode(peer.TEXT, write))
    assert await peer.close_code() == 1000
    other = await peers(gateway, token="backend")  # writes to Redis keep their order
    await other.send(func="set", type="var", name="closing:other", value=1)
    await other.subscribed("var", "closing:other")
    assert (await db.fcall("sg_var_get", "closing"))[1] in (b"1", "1")


async def test_a_plain_get_of_a_websocket_path_is_refused(gateway):
    for path in PATHS:
        assert gateway.get(path).status in (400, 426)


async def test_a_message_in_the_same_packet_as_the_upgrade(gateway, peers):
    peer = await peers.open(gateway.address)
    frame = peer.encode(peer.TEXT, dumps(func="subscribe", type="var", name="open").encode())
    assert await peer.request(upgrade_text() + frame) == 101
    assert json.loads(await peer.recv_text())["name"] == "open"


@pytest.mark.parametrize("path, offered, selected", [
    ("/ws", "socksync.v2", "socksync.v2"), ("/ws/socksync/", "other, socksync.v2, socksync.v1", "socksync.v2"),
    ("/ws/socksync/v2", None, None), ("/ws/socksync/v2/", "socksync.v1", None), ("/ws/socksync/v2", "socksync.v2", "socksync.v2"),
])
async def test_version_two(gateway, peers, path, offered, selected):
    headers = {"Sec-WebSocket-Protocol": offered} if offered else {}
    peer = await peers.bare(gateway.address, path=path, headers=headers)
    assert peer.headers.get("sec-websocket-protocol") == selected
    await peer.send(func="get")
    assert json.loads(await peer.recv_text())["error_code"] == 2  # 5 in v1


@pytest.mark.parametrize("offered, selected", [
    (["socksync.v1"], "socksync.v1"), (["other", "socksync.v1"], "socksync.v1"), (["socksync.v9", "socksync.v1"], "socksync.v1"),
    (["socksync.v9"], None), (["other"], None), (["a", "b", "c"], None), (None, None), (["socksync"], None), (["SOCKSYNC.V1"], None),
], ids=str)
async def test_subprotocols(gateway, peers, offered, selected):
    headers = {"Sec-WebSocket-Protocol": ", ".join(offered)} if offered else {}
    peer = await peers.bare(gateway.address, headers=headers)
    assert peer.headers.get("sec-websocket-protocol") == selected
    await peer.send(func="subscribe", type="var", name="open")
    assert json.loads(await peer.recv_text())["value"] == 1


async def test_permessage_deflate_is_not_chosen(gateway, peers):
    peer = await peers.bare(gateway.address, headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
    assert "sec-websocket-extensions" not in peer.headers


# --- plain HTTP ---


async def test_http_endpoints(gateway):
    assert gateway.get("/healthz").status == 200
    assert gateway.get("/readyz").status == 200
    page = gateway.get("/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert gateway.get("/?a=b").status == 200
    metrics = gateway.get("/metrics")
    assert metrics.status == 200 and metrics.headers["content-type"].startswith("text/plain")
    samples = parse_metrics(metrics.body.decode())
    assert samples["syncgate_redis_up"] == 1
    for line in metrics.body.decode().splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[3] in ("counter", "gauge", "histogram"), line


async def test_a_head_request_has_no_body(gateway):
    for path in ("/healthz", "/"):
        reader, writer = await asyncio.open_connection(*gateway.address)
        writer.write(f"HEAD {path} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 30)
        assert b" 200 " in answer.split(b"\r\n")[0] and answer.endswith(b"\r\n\r\n"), answer
        writer.close()


async def test_other_methods_are_refused(gateway):
    for method in ("POST", "PUT", "DELETE"):
        try:
            response = http_exchange(
                gateway.address, f"{method} /healthz HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            assert response.status in (400, 403, 404, 405, 501), response
        except ConnectionError:
            pass  # ended without a word
    assert gateway.get("/healthz").status == 200


async def test_one_request_on_one_connection(gateway):
    """The answer says so, and the connection ends behind it."""
    reader, writer = await asyncio.open_connection(*gateway.address)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: g\r\nConnection: keep-alive\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 30)
    assert answer.startswith(b"HTTP/1.1 200 ") and b"\r\nconnection: close\r\n" in answer and answer.endswith(b"\r\n\r\nok\n"), answer
    writer.close()


@pytest.mark.parametrize("data", [b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                                  b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n", b"\r\n\r\n\r\n"], ids=lambda d: repr(d[:16]))
async def test_garbage_instead_of_a_request_harms_nothing(gateway, peers, data):
    peer = await peers.open(gateway.address)
    try:
        await peer.write(data)
    except OSError:
        pass  # refused before all of it was sent
    peer.close()
    assert gateway.get("/healthz").status == 200


async def test_connections_are_counted(gateways, peers):
    gateway = gateways.start()
    many = [await peers(gateway) for _ in range(5)]
    metrics = gateway.metrics()
    assert metrics['syncgate_connections{protocol="socksync",state="open"}'] == 5
    for peer in many[:3]:
        await peer.close()
    await until(lambda: gateway.metrics()['syncgate_connections{protocol="socksync",state="open"}'] == 2, "2 connections are counted")
    assert gateway.metrics()["syncgate_connections_total"] == 5


# --- tokens ---


async def refused(gateway, **options):
    with pytest.raises(InvalidStatusCode) as caught:
        await Peer.connect(gateway, **options)
    return caught.value.status_code


async def test_an_unknown_token_is_401(gateway):
    assert await refused(gateway, token="wrong") == 401
    assert await refused(gateway, query_token="wrong") == 401
    assert await refused(gateway, token="backend2") == 401
    assert await refused(gateway, token="backen") == 401
    assert await refused(gateway, query_token="x" * 900) == 401


@pytest.mark.parametrize("how", [{"token": "backend"}, {"query_token": "backend"}, {"query_token": "backend&x=1"},
                                 {"query_token": "s3cret%2F%2B%20%26%3D%25"}, {"token": "s3cret/+ &=%"}], ids=str)
async def test_a_token_comes_as_parameter_or_header(gateway, peers, how):
    peer = await peers(gateway, tolerant=True, **how)
    await peer.until(lambda: True, "nothing")
    await peer.subscribe("var", "closed")
    await peer.until(lambda: peer.state.value("closed") == "1", "the value of closed")


@pytest.mark.parametrize("how", [{}, {"query_token": ""}, {"extra_headers": {"Authorization": "Basic YTpi"}}], ids=str)
async def test_without_a_token_one_is_anonymous(gateway, peers, how):
    peer = await peers(gateway, tolerant=True, **how)
    await peer.subscribe("var", "closed")
    await peer.expect_error(3, type="var", name="closed")
    await peer.subscribed("var", "open")


async def test_literal_write_grants_are_announced_at_connect(gateway, peers):
    peer = await peers(gateway, token="pen")
    await peer.until(lambda: {("var", "cursor"), ("list", "todo")} <= peer.state.writable, "subscribe of cursor and todo")
    assert await peer.fence() is not None
    assert {name for _, name in peer.state.writable} == {"cursor", "todo"}, "a pattern is not announced"


async def test_without_literal_grants_nothing_is_announced(gateway, peers):
    for options in ({}, {"token": "backend"}, {"token": "worker"}):
        peer = await peers(gateway, **options)
        assert await peer.fence() == []


async def test_write_grants_cover_what_their_patterns_say(gateway, peers):
    peer = await peers(gateway, token="pen", tolerant=True)
    for name in ("cursor", "draft:1", "notes:1"):
        await peer.subscribe("var", name)
        await peer.send(func="set", type="var", name=name, value=name)
        await peer.until(lambda name=name: peer.state.value(name) == f'"{name}"', f"the new value of {name}")
    peer.take()
    for name in ("open", "draft:12"):
        await peer.send_text(dumps(func="set", type="var", name=name, value=1))
        await peer.expect_error(1, type="var", name=name)


async def test_a_write_grant_needs_no_subscription(gateway, peers, db):
    await db.fcall("sg_var_set", "notes:2", "1")
    writer, reader = await peers(gateway, token="pen"), await peers(gateway, token="backend")
    await reader.subscribed("var", "notes:2")
    await writer.send(func="set", type="var", name="notes:2", value=2)
    await reader.expect('{"func":"set","type":"var","name":"notes:2","value":2}')
    assert not [frame for frame in await writer.fence() if frame["func"] != "subscribe"]


async def test_who_may_write_and_not_read_learns_nothing(gateway, peers, db):
    """Neither ids nor lengths, kinds or whether a name is there: a write that is refused is as silent as one that works."""
    await db.fcall("sg_list_set_all", "box:list", json.dumps([{"id": "a", "value": 1}, {"id": "b", "value": 2}]))
    await db.fcall("sg_list_put", "box:sorted", "k", "a", "1")
    await db.fcall("sg_var_set", "box:end", "1")
    blind, reader = await peers(gateway, token="blind", tolerant=True), await peers(gateway, token="backend")
    await reader.subscribed("var", "box:end")
    refused = [
        {"func": "delete", "name": "box:list", "id": "zz"}, {"func": "set", "name": "box:list", "id": "zz", "value": 0},
        {"func": "insert", "name": "box:list", "id": "a", "index": 0, "value": 0},
        {"func": "insert", "name": "box:list", "id": "c", "index": 99, "value": 0},
        {"func": "insert", "name": "box:sorted", "id": "c", "index": 0, "value": 0},
        {"func": "delete", "name": "box:none", "id": "a"}, {"func": "set", "name": "box:none", "id": "a", "value": 0},
    ]
    before = await gateway.metric("syncgate_writes_untold_total")
    for frame in refused:
        await blind.send_text(dumps(type="list", **frame))
    await blind.send_text(dumps(type="list", func="delete", name="box:list", id="b"))
    await blind.send_text(dumps(type="var", func="set", name="box:end", value=2))
    await reader.expect('{"func":"set","type":"var","name":"box:end","value":2}')  # Redis answers in order
    assert await blind.fence() == []
    assert await gateway.metric("syncgate_writes_untold_total") == before + len(refused)
    assert (await db.fcall("sg_list_page", "box:list", "0", "10"))[1] == 1, "what is good is done"
    blind.take()
    for kind, name in ("list", "box:list"), ("list", "box:none"), ("var", "box:list"), ("var", "box:none"):
        for func in "get", "unsubscribe":
            await blind.send_text(dumps(type=kind, func=func, name=name))
            await blind.expect_error(1, type=kind, name=name)
    # What is wrong with the message itself has nothing to do with what is there.
    await blind.send_text(dumps(type="list", func="delete", name="box:list", id=""))
    await blind.expect_error(4, type="list", name="box:list")


async def test_call_and_serve_grants(gateway, peers):
    worker = await peers(gateway, token="worker", tolerant=True)
    caller = await peers(gateway, token="caller", tolerant=True)
    nobody = await peers(gateway, tolerant=True)
    await worker.subscribe("function", "other")
    await worker.expect_error(3, type="function", name="other")
    await caller.subscribe("function", "math.add")
    await caller.expect_error(3, type="function", name="math.add")

    async def add(peer, frame):
        await peer.send(func="return", type="function", name="math.add", id=frame["id"], value=3)

    worker.handlers["math.add"] = add
    await worker.serve("math.add")
    await worker.serve("exact")
    await caller.offered("math.add")
    assert (await caller.call("math.add", "1"))["value"] == 3
    await nobody.say(dumps(func="call", type="function", name="math.add", id="1"))
    await nobody.expect_error(3, type="function", name="math.add", id="1")
    await caller.say(dumps(func="call", type="function", name="exact", id="2"))
    assert (await caller.settled("2"))["error_code"] == 3
    assert caller.state.callable == {"math.add"}, "only what one may call is offered"
    assert nobody.state.callable == set() and worker.state.callable == set()


async def test_max_page_size_of_a_pattern(gateway, peers, db):
    await db.fcall("sg_list_set_all", "small:1", json.dumps([{"id": i, "value": i} for i in range(5)]))
    peer = await peers(gateway, token="backend", max_page_size=3)
    frame = await peer.subscribed("list", "small:1")
    assert [item["id"] for item in frame["items"]] == [0, 1, 2] and frame["total_item_count"] == 5
    await peer.get("list", "small:1", page=1, page_size=50)
    frame = await peer.recv()
    assert frame["page"] == 1 and [item["id"] for item in frame["items"]] == [3, 4]


async def test_max_page_size_is_an_option(gateways, peers, db, name):
    gateway = gateways.start("--max-page-size", "4")
    await db.fcall("sg_list_set_all", name, json.dumps([{"id": i, "value": i} for i in range(9)]))
    peer = await peers(gateway, max_page_size=4)
    assert len((await peer.subscribed("list", name))["items"]) == 4
    await peer.get("list", name, page=2, page_size=9)
    assert [item["id"] for item in (await peer.recv())["items"]] == [8]


async def test_dev_opens_everything(gateways, peers, name):
    gateway = gateways.start()
    executor, writer = await peers(gateway), await peers(gateway)

    async def echo(peer, frame):
        await peer.send(func="return", type="function", name=name, id=frame["id"], value=frame["args"])

    executor.handlers[name] = echo
    await executor.serve(name)
    await writer.offered(name)
    assert (await writer.call(name, "1", '{"a":1}'))["value"] == {"a": 1}
    assert writer.state.writable == set(), "* is a pattern, not a name"


async def test_prefixes_share_one_redis(gateways, peers, db, name):
    """The same name under two prefixes is two variables; a full root key names either."""
    plain, acme = gateways.start(), gateways.start("--prefix", "acme:")
    await db.fcall("sg_var_set", name, "1")
    await db.fcall("sg_var_set", f"acme:{{{name}}}", "2")
    one, two = await peers(plain), await peers(acme)
    assert (await one.subscribed("var", name))["value"] == 1
    assert (await two.subscribed("var", name))["value"] == 2
    await db.fcall("sg_var_set", f"sg:{{{name}}}", "3")
    await db.fcall("sg_var_set", f"acme:{{{name}}}", "4")
    assert (await one.recv())["value"] == 3
    assert (await two.recv())["value"] == 4
