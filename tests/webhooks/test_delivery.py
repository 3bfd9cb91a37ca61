"""A real web server is notified of the end of a run, signed, and nothing else is reached."""

import asyncio
import base64
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp
import pytest
import trustme
from aiohttp import web
from ports import free_port
from receiver import Receiver, hang, status, transport_of
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from kern.errors import ConfigurationError, WebhookError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.webhooks import delivery as delivery_module

SECRET = "whsec_" + base64.b64encode(b"kern" * 8).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"nrek" * 6).decode()
ENDED = datetime(2026, 11, 3, 20, 26, 10, 344522, UTC)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("KERN_WEBHOOK_ALLOW_PRIVATE", "1")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


async def deliver(record: RunRecord, delivery_id: str = "run-1/1") -> None:
    await delivery_module.deliver(record, delivery_id)


def ended(url: str, run_status: RunStatus = RunStatus.completed, content: str = "42") -> RunRecord:
    output = RunOutput(
        "run.1", "session-1", "agent-1", status=run_status, content=content, error="No."
    )
    settlement = output.settlement(1)
    return RunRecord(
        *("run.1", "session-1", "agent-1", "user-1", run_status, 1),
        created_at=ENDED - timedelta(seconds=3),
        finished_at=ENDED,
        metadata='{"order":7}',
        output=settlement.output,
        error=settlement.error,
        webhook=url,
    )


@pytest.mark.parametrize(
    ("run_status", "kind"),
    [
        (RunStatus.completed, "run.completed"),
        (RunStatus.error, "run.error"),
        (RunStatus.cancelled, "run.cancelled"),
    ],
)
async def test_the_receiver_is_told_what_became_of_the_run(
    receiver: Receiver, run_status: RunStatus, kind: str
) -> None:
    await deliver(ended(receiver.url, run_status))
    (request,) = receiver.requests
    assert (request.method, request.path, request.query) == ("POST", "/hooks", {"of": "kern"})
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    body = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert (body["type"], datetime.fromisoformat(body["timestamp"])) == (kind, ENDED)
    output = RunOutput.from_dict(body["data"])
    assert (output.run_id, output.user_id, output.status) == ("run.1", "user-1", run_status)
    assert (output.content, output.error, output.metadata) == ("42", "No.", {"order": 7})


async def test_while_a_secret_is_replaced_both_sign(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_WEBHOOK_SECRET", f"{SECRET} {OLD_SECRET}")
    await deliver(ended(receiver.url))
    body, headers = receiver.requests[0].body, dict(receiver.requests[0].headers)
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"42", b"43"), headers)


@pytest.mark.parametrize(
    ("delivery_id", "webhook_id"),
    [
        ("0199a4f0-7c5e-7d3a-9b1e-2f6c8d0e4a11/2", "0199a4f0-7c5e-7d3a-9b1e-2f6c8d0e4a11/2"),
        ("run.1700000000.%2E/1", "run%2E1700000000%2E%252E/1"),
        ("läuft {1}/1", "l%C3%A4uft%20%7B1%7D/1"),
    ],
)
async def test_the_id_is_that_of_the_delivery_and_cannot_be_taken_for_more(
    receiver: Receiver, delivery_id: str, webhook_id: str
) -> None:
    receiver.answers.append(status(500))
    with pytest.raises(WebhookError):
        await deliver(ended(receiver.url), delivery_id)
    await deliver(ended(receiver.url), delivery_id)
    for request in receiver.requests:
        assert request.headers["webhook-id"] == webhook_id
        Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_what_is_too_big_is_left_out_and_named(receiver: Receiver) -> None:
    await deliver(ended(receiver.url, content="x" * 300_000))
    body = receiver.requests[0].body
    assert len(body) < 256 * 1024
    data = json.loads(body)["data"]
    assert (data["content"], data["omitted"], data["error"]) == (None, ["content"], "No.")


async def test_a_redirect_is_a_failure(receiver: Receiver) -> None:
    async with Receiver(status(307, location=receiver.url)) as moved:
        with pytest.raises(WebhookError, match="answered 307 Temporary Redirect") as failed:
            await deliver(ended(moved.url))
    assert not failed.value.permanent
    assert receiver.requests == []


async def test_what_is_no_web_server_is_a_failure_without_its_words_or_the_path() -> None:
    async def chatter(request: web.BaseRequest) -> web.StreamResponse:
        transport_of(request).write(b"220 secret of the mail server\r\n")
        return await hang(request)

    async with Receiver(chatter) as receiver:
        with pytest.raises(WebhookError, match="cannot be reached: ") as failed:
            await deliver(ended(receiver.url))
    with pytest.raises(WebhookError, match=r"cannot be reached: .*Connect call failed") as refused:
        await deliver(ended(f"http://127.0.0.1:{free_port()}/hooks"))
    for error in (failed.value, refused.value):
        assert not error.permanent
        assert "secret" not in str(error)
        assert "hooks" not in str(error)


async def test_headers_without_an_end_are_not_read() -> None:
    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        transport = transport_of(request)
        transport.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            transport.write(b"x-drop: " + b"x" * 4096 + b"\r\n")
            await asyncio.sleep(0)

    async with Receiver(flood) as receiver:
        with pytest.raises(WebhookError, match="cannot be reached"):
            await deliver(ended(receiver.url))


async def test_a_slow_receiver_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        transport = transport_of(request)
        transport.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            transport.write(b"x-drop: 1\r\n")
            await asyncio.sleep(0.01)

    monkeypatch.setattr(delivery_module, "_TIMEOUT", 0.1)
    async with Receiver(*[drip] * 20) as receiver:
        late = r"^http://[\d.:]+ did not answer within 0\.1 s$"
        while not receiver.requests:  # It may be left before it has noticed, on a slow machine.
            with pytest.raises(WebhookError, match=late):
                await deliver(ended(receiver.url))
        await asyncio.wait_for(receiver.ended.wait(), 20)


async def test_an_endless_answer_is_not_read() -> None:
    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with Receiver(flood) as receiver:
        await deliver(ended(receiver.url))
        await asyncio.wait_for(receiver.ended.wait(), 20)


async def test_a_name_is_looked_up_once_and_that_address_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def rebind(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebind)
    await deliver(ended(f"http://hooks.test:{receiver.port}/"))
    assert receiver.requests[0].headers["host"] == f"hooks.test:{receiver.port}"
    assert asked == ["hooks.test"]


async def test_an_address_in_an_old_notation_is_used_as_it_is_checked(receiver: Receiver) -> None:
    for host in ("2130706433", "0x7f.1", "0177.0.0.1"):
        await deliver(ended(f"http://{host}:{receiver.port}/"))
    hosts = {request.headers["host"] for request in receiver.requests}
    assert (len(receiver.requests), hosts) == (3, {f"127.0.0.1:{receiver.port}"})


async def test_the_next_address_is_tried_where_one_is_dead(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("::1", port)), (0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    await deliver(ended(f"http://hooks.test:{receiver.port}/"))
    assert len(receiver.requests) == 1


async def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await deliver(ended(receiver.url))
    assert receiver.requests[0].path == "/hooks"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_tls_checks_the_name_that_the_url_says(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    # The machine's certificates are what aiohttp trusts without being told.
    monkeypatch.setattr(aiohttp, "TCPConnector", partial(aiohttp.TCPConnector, ssl=client))
    async with Receiver(tls=server) as receiver:
        delivery = deliver(ended(f"https://{host}:{receiver.port}/"))
        if host == "localhost":
            await delivery
        else:
            with pytest.raises(WebhookError, match="CERTIFICATE_VERIFY_FAILED"):
                await delivery
        assert len(receiver.requests) == (host == "localhost")


async def test_by_default_nothing_inside_the_network_is_reached(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.delenv("KERN_WEBHOOK_ALLOW_PRIVATE")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    for start in ("http://127.0.0.1", "https://127.0.0.1", "https://localhost", "https://a.test"):
        with pytest.raises(WebhookError, match="need KERN_WEBHOOK_ALLOW_PRIVATE=1") as refused:
            await deliver(ended(f"{start}:{receiver.port}/"))
        assert refused.value.permanent
    assert receiver.requests == []


@pytest.mark.parametrize(
    "secret", ["", "kern", "whsec_", "whsec_c2hvcnQ=", "whsec_!" + "A" * 32, SECRET[6:]]
)
async def test_nothing_is_sent_unsigned_and_no_secret_is_shown(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("KERN_WEBHOOK_SECRET", secret)
    with pytest.raises(ConfigurationError, match="Set KERN_WEBHOOK_SECRET to whsec_") as raised:
        await deliver(ended(receiver.url))
    assert len(secret) < 7 or secret not in str(raised.value)
    assert receiver.requests == []


def test_who_delivers_nothing_imports_no_http_client() -> None:
    script = "import sys, kern.webhooks.sender; sys.exit('aiohttp' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


async def test_a_missing_http_client_is_an_error_that_names_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "kern.webhooks.post", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    named = r"aiohttp is not installed. .*'kern-agents\[webhooks\]'"
    with pytest.raises(ConfigurationError, match=named):
        await deliver(ended(receiver.url))
