"""Callers known by a token: what it claims holds if it is signed as it must be."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Request
from probes import asking, probed, shows
from service import serving

from kern.errors import ConfigurationError
from kern.server.auth import jwt as room
from kern.server.auth.jwt import JWTs
from kern.server.caller import Caller, Scope
from kern.server.problems import RequestError

SECRET = "a secret of more than thirty-two bytes"
KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


def claims(**others: object) -> dict[str, Any]:
    return {"sub": "ada", "exp": time() + 60, "aud": "kern", "iss": "issuer"} | others


def signed(**others: object) -> str:
    return jwt.encode(claims(**others), SECRET, "HS256")


def shared() -> JWTs:
    return JWTs(secret=SECRET, audience="kern", issuer="issuer")


async def known(jwts: JWTs, token: str) -> Caller:
    headers = [(b"authorization", b"Bearer " + token.encode())]
    return await jwts.authenticate(Request({"type": "http", "headers": headers}))


async def refused(jwts: JWTs, token: str, status: int = 401) -> str:
    with pytest.raises(RequestError) as caught:
        await known(jwts, token)
    assert caught.value.status == status
    if status == 401:
        assert caught.value.code == "invalid_token"
        assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
    assert SECRET not in caught.value.detail
    assert token not in caught.value.detail
    return caught.value.detail


async def test_a_token_says_who_asks_and_what_that_one_may() -> None:
    assert await known(shared(), signed()) == Caller("ada", frozenset({Scope.runs}), None)
    named = signed(scope="openid approve read:all", agents=["writer", "clerk"])
    assert await known(shared(), named) == Caller(
        "ada", frozenset({Scope.approve, Scope.read_all}), frozenset({"writer", "clerk"})
    )
    assert (await known(shared(), signed(scope=["admin"], agents="clerk"))).may(Scope.approve)
    assert (await known(shared(), signed(scope="openid profile"))).scopes == frozenset()
    assert (await known(shared(), signed(agents=""))).agents == frozenset()
    assert (await known(shared(), signed(aud=["other", "kern"]))).user_id == "ada"


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"exp": time() - 3600}, "expired"),
        ({"nbf": time() + 3600}, "not yet valid"),
        ({"iat": time() + 3600}, "not yet valid"),
        ({"aud": "other"}, "[Aa]udience"),
        ({"aud": None}, "aud"),
        ({"iss": "other"}, "[Ii]ssuer"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "[Ss]ubject"),
        ({"sub": "a\x00b"}, "sub"),
        ({"sub": "a" * 1000}, "sub"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "[Ee]xpiration"),
        ({"scope": 7}, "scope"),
        ({"agents": {"writer": True}}, "agents"),
        ({"agents": ["writer", 7]}, "agents"),
    ],
)
async def test_claims_that_do_not_hold_are_refused_with_the_reason(
    others: dict[str, object], why: str
) -> None:
    found = {name: value for name, value in claims(**others).items() if value is not None}
    # PyJWT makes no token whose subject is no text.
    token = sign(unsigned("HS256", found))
    assert re.search(why, await refused(shared(), token))


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(algorithm: str, body: dict[str, object] | None = None) -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": "1"}
    return ".".join(part(json.dumps(each).encode()) for each in (header, body or claims()))


def sign(text: str, secret: str = SECRET) -> str:
    return f"{text}.{part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


async def test_only_the_algorithm_that_is_set_up_is_taken() -> None:
    public = KEYS[0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    async with provider(KEYS[:1]) as (url, _):
        for token in (
            *(f"{unsigned(each)}." for each in ("none", "None", "RS256")),
            jwt.encode(claims(), SECRET, "HS256", headers={"kid": "1"}),
            jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256"),
            # The provider's public key as a shared secret.
            sign(unsigned("HS256"), public.decode()),
        ):
            await refused(JWTs(jwks_url=url, audience="kern"), token)
    for token in (
        *(f"{unsigned(each)}." for each in ("none", "None", "HS256")),
        jwt.encode(claims(), SECRET * 2, "HS512"),
        jwt.encode(claims(), KEYS[0], "RS256"),
        jwt.encode(claims(), SECRET[::-1], "HS256"),
    ):
        await refused(shared(), token)


@pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "....", "e30.e30.", "=", "ä.ö.ü", "{}"])
async def test_what_is_no_token_is_refused(token: str) -> None:
    await refused(shared(), token)
    async with provider(KEYS[:1]) as (url, asked):
        await refused(JWTs(jwks_url=url, audience="kern"), token)
        assert asked == []


@asynccontextmanager
async def provider(keys: list[rsa.RSAPrivateKey]) -> AsyncIterator[tuple[str, list[int]]]:
    """Be an identity provider; yield where its keys are, and what it was asked."""
    asked: list[int] = []

    def answer(_: object) -> object:
        asked.append(1)
        if not keys:
            return b"no JSON"
        found = []
        for each in keys:
            public = jwt.algorithms.RSAAlgorithm.to_jwk(each.public_key(), as_dict=True)
            found.append(public | {"kid": str(KEYS.index(each) + 1), "use": "sig"})
        return {"keys": found}

    async with serving({"/keys": answer}) as url:
        yield f"{url}/keys", asked


def of(number: int, **others: object) -> str:
    return jwt.encode(claims(**others), KEYS[number - 1], "RS256", headers={"kid": str(number)})


async def test_the_providers_keys_are_asked_for_once_and_again_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = KEYS[:1]
    async with provider(keys) as (url, asked):
        jwts = JWTs(jwks_url=url, audience="kern")
        found = await asyncio.gather(*(known(jwts, of(1)) for _ in range(10)))
        assert {each.user_id for each in found} == {"ada"}
        assert len(asked) == 1
        keys[:] = KEYS[1:]
        # A token that names a key that nobody knows has the provider asked, but not at once again.
        assert "no key" in await refused(jwts, of(2))
        assert len(asked) == 1
        monkeypatch.setattr(room, "_PAUSE", 0.0)
        assert (await known(jwts, of(2))).user_id == "ada"
        assert len(asked) == 2
        assert "no key" in await refused(jwts, of(1))
        without = jwt.encode(claims(), KEYS[1], "RS256")
        assert "does not name" in await refused(jwts, without)


async def test_a_provider_that_is_away_is_relied_on_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "_PAUSE", 0.0)
    keys = KEYS[:1]
    async with provider(keys) as (url, asked):
        jwts = JWTs(jwks_url=url, audience="kern")
        await known(jwts, of(1))
        keys.clear()
        monkeypatch.setattr(room, "_FRESH", 0.0)
        assert (await known(jwts, of(1))).user_id == "ada"
        assert len(asked) == 2
        assert "cannot be fetched" in caplog.text
        monkeypatch.setattr(room, "_LONGEST", 0.0)
        await refused(jwts, of(1), 503)
    never = JWTs(jwks_url="http://127.0.0.1:9/keys", audience="kern")
    await refused(never, of(1), 503)


async def test_a_provider_that_does_not_answer_blocks_nobody_else() -> None:
    async with asking(probed(auth=shared())) as client:
        asked = asyncio.Event()
        over = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await over.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        jwts = JWTs(jwks_url=f"http://127.0.0.1:{port}/keys", audience="kern")
        waiting = asyncio.create_task(refused(jwts, of(1), 503))
        async with asyncio.timeout(10):
            await asked.wait()
        response = await client.get("/v1/probe/who", headers=shows(signed()))
        assert response.json() == {"user": "ada", "scopes": ["runs"], "agents": None}
        assert not waiting.done()
        over.set()
        await waiting
        server.close()
        await server.wait_closed()


async def test_a_key_may_not_come_unprotected() -> None:
    with pytest.raises(ConfigurationError, match="https"):
        JWTs(jwks_url="http://id.example.com/keys", audience="kern")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({}, "KERN_JWT_SECRET"),
        ({"secret": SECRET, "jwks_url": "https://id.example.com/keys"}, "either"),
        ({"secret": "short"}, "32 bytes"),
        ({"jwks_url": "https://id.example.com/keys"}, "KERN_JWT_AUDIENCE"),
    ],
)
def test_what_could_not_tell_tokens_apart_is_refused(wrong: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        JWTs(**wrong)
    environment = {f"KERN_JWT_{name.upper()}": value for name, value in wrong.items()}
    with pytest.raises(ConfigurationError, match=why):
        JWTs.from_environment(environment)


async def test_the_environment_says_how_tokens_are_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_JWT_SECRET", SECRET)
    monkeypatch.setenv("KERN_JWT_AUDIENCE", "kern")
    async with asking(probed(auth="jwt")) as client:
        assert (await client.get("/v1/probe/who", headers=shows(signed()))).status_code == 200
        response = await client.get("/v1/probe/who", headers=shows(signed(aud="other")))
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["code"] == "invalid_token"
