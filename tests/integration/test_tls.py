"""TLS on the gateway's own port: the same protocol, large messages and stalled readers included."""
import asyncio
import json
import ssl
import subprocess

import pytest
from websockets.legacy import client as websocket_client  # what both 10 (Debian 12) and 15 (Debian 13) have


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert, key


def start(gateways, certificate):
    cert, key = certificate
    gateway = gateways.new("--tls-cert", str(cert), "--tls-key", str(key))
    gateway.launch()
    return gateway


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate[0]))


async def connected(gateway, certificate):
    for _ in range(600):
        try:
            return await websocket_client.connect(f"wss://127.0.0.1:{gateway.port}/ws", ssl=trusting(certificate), server_hostname="localhost", compression=None,
                                            max_size=None)
        except OSError:
            await asyncio.sleep(0.05)
    raise AssertionError("the gateway does not accept TLS")


async def say(ws, **fields):
    await ws.send(json.dumps(fields))


async def test_state_and_changes(gateways, certificate, db, name):
    gateway = start(gateways, certificate)
    ws = await connected(gateway, certificate)
    await db.fcall("sg_var_set", name, "1.10")
    await say(ws, func="subscribe", type="var", name=name)
    assert '"value":1.10' in await ws.recv()
    for number in range(200):
        await db.fcall("sg_var_set", name, str(number))
        assert f'"value":{number}}}' in await ws.recv()
    await ws.close()


async def test_large_messages_both_ways(gateways, certificate, db, name):
    gateway = start(gateways, certificate)
    ws = await connected(gateway, certificate)
    value = json.dumps("x" * 900_000)
    await db.fcall("sg_var_set", name, "0")
    await say(ws, func="subscribe", type="var", name=name)
    await ws.recv()
    for _ in range(3):
        await ws.send(f'{{"func":"set","type":"var","name":"{name}","value":{value}}}')
        assert value in await ws.recv()
    await ws.close()


async def test_a_stalled_reader_ends_with_the_newest(gateways, certificate, db, name):
    gateway = start(gateways, certificate)
    ws, other = await connected(gateway, certificate), await connected(gateway, certificate)
    await db.fcall("sg_var_set", name, "0")
    for one in (ws, other):
        await say(one, func="subscribe", type="var", name=name)
        await one.recv()
    ws.transport.pause_reading()
    for number in range(200):
        await db.fcall("sg_var_set", name, json.dumps([number, "x" * 100_000]))
        assert f"[{number}," in await other.recv()
    ws.transport.resume_reading()
    while '"value":[199,' not in await ws.recv():
        pass
    await ws.close()
    await other.close()


def test_one_file_alone_is_refused(gateways, certificate):
    gateway = gateways.new("--tls-cert", str(certificate[0]))
    gateway.launch()
    assert gateway.wait_exit() == 1
    assert "go together" in gateway.stderr()
