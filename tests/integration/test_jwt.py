"""Signed tokens: who shows one may do what it says, for as long as it says. (What makes one hold: tests/unit/gateway/access/jwt_test.c.)"""
import asyncio
import base64
import hashlib
import hmac
import json
import time

import pytest

from gateway import until
from test_admin import ask
from test_reload import Reloaded

SECRET, OTHER = "a secret of more than thirty-two bytes", "another secret of more than thirty-two"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(secret=SECRET, head=None, lifetime=600, **claims):
    body = {"exp": int(time.time()) + lifetime, **claims}
    text = ".".join(base64url(json.dumps(part).encode()) for part in (head or {"alg": "HS256", "typ": "JWT"}, body))
    return text + "." + base64url(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


CONFIGURATION = """
jwt_algorithm: HS256
jwt_key_files: [KEYS]
USERS
tokens:
  - { token: "boss", name: boss, subscribe: ["*"], admin: true }
"""


class Signed(Reloaded):
    def __init__(self, gateways, folder, users, *flags):
        self.keys = [folder / "one.key", folder / "two.key"]
        self.keys[0].write_text(SECRET + "\n")
        self.keys[1].write_text(OTHER + "\n")
        super().__init__(gateways, folder, self.text(users, self.keys[:1]), *flags)

    @staticmethod
    def text(users, keys):
        return CONFIGURATION.replace("KEYS", ", ".join(f'"{key}"' for key in keys)).replace("USERS", users)


@pytest.fixture
def signed(gateways, tmp_path):
    return lambda users="users: { subscribe: ['{user}:*'] }", *flags: Signed(gateways, tmp_path, users, *flags)


async def told(raw):
    return json.loads(await raw.recv_text())


async def follows(raw, name):
    await raw.send(func="subscribe", type="var", name=name)
    return (await told(raw))["func"] == "set"


async def test_a_person_may_what_everybody_may_and_what_the_token_says(signed, peers, db, name):
    it = signed(f"users: {{ subscribe: ['{name}:{{user}}:*'], deny: ['*:secret'] }}")
    for one in ("amy:a", "bob:a", "amy:secret", "more"):
        await db.fcall("sg_var_set", f"{name}:{one}", "1")
    for how in ({"headers": {"Authorization": f"Bearer {sign(sub='amy', grants={'subscribe': [f'{name}:more']})}"}},
                {"path": f"/ws/socksync/?token={sign(sub='amy', grants={'subscribe': [f'{name}:more']})}"}):
        raw = await peers.bare(it.gateway.address, **how)
        assert [await follows(raw, f"{name}:{one}") for one in ("amy:a", "bob:a", "amy:secret", "more")] == [True, False, False, True]
    raw = await peers.bare(it.gateway.address)  # anonymous: nobody said what they may
    assert not await follows(raw, f"{name}:amy:a")


@pytest.mark.parametrize("token, why", [
    (lambda: sign(OTHER, sub="amy"), "not signed by anybody who is known here"),
    (lambda: sign(lifetime=-60), "has expired"),
    (lambda: sign(head={"alg": "none"}), "not signed as it has to be"),
    (lambda: sign(sub="amy") + "x", "not signed by anybody"),
    (lambda: sign(nbf=int(time.time()) + 60), "not valid yet"),
    (lambda: sign(grants={"subscribe": "*"}), "grants are malformed"),
    (lambda: "a.b.c", "malformed"),
    (lambda: "nothing", "unknown token"),
])
async def test_what_does_not_count_is_refused_and_not_logged(signed, peers, token, why):
    it = signed()
    text = token()
    answer = await asyncio.to_thread(ask, it.gateway.address, "/ws/socksync/", Authorization=f"Bearer {text}", Upgrade="websocket",
                                     Connection="Upgrade", Sec_WebSocket_Key="x" * 22 + "==", Sec_WebSocket_Version="13")
    assert answer.status == 401 and why in answer.body.decode(), answer
    assert len(text) < 20 or text not in it.gateway.stderr_path.read_text()


async def test_no_signed_token_is_an_admins(signed):
    it = signed()
    ours = ask(it.gateway.address, "/admin/stats", Authorization="Bearer boss", X_Forwarded_For="10.0.0.1")
    theirs = ask(it.gateway.address, "/admin/stats", Authorization=f"Bearer {sign(sub='amy', admin=True)}", X_Forwarded_For="10.0.0.1")
    assert (ours.status, theirs.status) == (200, 403)
    here = ask(it.gateway.address, "/admin/stats", Authorization=f"Bearer {sign(sub='amy')}")  # a token decides alone, also on this machine
    assert here.status == 403


async def test_auth_on_the_open_connection(signed, peers, db, name):
    it = signed(f"users: {{ subscribe: ['{name}:{{user}}'] }}")
    for one in ("amy", "bob"):
        await db.fcall("sg_var_set", f"{name}:{one}", "1")
    raw = await peers.bare(it.gateway.address)
    assert not await follows(raw, f"{name}:amy")
    token = sign(sub="amy")
    await raw.send(func="auth", token=token)
    answer = await told(raw)
    assert answer["user"] == "amy" and answer["func"] == "auth" and abs(answer["expires"] - time.time() - 600) < 60
    assert await follows(raw, f"{name}:amy")
    # One that does not count changes nothing.
    await raw.send(func="auth", token=sign(OTHER, sub="bob"))
    error = await told(raw)
    assert error["error_code"] == 6 and error["message"].startswith("auth: "), error
    await db.fcall("sg_var_set", f"{name}:amy", "2")
    assert (await told(raw))["value"] == 2
    # Another person: what was the first one's ends.
    await raw.send(func="auth", token=sign(sub="bob"))
    lost = await told(raw)
    assert (lost["error_code"], lost["name"]) == (3, f"{name}:amy")
    assert (await told(raw))["user"] == "bob"
    assert await follows(raw, f"{name}:bob")
    # A token of the file.
    await raw.send(func="auth", token="boss")
    assert await told(raw) == {"func": "auth", "user": None, "expires": None}
    assert await follows(raw, f"{name}:amy")
    assert token not in it.gateway.stderr_path.read_text()


async def test_a_token_that_ends_closes(signed, peers):
    it = signed("users: { subscribe: ['*'] }\ntoken_grace: 0\njwt_leeway: 0")
    raw = await peers.bare(it.gateway.address, headers={"Authorization": f"Bearer {sign(sub='amy', lifetime=2)}"})
    assert await raw.close_code() == 4401

    async def counted():
        return await asyncio.to_thread(lambda: it.gateway.metrics()['syncgate_closes_total{by="gateway",code="4401"}']) == 1
    await until(counted, "the close is counted")


async def test_a_new_token_in_time_goes_on(signed, peers, db, name):
    it = signed("users: { subscribe: ['*'] }\ntoken_grace: 0\njwt_leeway: 0")
    await db.fcall("sg_var_set", name, "1")
    old, new = sign(sub="amy", lifetime=3), sign(sub="amy", lifetime=600)
    first = await peers.bare(it.gateway.address, headers={"Authorization": f"Bearer {old}"})
    second = await peers.bare(it.gateway.address, headers={"Authorization": f"Bearer {old}"})
    await first.send(func="auth", token=new)
    assert (await told(first))["func"] == "auth"
    assert await second.close_code() == 4401  # so the time has come for the first one too
    assert await follows(first, name)


async def test_a_token_that_ends_leaves_an_anonymous_client(signed, peers, db, name):
    it = signed(f"users: {{ subscribe: ['*'] }}\nanonymous: {{ subscribe: ['{name}:public'] }}\ntoken_expiry: anonymous\ntoken_grace: 0\njwt_leeway: 0")
    for one in ("public", "private"):
        await db.fcall("sg_var_set", f"{name}:{one}", "1")
    raw = await peers.bare(it.gateway.address, headers={"Authorization": f"Bearer {sign(sub='amy', lifetime=3)}"})
    assert await follows(raw, f"{name}:public") and await follows(raw, f"{name}:private")
    lost = await told(raw)
    assert (lost["error_code"], lost["name"]) == (3, f"{name}:private")
    await db.fcall("sg_var_set", f"{name}:public", "2")
    assert (await told(raw))["value"] == 2


async def test_a_reload_changes_keys_and_what_everybody_may(signed, peers, db, name):
    users = f"users: {{ subscribe: ['{name}:{{user}}'] }}"
    it = signed(users)
    for one in ("amy", "new:amy"):
        await db.fcall("sg_var_set", f"{name}:{one}", "1")
    amy = await peers.bare(it.gateway.address, headers={"Authorization": f"Bearer {sign(sub='amy')}"})
    assert await follows(amy, f"{name}:amy")
    # Another key beside the first, and other names for everybody.
    await it.load(it.text(users.replace(f"{name}:", f"{name}:new:"), it.keys))
    assert (await told(amy))["error_code"] == 3
    assert await follows(amy, f"{name}:new:amy")
    bob = await peers.bare(it.gateway.address, headers={"Authorization": f"Bearer {sign(OTHER, sub='bob')}"})
    # The first key goes, and with it who was signed with it.
    await it.load(it.text(users, it.keys[1:]))
    assert await amy.close_code() == 4401
    await bob.send(func="ping")
    assert (await told(bob))["func"] == "pong"
    # A key that is none: nothing changes.
    it.keys[1].write_text("short")
    await it.load(result="failed")
    await bob.send(func="ping")
    assert (await told(bob))["func"] == "pong"


@pytest.mark.parametrize("text, why", [
    ("jwt_algorithm: HS256", "needs jwt-key-file"),
    ("jwt_key_files: [/nowhere]", "needs jwt-algorithm"),
    ("jwt_algorithm: HS256\njwt_key_files: [/nowhere]", "/nowhere: cannot be opened"),
    ("jwt_algorithm: none", "expected one of"),
    ("users: { subscribe: ['{usr}'] }", "braces hold one of"),
    ("anonymous: { subscribe: ['{user}'] }", "no braces"),
])
def test_configurations_that_are_refused(gateways, tmp_path, text, why):
    from test_config import check
    (tmp_path / "bad.yaml").write_text(text + "\n")
    done = check("--config", str(tmp_path / "bad.yaml"))
    assert done.returncode == 1 and why in done.stderr, done.stderr


