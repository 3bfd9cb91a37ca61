"""Responses that exist: found, read from the events of their runs, and streamed."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, TypeAlias

from kern.agent.definition import runtime_of
from kern.db.base import Store
from kern.errors import KernError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.record import RunRecord
from kern.run.steps import PAUSE_VERSION, Paused
from kern.server.caller import Caller, Scope
from kern.server.problems import problem_of
from kern.server.responses.events import Translator, frame
from kern.server.responses.ids import ResponseId, no_response
from kern.server.responses.object import Json, ResponseView, Standing, response_object
from kern.server.responses.stored import Place, Remembered, view_of
from kern.server.service import AnyAgent, Service

RunEvents: TypeAlias = AsyncGenerator[RunOutputEvent | RunOutput[Any], None]
"""The events of a run, and at their end the run itself."""

# Milliseconds after which a client that polls is told to ask again: of a run that has just begun,
# and of one that takes long.
_SOON, _LATER = 500, 5_000


class Found(NamedTuple):
    """A response that exists.

    Attributes:
        agent: its agent.
        store: where its run is.
        record: its run.
        response: which response of that it is.
    """

    agent: AnyAgent
    store: Store
    record: RunRecord
    response: ResponseId

    @property
    def remembered(self) -> Remembered | None:
        """What is remembered of its request."""
        return Remembered.of(RunOutput.from_record(self.record).metadata)

    def view(self) -> ResponseView:
        """Return it as it was asked for."""
        run: RunOutput[Any] = RunOutput.from_record(self.record)
        place = Place.of(run, self.response.stretch, foreground=self.record.foreground)
        return view_of(place, run.metadata, Remembered.of(run.metadata))

    async def current(self) -> int:
        """Return which stretch of its run is the last one so far."""
        record = self.record
        is_due_again = record.status is RunStatus.pending and record.attempt > 0
        # Both tell a run that has gone on after a pause, among others; the row alone is read here.
        if record.journal_version < PAUSE_VERSION or (record.attempt < 2 and not is_due_again):
            return 0
        rows = await self.store.events(record.run_id, 0)
        # Behind the last pause there is a row only if the run has gone on.
        return sum(row.type == Paused.__name__ for row in rows[:-1])


def steers(caller: Caller) -> str | None:
    """Return the user whose responses a caller may change; None for those of all."""
    return None if caller.may(Scope.admin) else caller.user_id


async def find_run(
    service: Service, caller: Caller, run_id: str, user_id: str | None, *, unstored: bool = False
) -> tuple[AnyAgent, Store, RunRecord] | None:
    """Return a run that a caller may see, with its agent; None where there is none.

    Args:
        service: what is served.
        caller: who asks.
        run_id: the run, as the user calls it.
        user_id: the user whose run it must be; None for any.
        unstored: whether it may be one that is erased at its end, and has not ended.
    """
    databases = {id(each.db): each for each in service.visible(caller)}
    for one in databases.values():
        store = (await runtime_of(one)).store
        record = await store.get_for(run_id, user_id)
        if record is None or (
            record.unstored and not (unstored and record.status is RunStatus.paused)
        ):
            continue
        agent = service.agents.get(record.agent_id)
        if agent is not None and caller.sees(agent.id):
            return agent, store, record
    return None


async def find(
    service: Service, caller: Caller, text: str, user_id: str | None, param: str = "response_id"
) -> Found:
    """Return a response; see :func:`find_run`.

    Raises:
        RequestError: there is none (404).
    """
    response = ResponseId.parse(text, param)
    found = await find_run(service, caller, response.run_id, user_id)
    if found is None:
        raise no_response(text, param)
    agent, store, record = found
    there = Found(agent, store, record, ResponseId(record.run_id, response.stretch))
    if response.stretch and response.stretch > await there.current():
        raise no_response(text, param)
    return there


async def standing(found: Found) -> tuple[Json, dict[str, str]]:
    """Return a response as it stands, and the headers that say when to ask again."""
    record, response = found.record, found.response
    is_live = record.status in (RunStatus.pending, RunStatus.running)
    if is_live and response.stretch >= await found.current():
        how = Standing(status="queued" if record.status is RunStatus.pending else "in_progress")
        return response_object(found.view(), how, []), poll_after(record)
    translator, _ = await folded(found)
    return translator.response(), {}


def poll_after(record: RunRecord) -> dict[str, str]:
    """Return the header that tells a client when to ask again for a response that goes on."""
    age = 1000 * (time.time() - record.created_at.timestamp())
    return {"openai-poll-after-ms": str(int(min(max(age / 10, _SOON), _LATER)))}


async def folded(found: Found) -> tuple[Translator, list[Json]]:
    """Return what has become of a response that goes on no more, and all of its events."""
    translator = Translator(found.view(), stretch=found.response.stretch)
    events = translator.begin()
    async with aclosing(stored_events(found.agent, found.record.run_id)) as happened:
        async for each in happened:
            events += _translated(translator, each)
            if translator.is_ended:
                break
    return translator, events


async def stored_events(agent: AnyAgent, run_id: str) -> RunEvents:
    """Yield the events of a run that exists, from the first on, and the run at their end."""
    async with aclosing(agent.astream_run(run_id)) as events:
        async for event in events:
            yield event
    run = await agent.aget_run_output(run_id)
    if run is not None:
        yield run


async def frames(
    events: RunEvents, translator: Translator, after: int = -1
) -> AsyncIterator[bytes]:
    """Yield the events of a response as server-sent events.

    Args:
        events: those of its run, from the first on.
        translator: what makes those of the response of them.
        after: the number of the last one that the reader has.
    """
    if data := framed(translator.begin(), after):
        yield data
    async with aclosing(events):
        try:
            async for each in events:
                if data := framed(_translated(translator, each), after):
                    yield data
                if translator.is_ended:
                    return
        except KernError as error:
            problem = problem_of(error)
            yield framed(translator.fail(problem.code, problem.detail), after)


def framed(events: list[Json], after: int = -1) -> bytes:
    """Return events as server-sent events, but for those that the reader has."""
    return b"".join([frame(each) for each in events if each["sequence_number"] > after])


async def followed(
    earlier: Sequence[RunOutputEvent | RunOutput[Any]], events: RunEvents
) -> RunEvents:
    """Yield events that were read before others, and then these."""
    async with aclosing(events):
        for event in earlier:
            yield event
        async for each in events:
            yield each


def _translated(translator: Translator, each: RunOutputEvent | RunOutput[Any]) -> list[Json]:
    if isinstance(each, RunOutput):
        return translator.end(each)
    return translator.take(each)


async def until_pause(agent: AnyAgent, run_id: str) -> tuple[list[RunOutputEvent], int]:
    """Return the events of a paused run, and how often it has paused."""
    async with aclosing(agent.astream_run(run_id)) as events:
        earlier = [each async for each in events]
    own = [each for each in earlier if each.run_id == run_id]
    return earlier, sum(each.event is RunEvent.run_paused for each in own)
