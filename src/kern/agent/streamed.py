"""The events of a run that a caller has asked for, as it is carried out."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from kern.agent.definition import runtime_of
from kern.agent.typed import typed, typed_events
from kern.agent.work import Work
from kern.execution.child import may_nest, with_sub_agents
from kern.execution.spec import Definition
from kern.failures import failure, with_output
from kern.run.agent import RunOutput
from kern.run.event import RunCompletedEvent, RunEvent, RunOutputEvent
from kern.run.happened import Happened, event_of

# What a stream tells that was not asked for every event: text, and how the run goes on.
_ALWAYS_STREAMED = {
    RunEvent.run_content,
    RunEvent.run_content_voided,
    RunEvent.run_paused,
    RunEvent.run_continued,
    RunEvent.run_resumed,
    RunEvent.run_error,
    RunEvent.run_cancelled,
    RunEvent.run_completed,
}

# What ends a stream.
_LAST = {
    RunEvent.run_paused,
    RunEvent.run_error,
    RunEvent.run_cancelled,
    RunEvent.run_completed,
}

# The submits of streams that nobody has begun to read.
_submitting: set[asyncio.Task[RunOutput]] = set()


def stream_of(work: Work) -> AsyncGenerator[RunOutputEvent, None]:
    """Carry a run out, and yield its events; a background run is submitted at once.

    Where not every event is asked for, it yields the pieces of content, and how the run goes
    on and ends. What is no piece has an empty text then, the end of a completed run too: the
    pieces were its content.

    Raises:
        Exception: what the run failed of.
    """
    ended: list[RunOutput] = []
    if not work.background:
        events = _told(work, _typed(work, _executed(work, ended)))
        return _with_output(work, events, ended) if work.yield_run_output else events
    streamed = work.to_be_read()
    submitting: asyncio.Task[RunOutput] | None = None
    with suppress(RuntimeError):  # Code without an event loop submits with the first event.
        submitting = asyncio.get_running_loop().create_task(streamed.submit())
        _submitting.add(submitting)
        submitting.add_done_callback(_submitting.discard)
    events = _told(work, _typed(work, _submitted(streamed, submitting)))
    return _with_output(work, events, ended) if work.yield_run_output else events


async def _with_output(
    work: Work, events: AsyncGenerator[RunOutputEvent, None], ended: Sequence[RunOutput]
) -> AsyncGenerator[RunOutputEvent, None]:
    """Yield the events, and then the run; ``ended`` has it, where it was executed here."""
    last: RunOutputEvent | None = None
    async with aclosing(events):
        async for event in events:
            last = event
            yield event
    if ended and (ended[0].is_terminal or ended[0].is_paused):
        output = ended[0]
    else:
        if last is None:
            return
        record = await (await runtime_of(work.agent)).store.get(last.run_id)
        if record is None:
            return
        output = typed(RunOutput.from_record(record), work.agent.answering)
    yield output  # type: ignore[misc] # Only who asks for it gets it; the overloads say so.


def _typed(
    work: Work, events: AsyncGenerator[RunOutputEvent, None]
) -> AsyncGenerator[RunOutputEvent, None]:
    if work.form is None:
        return events
    answering = work.agent.answering
    return typed_events(events, work.form, grows=answering is None or answering.parser is None)


async def _told(
    work: Work, events: AsyncGenerator[RunOutputEvent, None]
) -> AsyncGenerator[RunOutputEvent, None]:
    own = None
    async with aclosing(events):
        async for event in events:
            own = own or event.run_id  # The first event is the run's own.
            if work.every_event:
                yield event
            elif event.run_id != own:
                continue  # It is a child's.
            elif isinstance(event, RunCompletedEvent):
                is_text = event.content_type == "str"
                yield replace(event, content="") if is_text else event
            elif event.event in _ALWAYS_STREAMED:
                # Callers print each content as it comes.
                yield event if event.content is not None else replace(event, content="")


async def _submitted(
    work: Work, submitting: asyncio.Task[RunOutput] | None
) -> AsyncGenerator[RunOutputEvent, None]:
    run = await (work.submit() if submitting is None else submitting)
    async for event in _followed(work, run.run_id, work.told):
        yield event


async def _executed(work: Work, ended: list[RunOutput]) -> AsyncGenerator[RunOutputEvent, None]:
    events: asyncio.Queue[RunOutputEvent | None] = asyncio.Queue()
    # Whose conversation it goes on with depends on who asks for it, and that is not the new task.
    task = asyncio.create_task(work.continued().carried_out(events.put_nowait))
    task.add_done_callback(lambda _: events.put_nowait(None))
    last: RunOutputEvent | None = None
    # The last event that is stored, and the text of the call after it, which may not be.
    stored, text = work.told, ""
    try:
        while (event := await events.get()) is not None:
            yield event
            if last is not None and event.run_id != last.run_id:
                continue  # It is a child's.
            last = event
            if event.event is RunEvent.run_content:
                text += event.content or ""
            elif event.event is not RunEvent.model_request_started:
                stored, text = event.seq, ""
        run = task.result()
        ended.append(run)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if work.agent.db is None or (last is not None and last.event in _LAST):
        return
    # It was begun before; or others have carried it on from what is stored.
    if last is not None and text:
        void = Happened(RunEvent.run_content_voided, text, seq=stored)
        yield event_of(void, last, time.time())
    async for event in _followed(work, run.run_id, stored):
        yield event


async def _followed(
    work: Work, run_id: str, after: int = 0
) -> AsyncGenerator[RunOutputEvent, None]:
    """Yield the events of the stored run from a number on, and raise what it failed of."""
    runtime = await runtime_of(work.agent)
    last: RunOutputEvent | None = None
    nested = work.every_event and may_nest(work.agent)
    followed = named(work.agent, runtime.stream(run_id, after, nested=nested))
    async with aclosing(followed) as events:
        async for event in events:
            if event.run_id == run_id:
                last = event
            yield event
    if last is None:
        return
    if last.event is RunEvent.run_error and work.raise_on_error:
        record = await runtime.store.get(run_id)
        message = last.content or "The run failed."
        if record is None:
            raise failure(None, message)
        output = RunOutput.from_record(record)
        raise with_output(failure(output.error_kind, message, output.error_details), output)


async def named(
    agent: Definition, events: AsyncGenerator[RunOutputEvent, None]
) -> AsyncGenerator[RunOutputEvent, None]:
    """Yield the events of an agent's run with the names of their agents, and which are teams.

    Of what executes elsewhere only the ids are known until it ends.

    Args:
        agent: the agent.
        events: those of its run, and of its children.
    """
    known = {each.id: each for each in with_sub_agents(agent)}
    async with aclosing(events):
        async for event in events:
            if (found := known.get(event.agent_id)) is not None:
                event.agent_name = event.agent_name or found.name
                event.team_id = found.id if found.is_team else None
            yield event
