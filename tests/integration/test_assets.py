"""The files of the page, and the client that pages of others import from here."""
import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from conftest import Gateways
from test_admin import ask

CLIENT = Path(__file__).parents[2] / "clients/js/syncgate.js"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, redis_server):
    pool = Gateways(tmp_path_factory.mktemp("assets"), redis_server.socket_path)
    yield pool.start()
    pool.stop()


def test_the_client_may_be_imported_by_any_page(gateway):
    response = ask(gateway.address, "/syncgate.js", Origin="https://shop.example")
    assert response.status == 200 and response.body == CLIENT.read_bytes()
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize("path", ["/", "/app.js", "/style.css", "/healthz", "/readyz", "/metrics", "/admin/stats", "/nowhere"])
def test_nothing_else_may(gateway, path):
    for origin in None, "http://localhost":
        response = ask(gateway.address, path, Origin=origin)
        assert "access-control-allow-origin" not in response.headers


def test_the_documents_are_there_with_their_search(gateway):
    home = ask(gateway.address, "/docs/")
    assert home.status == 200 and home.body == ask(gateway.address, "/docs/index.html").body
    bare = ask(gateway.address, "/docs")  # relative: a balancer may have put a path in front
    assert bare.status == 308 and bare.headers["location"] == "docs/" and bare.body == b""
    texts = json.loads(ask(gateway.address, "/docs/search/search_index.json").body)["docs"]
    assert any("sg_list_put" in each["text"] for each in texts)
    files = set(re.findall(r'(?:src|href)="([^":#?]+)"', home.body.decode())) - {"."}
    assert files and all(ask(gateway.address, f"/docs/{each}").status == 200 for each in files)
    assert b'id="docs">' in ask(gateway.address, "/").body


def test_the_hash_for_integrity_is_told(gateway):
    response = ask(gateway.address, "/syncgate.js", "HEAD")
    sum_of_it = base64.b64encode(hashlib.sha256(CLIENT.read_bytes()).digest()).decode()
    assert response.headers["repr-digest"] == f"sha-256=:{sum_of_it}:" and response.body == b""


def test_what_did_not_change_is_not_sent_again(gateway):
    first = ask(gateway.address, "/syncgate.js")
    etag = first.headers["etag"]
    for have in etag, f"W/{etag}":
        again = ask(gateway.address, "/syncgate.js", If_None_Match=have)
        assert again.status == 304 and again.body == b"" and again.headers["etag"] == etag
        assert again.headers["access-control-allow-origin"] == "*"
    for other in '"x"', f"W/{etag[:-2]}", "W/":
        assert ask(gateway.address, "/syncgate.js", If_None_Match=other).status == 200
