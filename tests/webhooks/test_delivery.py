"""The end of a run is told to a real web server, signed, and told again until it is heard."""

import asyncio
import base64
import json
import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import trustme
from receiver import Receiver, status
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from kern.db.base import Store
from kern.errors import ConfigurationError, WebhookError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.testing.responses.connection import Connection
from kern.webhooks import delivery as delivery_module
from kern.webhooks import post
from kern.webhooks.delivery import deliver, deliver_webhook, next_delay

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


class OneRun:
    """As much of a store as a delivery needs."""

    def __init__(self, record: RunRecord | None) -> None:
        self.record = record
        self.delivered: list[str] = []

    async def get(self, run_id: str) -> RunRecord | None:
        return self.record

    async def webhook_delivered(self, run_id: str, attempt: int) -> None:
        self.delivered.append(run_id)


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


async def test_the_id_names_one_end_of_one_run(receiver: Receiver) -> None:
    receiver.answers.append(status(500))
    record = ended(receiver.url)
    with pytest.raises(WebhookError):
        await deliver(record)
    await deliver(record)
    await deliver(replace(record, finished_at=ENDED + timedelta(microseconds=1)))
    await deliver(replace(record, run_id="run.2"))
    first, again, *others = (each.headers["webhook-id"] for each in receiver.requests)
    assert first == again
    assert len({first, *others}) == 3
    assert "." not in first


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


async def test_a_slow_receiver_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip(connection: Connection) -> None:
        connection.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.write(b"x-drop: 1\r\n")
            await asyncio.sleep(0.01)

    monkeypatch.setattr(delivery_module, "_TIMEOUT", 0.1)
    async with Receiver(drip) as receiver:
        with pytest.raises(WebhookError, match=r"^http://[\d.:]+ did not answer within 0\.1 s$"):
            await deliver(ended(receiver.url))
        await asyncio.wait_for(receiver.ended.wait(), 5)


async def test_an_endless_answer_is_not_read() -> None:
    async def flood(connection: Connection) -> None:
        connection.start_chunks({})
        while True:
            connection.write_chunks([b"x" * 65536])
            await connection.drain()

    async with Receiver(flood) as receiver:
        await deliver(ended(receiver.url))
        await asyncio.wait_for(receiver.ended.wait(), 5)


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
    monkeypatch.setattr(post, "_tls", lambda: client)
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


async def test_a_failure_is_tried_again_and_a_success_is_noted(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.extend([status(503), status(429, Retry_After="900")])
    run = OneRun(ended(receiver.url))
    store = cast(Store, run)
    assert 4 <= (await deliver_webhook(store, "run.1", 0) or 0) <= 6
    assert await deliver_webhook(store, "run.1", 1) == 900
    assert run.delivered == []
    assert await deliver_webhook(store, "run.1", 2) is None
    assert run.delivered == ["run.1"]
    assert "run run.1, try 1: http://127.0.0.1" in caplog.text
    assert "answered 503 Service Unavailable; trying again in" in caplog.text
    assert "of=kern" not in caplog.text


@pytest.mark.parametrize(("code", "attempts"), [(410, 0), (500, 9)])
async def test_it_ends_when_the_receiver_is_gone_or_never_listens(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, code: int, attempts: int
) -> None:
    receiver.answers.append(status(code))
    run = OneRun(ended(receiver.url))
    with caplog.at_level(logging.WARNING):
        assert await deliver_webhook(cast(Store, run), "run.1", attempts) is None
    assert "giving up" in caplog.text
    assert run.delivered == []


async def test_a_missing_secret_can_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERN_WEBHOOK_SECRET")
    assert await deliver_webhook(cast(Store, OneRun(ended("https://a.example/"))), "run.1", 0)


async def test_a_run_that_goes_on_is_not_told(receiver: Receiver) -> None:
    record = ended(receiver.url)
    for run in (None, replace(record, webhook=None), replace(record, status=RunStatus.pending)):
        assert await deliver_webhook(cast(Store, OneRun(run)), "run.1", 0) is None
    assert receiver.requests == []


def test_the_schedule_lasts_three_days_and_scatters() -> None:
    delays = [next_delay(attempts) for attempts in range(10)]
    assert delays[0] == 0
    assert next_delay(10) is None
    assert 0.8 * 75 * 3600 < sum(each or 0 for each in delays) < 1.2 * 76 * 3600
    assert len({next_delay(5) for _ in range(10)}) > 1


def test_who_delivers_nothing_imports_no_http_client() -> None:
    script = "import sys, kern.webhooks.delivery; sys.exit('httpcore2' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
