"""Whose web pages get in: what browsers say about them in Origin and Sec-Fetch-Site."""
import asyncio

import pytest

from gateway import http_exchange, until
from test_admin import ask
from test_admission import refused_total
from test_endpoints import upgrade_text
from test_reload import Reloaded

PAGE = "https://app.example"


def knock(gateway, origin, host="gate.example", **headers):
    """The status of an upgrade that a page of `origin` asks for; None: no browser."""
    return http_exchange(gateway.address, upgrade_text(Host=host, Origin=origin, **headers)).status


def test_by_default_pages_of_the_same_host(gateways):
    gateway = gateways.start(dev=False)
    assert knock(gateway, None) == 101
    for origin, host in ((PAGE, "app.example"), ("http://app.example:8080", "app.example:8080"), ("http://[::1]", "[::1]:80")):
        assert knock(gateway, origin, host) == 101
    refused = [PAGE, "http://gate.example:8080", "null", "", "https://gate.example.evil.example", "https://gate.example/", "x" * 300,
               "http://localhost"]
    for origin in refused:
        assert knock(gateway, origin) == 403, origin
    assert refused_total(gateway, "origin") == len(refused)
    log = gateway.stderr()
    assert "status=403" in log and f'origin="{PAGE}"' in log and 'host="gate.example"' in log


def test_two_origins_are_none(gateways):
    gateway = gateways.start(dev=False)
    request = upgrade_text(Host="gate.example", Origin="https://gate.example")[:-2] + b"Origin: https://gate.example\r\n\r\n"
    assert http_exchange(gateway.address, request).status == 403


def test_a_list_replaces_the_default(gateways):
    gateway = gateways.start("--allowed-origin", PAGE, "--allowed-origin", "https://*.example.org", dev=False)
    for origin, status in ((None, 101), (PAGE, 101), ("https://APP.example:443", 101), ("https://a.b.example.org", 101),
                           ("https://example.org", 403), ("http://app.example", 403), ("https://gate.example", 403)):
        assert knock(gateway, origin) == status, origin
    everybody = gateways.start(dev=False, env={"SYNCGATE_ALLOWED_ORIGINS": "*"})
    assert knock(everybody, "https://evil.example") == 101 and knock(everybody, "null") == 101


def test_an_empty_list_allows_no_page(gateways, tmp_path):
    gateway = Reloaded(gateways, tmp_path, "allowed_origins: []").gateway
    assert knock(gateway, None) == 101 and knock(gateway, "https://gate.example") == 403


@pytest.mark.parametrize("origin, host, status", [
    (None, "localhost", 101), (None, "whatever.example", 101), ("http://localhost:3000", "localhost:8080", 101),
    ("http://127.0.0.1:3000", "localhost:8080", 101), ("http://localhost:3000", "127.0.0.1:8080", 101),
    ("https://evil.example", "localhost:8080", 403), ("null", "localhost:8080", 403),
    ("http://rebound.example:8080", "rebound.example:8080", 403),  # a name that points at 127.0.0.1 by now
    ("http://localhost:3000", "rebound.example:8080", 403),
])
def test_dev_on_loopback_is_for_pages_of_this_machine(gateways, origin, host, status):
    assert knock(gateways.start(), origin, host) == status


def test_dev_with_a_tunnel(gateways):
    assert knock(gateways.start("--allowed-origin", "https://tunnel.example"), "https://tunnel.example", "tunnel.example") == 101


def test_dev_beyond_loopback_asks_for_the_same_host(gateways):
    gateway = gateways.new()
    gateway.flags += ["--listen", "0.0.0.0:0"]
    gateway.start()
    for origin, host, status in (("http://box.lan", "box.lan", 101), ("http://localhost:3000", "localhost:8080", 101),
                                 ("http://localhost:3000", "box.lan", 403), ("https://evil.example", "box.lan", 403)):
        assert knock(gateway, origin, host) == status, origin


async def test_a_reload_takes_it_over(gateways, tmp_path):
    one = Reloaded(gateways, tmp_path, "allowed_origins: ['https://old.example']")
    assert await asyncio.to_thread(knock, one.gateway, "https://old.example") == 101
    await one.load("allowed_origins: ['https://new.example/']", result="failed")
    assert await asyncio.to_thread(knock, one.gateway, "https://old.example") == 101
    await one.load("allowed_origins: ['https://new.example']")
    assert await asyncio.to_thread(knock, one.gateway, "https://old.example") == 403
    assert await asyncio.to_thread(knock, one.gateway, "https://new.example") == 101


async def test_a_page_elsewhere_opens_no_tap(gateways):
    """A picture is asked for without Origin; what browsers say is Sec-Fetch-Site."""
    gateway = gateways.start()
    for headers, status in (({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 401), ({"Origin": PAGE}, 401),
                            ({"Sec_Fetch_Site": "same-origin"}, 200), ({}, 200)):
        answer = await asyncio.to_thread(lambda headers=headers: ask(gateway.address, "/admin/stats", **headers))
        assert answer.status == status, headers
    for path in ("/metrics", "/healthz", "/readyz", "/"):  # nothing in there is anybody's
        answer = await asyncio.to_thread(lambda path=path: ask(gateway.address, path, Origin=PAGE, Sec_Fetch_Site="cross-site"))
        assert answer.status == 200, path
    await until(lambda: "for admins only" in gateway.stderr(), "it says so")
