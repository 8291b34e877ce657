"""Who is not let in: beyond --max-connections, over --memory-budget. The rest goes on as if nothing were."""
import pytest

from gateway import http_exchange, until
from test_endpoints import upgrade_text


def refused_total(gateway, reason):
    return sum(value for key, value in gateway.metrics().items()
               if key.startswith("syncgate_refused_total{") and f'reason="{reason}"' in key)


async def knock(peers, gateway):
    """The status of an upgrade; the peer when it is 101."""
    peer = await peers.open(gateway.address)
    return await peer.request(upgrade_text()), peer


async def test_one_more_than_the_maximum_gets_503(gateways, peers, db, name):
    gateway = gateways.start("--max-connections", "3")
    await db.fcall("sg_var_set", name, "1")
    inside = [await peers(gateway) for _ in range(3)]
    for number in range(1, 4):
        status, peer = await knock(peers, gateway)
        assert status == 503
        assert 1 <= int(peer.headers["retry-after"]) <= 10
        assert refused_total(gateway, "max_connections") == number
    for peer in inside:
        await peer.subscribed("var", name)
    for path in ("/healthz", "/readyz", "/metrics", "/"):
        assert gateway.get(path).status == 200, path
    assert gateway.stderr().count("no more connections are taken") == 1, "said once, not for each"

    await inside[0].close()
    await until(lambda: gateway.metrics()['syncgate_connections{protocol="socksync",state="open"}'] == 2, "one has left")
    status, _ = await knock(peers, gateway)
    assert status == 101
    status, _ = await knock(peers, gateway)
    assert status == 503


async def test_waits_differ(gateways):
    gateway = gateways.start("--memory-budget", "1MiB")
    waits = {http_exchange(gateway.address, upgrade_text()).headers["retry-after"] for _ in range(40)}
    assert len(waits) > 2, waits


async def test_each_worker_counts_its_own(gateways, peers):
    gateway = gateways.start("--workers", "2", "--max-connections", "2")
    statuses = [(await knock(peers, gateway))[0] for _ in range(60)]
    assert statuses.count(101) == 4, statuses


async def test_over_the_memory_budget_nobody_gets_in(gateways, peers, db, name):
    """Large values fill it, and when they have gone there is room again."""
    megabyte = 1 << 20
    probe = gateways.start()
    budget = probe.rss_bytes() // megabyte + 40
    probe.stop()
    gateway = gateways.start("--memory-budget", f"{budget}MiB")
    reader = await peers(gateway)
    assert (await knock(peers, gateway))[0] == 101
    names = [f"{name}:{number}" for number in range(10)]
    for one in names:
        await db.fcall("sg_var_set", one, '"' + "x" * (7 * megabyte) + '"')
        await reader.subscribed("var", one)

    async def status():
        return (await knock(peers, gateway))[0]

    async def is_refused():
        return await status() == 503

    async def is_taken():
        return await status() == 101
    await until(is_refused, "the budget is exceeded")
    assert refused_total(gateway, "memory") > 0 and refused_total(gateway, "max_connections") == 0
    assert gateway.get("/readyz").status == 200
    await reader.close()
    for one in names:
        await db.fcall("sg_var_delete", one)
    await until(is_taken, "there is room again")
    await until(lambda: "connections are taken again" in gateway.stderr(), "it says so")


@pytest.mark.parametrize("flags", [("--max-connections", "0"), ("--memory-budget", "0"), ("--memory-budget", "1000GiB")], ids=str)
async def test_without_a_limit_there_is_none(gateways, peers, flags):
    gateway = gateways.start(*flags)
    assert [(await knock(peers, gateway))[0] for _ in range(20)] == [101] * 20
