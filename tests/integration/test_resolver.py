"""Redis by its name: what happens when the name server loses a packet, and when it knows several addresses. Needs root, for a resolv.conf of its own."""
import asyncio
import os
import random
import re
import shutil
import socket
import struct
import subprocess

import pytest

from gateway import Gateway, until
from redis_server import RedisServer

UNSHARE = shutil.which("unshare")


class NameServer(asyncio.DatagramProtocol):
    """Knows the same addresses for every name; `deaf` is how many questions it ignores."""

    def __init__(self, deaf, addresses=("127.0.0.1",)):
        self.deaf, self.questions, self.addresses = deaf, 0, addresses

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.questions += 1
        if self.questions <= self.deaf:
            return
        at = 12
        while data[at]:
            at += data[at] + 1
        question, (kind,) = data[12 : at + 5], struct.unpack_from("!H", data, at + 1)
        answers = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(known) for known in self.addresses if kind == 1]
        head = data[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0)
        self.transport.sendto(head + question + b"".join(answers), address)


class NamedGateway(Gateway):
    """Reads the resolv.conf of its own folder."""

    def command(self):
        return [UNSHARE, "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', self.folder / "resolv.conf",
                *super().command()]


@pytest.fixture(name="can_mount", scope="module")
def _can_mount():
    if os.geteuid() != 0 or not UNSHARE or subprocess.run(
            [UNSHARE, "--mount", "mount", "--bind", "/etc/hosts", "/etc/resolv.conf"], capture_output=True).returncode != 0:
        pytest.skip("this needs root that may mount")


async def test_a_lost_packet_does_not_fail_the_attempt(can_mount, tmp_path, redis_server):
    loop, address = asyncio.get_running_loop(), f"127.{random.randrange(1, 255)}.{random.randrange(256)}.53"
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(1), (address, 53))
    (tmp_path / "resolv.conf").write_text(f"nameserver {address}\n")
    gateway = NamedGateway(tmp_path, None, "--redis", f"redis://redis.test:{redis_server.port}", "--drain-seconds", "0")
    try:
        await gateway.start_async()
        assert server.questions > 1
        assert not re.search("cannot reach Redis", gateway.stderr()), gateway.stderr()
    finally:
        await gateway.stop_async()
        transport.close()


def loopback():
    return f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def listening_at(address, port=None):
    return RedisServer(args=["--bind", address, "--protected-mode", "no"], port=port)


async def test_a_replica_is_followed_by_the_next_address(can_mount, tmp_path):
    """A name with two addresses, of which one is a replica: the other one is found, also after they changed their roles."""
    loop, at, hosts = asyncio.get_running_loop(), loopback(), [loopback(), loopback()]
    transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(0, hosts), (at, 53))
    (tmp_path / "resolv.conf").write_text(f"nameserver {at}\n")
    with listening_at(hosts[0]) as first, listening_at(hosts[1], first.port) as second, first.client() as one, second.client() as two:
        one.replicaof(hosts[1], first.port)
        gateway = NamedGateway(tmp_path, None, "--redis", f"redis://redis.test:{first.port}", "--drain-seconds", "0")
        try:
            await gateway.start_async()
            assert two.execute_command("PUBSUB", "SHARDCHANNELS") and not one.execute_command("PUBSUB", "SHARDCHANNELS")
            one.replicaof("NO", "ONE")
            two.replicaof(hosts[0], first.port)
            await until(lambda: one.execute_command("PUBSUB", "SHARDCHANNELS"), "the link goes to the new master")
            await until(gateway.is_ready, "ready")
            assert gateway.stderr().count("it is a replica (address") <= 2
        finally:
            await gateway.stop_async()
            transport.close()
