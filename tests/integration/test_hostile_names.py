"""What clients choose - names, ids, paths, headers, reasons - stays what it is wherever people or programs see it: one line of the log stays
one line, JSON stays JSON, no metric has a label of it, and the page shows text."""
import asyncio
import json
import re
import urllib.parse

import pytest

from gateway import REPOSITORY, http_exchange, until
from test_admin import ask
from test_inspect import see

# Names as the protocol allows them: no control characters below U+0020, no braces. By what they are meant to break.
NAMES = {
    "markup": '<script>alert(1)</script><img src=x onerror=alert(1)>',
    "attribute": '"onmouseover="alert(1)" x=\'',
    "entity": "&lt;b&gt;&#x3c;",
    "url": "javascript:alert(1)//",
    "logfmt": 'x level=error msg="root logged in" user=root',
    "json": '","admin":true,"x":"\\',
    "label": 'a",evil="1\\n# HELP evil evil',
    "controls": "a\u0085b\u009b31mc",
    "bidi": "abc\u202egnp.exe\u202c\u2066x\u2069\u200f",
    "lines": "one\u2028two\u2029three",
    "long": "n" * 512,
    "wide": "\U0001f600" * 128,
    "shell": "$(reboot) `reboot`; reboot\\",
    "format": "%s%n%p%999999d",
}
# What must not be in the log, whoever wrote it: it moves the cursor, ends the line or turns the text around.
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def gateway(gateways):
    return gateways.start("--log-level", "debug")


async def use(gateway, peers, name):
    """Everything that a client can do with a name, well and badly, and a look at what came."""
    peer = await peers.bare(gateway.address)
    for message in (
            {"func": "subscribe", "type": "var", "name": name, "wait": True}, {"func": "subscribe", "type": "list", "name": name},
            {"func": "set", "type": "var", "name": name, "value": name}, {"func": "subscribe", "type": "function", "name": name},
            {"func": "insert", "type": "list", "name": name, "index": 0, "id": name[:60], "value": name},
            {"func": "subscribe", "type": "list", "name": name, "id": name[:60]}, {"func": "call", "type": "function", "name": name, "id": name[:60]},
            {"func": name}, {"func": "set", "type": name, "name": name}, {"func": "get", "type": "var", "name": name + "{}"},
            {"func": "ping", "id": "end"}):
        await peer.send(**message)
    while json.loads(await peer.recv_text()) != {"func": "pong", "id": "end"}:
        pass
    return peer


def lines_of(gateway):
    text = gateway.stderr_path.read_bytes().decode()  # it is UTF-8
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.mark.parametrize("form", ["logfmt", "json"])
async def test_log_lines(gateways, peers, form):
    gateway = gateways.start("--log-level", "debug", "--log-format", form)
    for name in NAMES.values():
        await use(gateway, peers, name)
        path = "/" + urllib.parse.quote(name)[:200]
        for headers in {"Origin": "http://" + urllib.parse.quote(name[:30])}, {"Origin": name.encode()[:90].decode("latin-1", "ignore")}:
            lines = [f"GET {path} HTTP/1.1", "Host: g", "Upgrade: websocket"] + [f"{key}: {value}" for key, value in headers.items()]
            try:
                await asyncio.to_thread(http_exchange, gateway.address, ("\r\n".join(lines) + "\r\n\r\n").encode())
            except ConnectionError:
                pass
    for line in lines_of(gateway):
        if line == f"syncgate: http://127.0.0.1:{gateway.port}/":
            continue  # for whoever started it by hand
        assert not FORBIDDEN.search(line), ascii(line)
        assert len(line) < 8192
        if form == "json":
            assert json.loads(line)["level"] in ("debug", "info", "warn", "error")
        else:
            assert re.match(r"(ts=\S+ )?level=(debug|info|warn|error) ", line) or "level=" in line.split(" msg=")[0], ascii(line)


@pytest.mark.parametrize("what", NAMES)
async def test_admin_and_metrics(gateway, peers, what):
    """What is shown is the name; nothing of it is markup for a browser that takes JSON for a page, and no label holds it."""
    name = NAMES[what]
    before = set(gateway.metrics())
    peer = await use(gateway, peers, name)
    await until(lambda: gateway.metrics()["syncgate_names"] >= 2, "the names are held")
    conns = (await see(gateway, "/admin/connections"))["connections"]
    quoted = urllib.parse.quote(name, safe="")
    for path in ("/admin/names?limit=200", f"/admin/connection?id={conns[0]['id']}", "/admin/functions", "/admin/executors",
                 "/admin/refusals", "/admin/fleet", "/admin/stats", f"/admin/name?kind=var&name={quoted}"):
        response = await asyncio.to_thread(ask, gateway.address, path)
        assert response.status == 200 and response.headers["content-type"].startswith("application/json"), (path, response)
        text = response.body.decode()
        json.loads(text)
        assert not FORBIDDEN.search(text), (path, ascii(text))
    if what != "controls":  # those are shown as what cannot be shown
        held = {one["name"] for one in json.loads(ask(gateway.address, "/admin/names?limit=200").body)["names"]}
        assert name in held
        look = json.loads(ask(gateway.address, f"/admin/name?kind=var&name={quoted}").body)
        assert json.dumps(name) in json.dumps(look), "found by what was shown"
    assert set(gateway.metrics()) == before, "no series of its own"
    peer.close()


def test_the_page_makes_no_markup_of_text():
    """No file of it can: what comes from elsewhere becomes text nodes and properties."""
    scripts = sorted((REPOSITORY / "gateway/admin/page").glob("*.js")) + [REPOSITORY / "clients/js/syncgate.js"]
    assert len(scripts) > 10
    for script in scripts:
        text = script.read_text()
        for sink in (r"\.innerHTML", r"\.outerHTML\s*=[^=]", r"insertAdjacentHTML", r"document\.write", r"\beval\(", r"new Function\b",
                     r"setAttribute\(\s*['\"]on", r"\.srcdoc", r"createContextualFragment", r"DOMParser", r"setTimeout\(\s*['\"]"):
            assert not re.search(sink, text), (script.name, sink)
    page = (REPOSITORY / "gateway/admin/page/index.html").read_text()
    assert not re.search(r"\son[a-z]+=|<script(?![^>]*\bsrc=)[^>]*>|style=", page), "what the content security policy forbids"
