"""A service that knows no callers serves those on its own machine, and no page of a stranger."""

import pytest
from fastapi import Request
from probes import agent_of, asking, probed

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError
from kern.server import create_app
from kern.server.caller import EVERYBODY, NoAuthentication
from kern.server.problems import RequestError
from kern.testing import ScriptedModel


def request(client: str | None, **headers: str) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    at = None if client is None else (client, 1)
    return Request({"type": "http", "headers": raw, "client": at})


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.0.1", "::1", None])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:80"])
async def test_who_is_on_the_machine_is_taken(client: str | None, host: str) -> None:
    asked = request(client, host=host, authorization="Bearer whatever")
    assert await NoAuthentication().authenticate(asked) is EVERYBODY


@pytest.mark.parametrize(
    ("client", "host"),
    [
        ("192.168.0.7", "127.0.0.1"),
        ("192.168.0.7", "localhost"),
        ("127.0.0.1", "rebound.example.com"),
        ("127.0.0.1", "localhost.example.com"),
        ("127.0.0.1", "127.0.0.1.example.com:8000"),
        ("127.0.0.1", ""),
        ("127.0.0.1", "[]:"),
        ("unknown", "localhost"),
    ],
)
async def test_who_comes_from_elsewhere_or_by_another_name_is_not(client: str, host: str) -> None:
    with pytest.raises(RequestError, match="knows no callers") as caught:
        await NoAuthentication().authenticate(request(client, host=host))
    assert (caught.value.status, caught.value.code) == (403, "not_local")
    asked = request(client, host=host)
    assert await NoAuthentication(anywhere=True).authenticate(asked) is EVERYBODY


@pytest.mark.parametrize(
    ("origin", "origins", "is_taken"),
    [
        ("http://localhost:8000", (), True),
        ("https://evil.example.com", (), False),
        ("http://localhost:9000", (), False),
        ("null", (), False),
        ("https://chat.example.com", ("https://chat.example.com",), True),
        ("https://evil.example.com", ("https://chat.example.com",), False),
        ("https://evil.example.com", ("*",), True),
    ],
)
@pytest.mark.parametrize("anywhere", [True, False])
async def test_a_page_may_ask_only_if_its_origin_may(
    origin: str, origins: tuple[str, ...], is_taken: bool, anywhere: bool
) -> None:
    takes = NoAuthentication(anywhere=anywhere, origins=origins)
    asked = request("127.0.0.1", host="localhost:8000", origin=origin)
    if is_taken:
        assert await takes.authenticate(asked) is EVERYBODY
        return
    with pytest.raises(RequestError) as caught:
        await takes.authenticate(asked)
    assert (caught.value.status, caught.value.code) == (403, "origin_refused")


async def test_every_response_has_the_security_headers_and_no_page_may_read_it() -> None:
    async with asking(probed()) as client:
        for path in ("/v1/probe/who", "/v1/nowhere", "/healthz"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert not [name for name in headers if name.startswith("access-control")]
        asked = {"Origin": "https://chat.example.com", "Access-Control-Request-Method": "GET"}
        assert (await client.options("/v1/probe/who", headers=asked)).status_code == 405
        assert (await client.get("/docs")).status_code == 404


async def test_pages_of_origins_that_are_named_may_read_what_is_answered() -> None:
    async with asking(probed(cors_origins=["https://chat.example.com"])) as client:
        asked = {"Origin": "https://chat.example.com", "Access-Control-Request-Method": "GET"}
        allowed = (await client.options("/v1/probe/who", headers=asked)).headers
        assert allowed["access-control-allow-origin"] == "https://chat.example.com"
        response = await client.get("/v1/probe/who", headers={"Origin": asked["Origin"]})
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://chat.example.com"
        failed = await client.get("/v1/nowhere", headers={"Origin": asked["Origin"]})
        assert failed.headers["access-control-allow-origin"] == "https://chat.example.com"
        other = {"Origin": "https://evil.example.com"}
        response = await client.get("/v1/probe/who", headers=other)
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("agents", "why"),
    [
        ([], "no agent"),
        ([Agent("Without", ScriptedModel())], "no database"),
        ([agent_of(), agent_of()], "Two agents"),
        ([Agent(model=ScriptedModel(), db=InMemoryDb())], "neither a name nor an id"),
    ],
)
def test_agents_that_cannot_be_served_are_refused(agents: list[Agent], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        create_app(agents)
