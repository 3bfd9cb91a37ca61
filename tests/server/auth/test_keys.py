"""Callers known by an API key: what it opens holds until it expires or is revoked."""

import asyncio
import logging
from datetime import timedelta

import pytest
from fastapi import Request
from probes import agent_of, asking, probed, shows

from kern.db.in_memory import InMemoryDb
from kern.db.key_methods import KeyMethods
from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError
from kern.server import create_app
from kern.server.auth.keys import Keys
from kern.server.caller import Caller, Scope
from kern.server.problems import RequestError


async def known(keys: Keys, shown: str) -> Caller:
    headers = [(b"authorization", shown.encode("latin-1"))]
    return await keys.authenticate(Request({"type": "http", "headers": headers}))


async def refused(keys: Keys, shown: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await known(keys, shown)
    assert caught.value.status == 401
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
    return caught.value


async def until_refused(keys: Keys, secret: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await known(keys, f"Bearer {secret}")
            except RequestError:
                return
            await asyncio.sleep(0.02)


async def test_a_key_says_who_asks_and_what_that_one_may(db: KeyMethods) -> None:
    keys = Keys(db)
    _, secret = await db.acreate_key("ada")
    assert await known(keys, f"Bearer {secret}") == Caller("ada", frozenset({Scope.runs}))
    assert await known(keys, f"bearer  {secret} ") == Caller("ada", frozenset({Scope.runs}))
    _, secret = await db.acreate_key("bob", scopes=["approve", "read:all"], agents=["clerk"])
    assert await known(keys, f"Bearer {secret}") == Caller(
        "bob", frozenset({Scope.approve, Scope.read_all}), frozenset({"clerk"})
    )


async def test_who_shows_no_key_is_told_how() -> None:
    keys = Keys(InMemoryDb())
    for shown in ("", "Basic YWRhOg==", "Bearer", "Bearer ", "kern_sk_1", "Token kern_sk_1"):
        error = await refused(keys, shown)
        assert error.code == "no_key"
        assert "Authorization: Bearer" in error.detail


async def test_a_key_that_is_none_is_refused_and_not_repeated(db: KeyMethods) -> None:
    keys = Keys(db)
    _, secret = await db.acreate_key("ada")
    for shown in (secret[:-1], secret + "x", secret.upper(), "kern_sk_", "'; --", "\xff\x00"):
        error = await refused(keys, f"Bearer {shown}")
        assert error.code == "invalid_api_key"
        assert shown not in error.detail


async def test_a_revoked_key_opens_nothing_after_a_few_seconds(db: KeyMethods) -> None:
    at_once, soon = Keys(db, kept=0.0), Keys(db, kept=0.3)
    key, secret = await db.acreate_key("ada")
    for keys in (at_once, soon):
        await known(keys, f"Bearer {secret}")
    assert await db.arevoke_key(key.key_id)
    assert (await refused(at_once, f"Bearer {secret}")).code == "invalid_api_key"
    await until_refused(soon, secret)


async def test_an_expired_key_opens_nothing_from_then_on(db: KeyMethods) -> None:
    keys = Keys(db, kept=3600.0)
    _, secret = await db.acreate_key("ada", expires_in=timedelta(seconds=2))
    await known(keys, f"Bearer {secret}")
    await until_refused(keys, secret)


async def test_a_key_is_looked_up_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    db = InMemoryDb()
    keys = Keys(db, kept=3600.0)
    _, secret = await db.acreate_key("ada")
    await known(keys, f"Bearer {secret}")

    async def never(secret: str) -> None:
        raise AssertionError("It was asked for again.")

    monkeypatch.setattr(db, "afind_key", never)
    await known(keys, f"Bearer {secret}")


async def test_no_secret_is_in_a_log_an_error_or_a_repr(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    db = InMemoryDb()
    app = probed(agent_of(db), auth="keys", error=ZeroDivisionError())
    key, secret = await db.acreate_key("ada")
    async with asking(app, shows(secret)) as client:
        assert (await client.get("/v1/probe/who")).json()["user"] == "ada"
        assert (await client.get("/v1/probe/fails")).status_code == 500
        other = await client.get("/v1/probe/who", headers=shows(secret + "x"))
        assert other.status_code == 401
        assert secret not in other.text
    assert caplog.records
    random = secret.removeprefix("kern_sk_")
    keys = app.state.kern.authenticator
    texts = (caplog.text, repr(key), repr(keys), repr(vars(keys)), repr(app.state.kern))
    assert not [text for text in texts if random in text]


def test_agents_of_several_databases_need_to_say_which_has_the_keys() -> None:
    first = agent_of(SqliteDb("a.db"), id="first")
    second = agent_of(SqliteDb("b.db"), id="second")
    with pytest.raises(ConfigurationError, match=r"Keys\(db\)"):
        create_app([first, second], auth="keys")
    create_app([first, second], auth=Keys(SqliteDb("a.db")))


def test_a_way_to_know_callers_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'keys'"):
        create_app([agent_of()], auth="basic")  # type: ignore[arg-type] # that is the test
