"""What is in the outbox is sent until it is delivered or given up, and never for nothing."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web
from msgspec.structs import replace
from receiver import Receiver, hang, status
from typing_extensions import override

from kern.db.base import Store
from kern.db.outbox import Delivery, Outbox
from kern.errors import DatabaseError, DatabaseUnavailableError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.testing.listener import Handler
from kern.webhooks import delivery as delivery_module
from kern.webhooks import sender as sender_module
from kern.webhooks.sender import Sender, next_delay

LONG = 3600.0
"""A heartbeat that no test waits for."""

# The database's clock is not that of this machine.
_AHEAD = timedelta(hours=1)


@dataclass
class Entry:
    tries: int
    due_at: datetime | None
    outcome: str | None = None


class Box(Outbox):
    """An outbox in memory, and as much of a store around it as a sender needs."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.records: dict[str, RunRecord] = {}
        self.away = 0
        self.delays: list[float | None] = []
        self._moved = asyncio.Condition()

    @property
    def store(self) -> Store:
        return cast(Store, SimpleNamespace(outbox=self, schedules=self, get=self.get))

    def put(self, url: str, run_id: str = "run", tries: int = 0) -> None:
        """Have the end of a run in its second attempt delivered."""
        output = RunOutput(run_id, "session", "agent", status=RunStatus.completed, content="42")
        self.records[run_id] = RunRecord(
            *(run_id, "session", "agent", None, RunStatus.completed, 2),
            created_at=datetime.now(UTC),
            output=output.settlement(2).output,
            webhook=url,
        )
        self.entries[f"{run_id}/2"] = Entry(tries, datetime.now(UTC) + _AHEAD)

    async def settled(self, run_id: str = "run") -> Entry:
        """Wait until a delivery is delivered or given up."""
        return await self.until(lambda: self.entries[f"{run_id}/2"].outcome is not None, run_id)

    async def until(self, condition: Callable[[], bool], run_id: str = "run") -> Entry:
        async with asyncio.timeout(20), self._moved:
            await self._moved.wait_for(condition)
        return self.entries[f"{run_id}/2"]

    async def now(self) -> datetime:
        self._answer()
        return datetime.now(UTC) + _AHEAD

    async def get(self, run_id: str) -> RunRecord | None:
        self._answer()
        return self.records.get(run_id)

    @override
    async def take(self, limit: int, lease: float) -> list[Delivery]:
        assert limit > 0
        now = await self.now()
        due = [key for key, each in self.entries.items() if each.due_at and each.due_at <= now]
        for key in due[:limit]:
            self.entries[key].due_at = now + timedelta(seconds=lease)
        return [
            Delivery(key, key.partition("/")[0], 2, self.entries[key].tries) for key in due[:limit]
        ]

    @override
    async def delivered(self, delivery: Delivery) -> None:
        await self._end(delivery, "delivered", None)

    @override
    async def failed(self, delivery: Delivery, error: str, delay: float | None) -> None:
        self._answer()
        self.delays.append(delay)
        await self._end(delivery, None if delay is not None else f"given up: {error}", delay)

    @override
    async def next_at(self) -> datetime | None:
        self._answer()
        return min((each.due_at for each in self.entries.values() if each.due_at), default=None)

    async def _end(self, delivery: Delivery, outcome: str | None, delay: float | None) -> None:
        now = await self.now()
        entry = self.entries[delivery.delivery_id]
        entry.tries += 1
        entry.due_at = None if delay is None else now + timedelta(seconds=delay)
        entry.outcome = outcome
        async with self._moved:
            self._moved.notify_all()

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise DatabaseUnavailableError("The database cannot be reached: it is away.")


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "whsec_" + base64.b64encode(b"kern" * 8).decode()
    monkeypatch.setenv("KERN_WEBHOOK_SECRET", secret)
    monkeypatch.setenv("KERN_WEBHOOK_ALLOW_PRIVATE", "1")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


@pytest.fixture
def box() -> Box:
    return Box()


async def tell_nobody(_store: Store, run_id: str, _tries: int) -> float | None:
    """Have no runs that are told of others."""
    raise AssertionError(f"run {run_id} has no parent")


@asynccontextmanager
async def sending(box: Box, heartbeat: float = LONG) -> AsyncIterator[Sender]:
    """Have a sender run."""
    sender = Sender(box.store, heartbeat, tell_nobody)
    running = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled() or running.exception() is None


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a failed delivery tried again soon."""
    monkeypatch.setattr(sender_module, "_PAUSES", (0,) + (0.01,) * 9)


async def test_what_is_due_is_sent_once(box: Box, receiver: Receiver) -> None:
    box.put(receiver.url)
    async with sending(box) as sender:
        assert (await box.settled()).outcome == "delivered"
        box.put(receiver.url, "other")
        sender.wake()
        assert (await box.settled("other")).outcome == "delivered"
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert ids == ["run/2", "other/2"]


async def test_a_lost_notification_costs_a_heartbeat(box: Box, receiver: Receiver) -> None:
    async with sending(box, 0.1):
        await asyncio.sleep(0)
        box.put(receiver.url)
        assert (await box.settled()).outcome == "delivered"


async def test_a_failure_is_tried_again_when_it_is_due(
    box: Box, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quick(monkeypatch)
    receiver.answers.extend([status(503), status(500)])
    box.put(receiver.url)
    async with sending(box):
        entry = await box.settled()
    assert (entry.outcome, entry.tries) == ("delivered", 3)
    assert "webhook of run run, try 1: http://127.0.0.1" in caplog.text
    assert "answered 503 Service Unavailable; trying again in" in caplog.text
    assert "of=kern" not in caplog.text


@pytest.mark.parametrize(("answer", "tries"), [(status(410), 0), (status(500), 9)])
async def test_a_receiver_that_is_gone_or_never_answers_is_given_up(
    box: Box,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Handler,
    tries: int,
) -> None:
    quick(monkeypatch)
    receiver.answers.extend([answer] * 5)
    box.put(receiver.url, tries=tries)
    async with sending(box, 0.05) as sender:
        entry = await box.settled()
        box.put(receiver.url, "next")
        sender.wake()
        receiver.answers.clear()
        await box.settled("next")
    assert (entry.outcome or "").startswith("given up: http://127.0.0.1")
    assert [request.headers["webhook-id"] for request in receiver.requests] == ["run/2", "next/2"]
    assert caplog.text.count("giving up") == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "900"}, 900),
        ({"Retry_After": "900.5"}, 900.5),
        ({"Retry_After": "9" * 400}, 86_400),
        (
            {
                "Retry_After": "Sunday, 06-Nov-94 09:04:37 GMT",
                "Date": "Sun, 06 Nov 1994 08:49:37 GMT",
            },
            900,
        ),
        ({"Retry_After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 86_400),
    ],
)
async def test_the_receiver_says_how_long_it_wants_to_be_left_alone(
    box: Box, receiver: Receiver, headers: dict[str, str], seconds: float
) -> None:
    receiver.answers.append(status(429, **headers))
    box.put(receiver.url)
    async with sending(box):
        await box.until(lambda: bool(box.delays))
    assert box.delays == [seconds]


@pytest.mark.parametrize("run_status", [RunStatus.pending, RunStatus.error, None])
async def test_a_run_that_was_retried_is_given_up_without_a_word(
    box: Box, receiver: Receiver, caplog: pytest.LogCaptureFixture, run_status: RunStatus | None
) -> None:
    box.put(receiver.url)
    if run_status is None:
        box.records.clear()
    else:
        attempt = 3 if run_status is RunStatus.error else 2
        box.records["run"] = replace(box.records["run"], status=run_status, attempt=attempt)
    async with sending(box):
        entry = await box.settled()
    assert entry.outcome == (
        "given up: The run has gone on: its next pause, or its end, is another delivery."
    )
    assert (receiver.requests, caplog.records) == ([], [])


async def test_an_outage_at_any_step_delays_and_repeats_nothing(
    box: Box, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kern.aio.retry._FIRST_PAUSE", 0.001)
    for number in range(12):
        box.put(receiver.url, f"run-{number}")
        box.away = 2

        async def go_away(request: web.BaseRequest) -> web.StreamResponse:
            box.away = 2
            return await status(204)(request)

        receiver.answers.append(go_away)
        async with sending(box):
            assert (await box.settled(f"run-{number}")).outcome == "delivered"
        assert len(receiver.requests) == number + 1


async def test_what_the_database_refuses_is_logged_and_sending_goes_on(
    box: Box, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    delivered = box.delivered

    async def refuse(delivery: Delivery) -> None:
        if delivery.run_id == "refused":
            raise DatabaseError("disk full")
        await delivered(delivery)

    monkeypatch.setattr(box, "delivered", refuse)
    box.put(receiver.url, "refused")
    box.put(receiver.url)
    async with sending(box):
        await box.settled()
        async with asyncio.timeout(20):
            while "the outcome of webhook refused/2 cannot be stored" not in caplog.text:  # noqa: ASYNC110 # a log has no event
                await asyncio.sleep(0.01)
    assert len(receiver.requests) == 2
    assert box.entries["refused/2"].outcome is None


async def test_a_fault_of_our_own_is_shown_and_counts_as_a_try(
    box: Box, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def stumble(record: RunRecord, delivery_id: str) -> None:
        raise RuntimeError("stumbled")

    monkeypatch.setattr(sender_module, "deliver", stumble)
    box.put(receiver.url, tries=9)
    with caplog.at_level(logging.DEBUG, "kern"):
        async with sending(box):
            assert (await box.settled()).outcome == "given up: stumbled"
    warned, debugged = caplog.records
    assert (warned.levelname, warned.exc_info) == ("WARNING", None)
    assert "RuntimeError: stumbled" in warned.getMessage()
    assert (debugged.levelname, bool(debugged.exc_info)) == ("DEBUG", True)


async def test_a_missing_secret_can_be_mended(
    box: Box, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERN_WEBHOOK_SECRET")
    box.put(receiver.url)
    async with sending(box):
        await box.until(lambda: bool(box.delays))
    assert 4 <= (box.delays[0] or 0) <= 6


async def test_no_more_are_sent_at_once_than_there_are_places(
    box: Box, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_LIMIT", 4)
    at_once: list[int] = []
    answering, full = 0, asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal answering
        answering += 1
        at_once.append(answering)
        if answering == 4:
            full.set()
        await full.wait()
        await asyncio.sleep(0.01)  # One more than there may be would come now.
        answering -= 1
        return await status(204)(request)

    receiver.answers.extend([answer] * 30)
    for number in range(30):
        box.put(receiver.url, f"run-{number}")
    async with sending(box):
        for number in range(30):
            await box.settled(f"run-{number}")
    assert max(at_once) == 4
    assert len(receiver.requests) == 30


async def test_one_whose_lease_expires_is_not_sent_beside_itself(
    box: Box, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_LEASE", 0.02)
    monkeypatch.setattr(sender_module, "_SHORTEST_WAIT", 0.001)
    taken = 0
    often = asyncio.Event()
    take = box.take

    async def count(limit: int, lease: float) -> list[Delivery]:
        nonlocal taken
        found = await take(limit, lease)
        taken += len(found)
        if taken == 5:
            often.set()
        return found

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await often.wait()
        return await status(204)(request)

    monkeypatch.setattr(box, "take", count)
    receiver.answers.append(answer)
    box.put(receiver.url)
    async with sending(box):
        assert (await box.settled()).outcome == "delivered"
    assert len(receiver.requests) == 1


async def test_a_sender_that_is_stopped_ends_what_it_sends(box: Box, receiver: Receiver) -> None:
    answering = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await answering.wait()
        return await status(204)(request)

    receiver.answers.append(answer)
    box.put(receiver.url)
    sender = Sender(box.store, LONG, tell_nobody)
    running = asyncio.create_task(sender.run())
    await receiver.wait_for_requests(1)
    await sender.stop(0.05)
    box.put(receiver.url, "later")
    assert not running.done()
    answering.set()
    await asyncio.wait_for(sender.stop(10), 20)
    await asyncio.wait_for(running, 10)
    assert box.entries["run/2"].outcome == "delivered"
    assert box.entries["later/2"].tries == 0
    assert len(receiver.requests) == 1


async def test_a_sender_that_was_stopped_can_send_again(box: Box, receiver: Receiver) -> None:
    sender = Sender(box.store, LONG, tell_nobody)
    for number in range(2):
        running = asyncio.create_task(sender.run())
        box.put(receiver.url, f"run-{number}")
        await box.settled(f"run-{number}")
        await sender.stop(10)
        await asyncio.wait_for(running, 10)


async def test_what_a_cancelled_sender_was_sending_is_due_again(
    box: Box, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.append(hang)
    box.put(receiver.url)
    async with sending(box):
        await receiver.wait_for_requests(1)
    await asyncio.wait_for(receiver.ended.wait(), 10)
    entry = box.entries["run/2"]
    assert (entry.outcome, entry.tries) == (None, 0)
    assert entry.due_at is not None
    assert caplog.records == []


def test_the_schedule_lasts_three_days_and_scatters() -> None:
    delays = [next_delay(tries) for tries in range(10)]
    assert delays[0] == 0
    assert next_delay(10) is None
    assert 0.8 * 75 * 3600 < sum(each or 0 for each in delays) < 1.2 * 76 * 3600
    assert len({next_delay(5) for _ in range(10)}) > 1


def test_a_delivery_is_leased_for_longer_than_a_try() -> None:
    assert sender_module._LEASE > delivery_module._TIMEOUT + 5
