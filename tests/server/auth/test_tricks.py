"""Requests that are made to confuse get an answer of their own, and the server stays up."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import Request
from probes import agent_of, asking, probed, shows
from starlette.applications import Starlette
from starlette.routing import Mount
from uvicorn_here import uvicorn_here

from kern.db.in_memory import InMemoryDb
from kern.server import create_app


async def raw(port: int, request: bytes) -> bytes:
    """Send bytes, and return what comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def get(path: bytes, *headers: bytes) -> bytes:
    lines = [b"GET " + path + b" HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"", b""])


async def test_a_server_survives_what_confuses_it() -> None:
    db = InMemoryDb()
    _, secret = await db.acreate_key("ada")
    key = b"Authorization: Bearer " + secret.encode()
    async with uvicorn_here(probed(agent_of(db), auth="keys")) as port:
        for request, status in {
            get(b"/v1/probe/who", key): 200,
            get(b"/v1/probe/who"): 401,
            get(b"/v1/probe/who", b"Authorization: Bearer x", key): 401,
            get(b"/v1/probe/who", b"X-Authorization: " + key): 401,
            get(b"/v1/probe/who", b"Authorization: Bearer \xff\xfe"): 401,
            get(b"/v1/probe/who", b"Authorization: Bearer " + b"x" * 10_000): 401,
            get(b"/v1/probe/who?api_key=" + secret.encode()): 401,
            get(b"/v1/probe/who", b"Cookie: Authorization=" + secret.encode()): 401,
            get(b"//v1/probe/who", key): 404,
            get(b"/v1//probe/who", key): 404,
            get(b"/v1/probe/who/", key): 404,
            get(b"/healthz/../v1/probe/who"): 404,
            get(b"/healthz/%2e%2e/v1/probe/who"): 404,
            get(b"/healthz%00"): 404,
            get(b"/V1/PROBE/WHO"): 404,
            get(b"/v1/runs/" + b"%2e%2e%2f" * 100, key): 404,
            get(b"/v1/runs/%ff%fe", key): 404,
            get(b"/v1/responses/" + b"x" * 5000, key): 404,
            get(b"/v1/nowhere", b"Host: [", b"Host: x/v1/chat?"): 404,
            get(b"/v1/probe/who", b"X-HTTP-Method-Override: DELETE", key): 200,
            get(b"/v1/probe/who", b"X-Forwarded-User: bob", b"X-User-Id: bob", key): 200,
            b"\x16\x03\x01\x02\x00\x01": 400,
            get(b"/v1/probe/who", b"Transfer-Encoding: chunked", b"Content-Length: 5"): 400,
            get(b"/v1/probe/who", b"Content-Length: -1"): 400,
            get(b"/v1/probe/who", b"Content-Length: 99999999999999999999999"): 400,
        }.items():
            answer = await raw(port, request)
            found = int(answer[9:12]) if answer else None
            assert found == status, (request, answer)
            assert secret.encode() not in answer
            assert b"Traceback" not in answer


async def test_a_client_that_vanishes_in_the_middle_of_its_body_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = probed()
    ended = asyncio.Event()

    @app.post("/v1/probe/slow")
    async def slow(request: Request) -> None:
        try:
            await request.body()
        finally:
            ended.set()

    async with uvicorn_here(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /v1/probe/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
        writer.write(head + b"half")
        await writer.drain()
        writer.close()
        async with asyncio.timeout(10):
            await ended.wait()
        assert (await raw(port, get(b"/healthz"))).startswith(b"HTTP/1.1 200")
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_host_that_is_none_changes_nothing() -> None:
    async with uvicorn_here(probed()) as port:
        for host in (b"[", b"x/v1/chat", b"x?", b"x#", b"user@x", b"\xff", b"", b"[::1", b"::1]:x"):
            request = (
                b"GET /v1/nowhere HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n"
            )
            answer = await raw(port, request)
            assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), (host, answer)
            assert b"application/problem+json" in answer or b"HTTP/1.1 400" in answer
            answer = await raw(port, request.replace(b"nowhere", b"probe/who"))
            assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), (host, answer)


async def test_a_mounted_service_knows_its_callers_and_its_forms() -> None:
    db = InMemoryDb()
    _, secret = await db.acreate_key("ada")
    kern = create_app([agent_of(db)], auth="keys")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with kern.router.lifespan_context(kern):
            yield

    app = Starlette(routes=[Mount("/kern", kern)], lifespan=lifespan)
    async with (
        uvicorn_here(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/kern", trust_env=False) as client,
    ):
        assert (await client.get("/v1/models")).json()["error"]["code"] == "no_key"
        refused = await client.get("/v1/runs")
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        models = await client.get("/v1/models", headers=shows(secret))
        assert [each["id"] for each in models.json()["data"]] == ["assistant"]


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/responses", "/v1/chat/completions"])
async def test_json_that_is_deep_or_odd_is_refused(path: str) -> None:
    async with asking(probed(), {"Content-Type": "application/json"}) as client:
        for body in (b"[" * 100_000, b'{"a":' * 50_000, b"\xff", b'"\\ud800"', b"[]", b"1e999999"):
            response = await client.post(path, content=body)
            assert response.status_code in (400, 422), (body[:10], response.text)
        assert (await client.get("/healthz")).status_code == 200
