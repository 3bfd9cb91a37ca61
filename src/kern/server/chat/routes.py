"""The route ``/v1/chat/completions``, for clients that know nothing else: it keeps no state."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from kern.agent.request import Request as RunRequest
from kern.agent.streamed import stream_of
from kern.errors import KernError
from kern.failures import failure
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.identity import new_id
from kern.run.overrides import Overrides
from kern.server.caller import Caller, RunsCaller
from kern.server.chat.chunks import (
    LAST_FRAME,
    ChunkTranslator,
    CompletionView,
    completion,
    failure_of,
    frame,
)
from kern.server.chat.request import Asked, read_chat
from kern.server.gone import unless_gone
from kern.server.problems import RequestError, problem_of
from kern.server.responses.begin import check_overrides
from kern.server.responses.events import encoded
from kern.server.responses.items import refused
from kern.server.responses.reading import RunEvents, followed
from kern.server.responses.request import json_object
from kern.server.service import AnyAgent, service_of
from kern.server.streaming import EventStream

router = APIRouter(prefix="/v1/chat/completions", include_in_schema=False)


@router.post("")
async def create(request: Request, caller: RunsCaller) -> Response:
    """Have an agent answer a conversation that its client keeps."""
    service = service_of(request)
    asked = read_chat(json_object(await request.body()))
    agent = service.agent(asked.body.model, caller)
    wanted = asked.body.parallel_tool_calls
    if wanted is not None and wanted is not agent.parallel_tool_calls:
        raise refused("parallel_tool_calls", "The agent says this itself.", "unsupported_value")
    check_overrides(agent, asked.overrides)
    if asked.body.stream:
        service.streams.check(caller.user_id)
    work = _run_of(agent, caller, asked)
    created = time.time()
    if not asked.body.stream:
        run = await unless_gone(request, _ended(work))
        if failure_of(run) is not None:
            raise _refusal_of(run)
        body = completion(_view(asked, agent, run.run_id, created), run)
        return Response(encoded(body), media_type="application/json")
    events: RunEvents = stream_of(work)
    first = await anext(events)  # What it is refused for is no stream.
    view = _view(asked, agent, first.run_id, created, holds=_may_replace(agent, work))
    frames = _frames(ChunkTranslator(view), followed([first], events))
    return EventStream(frames, service.streams, user_id=caller.user_id, foreground=True)


def _run_of(agent: AnyAgent, caller: Caller, asked: Asked) -> RunRequest:
    """Return the run that answers: one by itself, of which nothing is kept by default."""
    overrides = None if asked.overrides == Overrides() else asked.overrides
    work = RunRequest.of(
        agent,
        asked.messages,
        session_id=None if agent.fixed_session_id is None else new_id(),
        user_id=caller.user_id,
        metadata=dict(asked.body.metadata or {}) or None,
        store=bool(asked.body.store),
        overrides=overrides,
        output_schema=asked.output_schema,
        stream_events=True,
        yield_run_output=True,
        raise_on_error=False,
    )
    return msgspec.structs.replace(work, line=None)


async def _ended(work: RunRequest) -> RunOutput[Any]:
    """Carry a run out here and now, and return it as it ended."""
    return await work.carried_out()


async def _frames(translator: ChunkTranslator, events: RunEvents) -> AsyncIterator[bytes]:
    yield b"".join(map(frame, translator.begin()))
    async with aclosing(events):
        try:
            async for each in events:
                is_run = isinstance(each, RunOutput)
                chunks = translator.end(each) if is_run else translator.take(each)  # type: ignore[arg-type] # It is what it is.
                if chunks:
                    yield b"".join(map(frame, chunks))
        except KernError as error:
            problem = problem_of(error)
            yield b"".join(map(frame, translator.fail(problem.code, problem.detail)))
    yield LAST_FRAME


def _view(
    asked: Asked, agent: AnyAgent, run_id: str, created: float, *, holds: bool = False
) -> CompletionView:
    return CompletionView(
        id=f"chatcmpl-{run_id}",
        run_id=run_id,
        model=agent.id,
        created=created,
        include_usage=asked.includes_usage,
        holds=holds,
    )


def _may_replace(agent: AnyAgent, work: RunRequest) -> bool:
    """Say whether what a model says may not be what the run answers."""
    return (
        work.form is not None
        or agent.answering is not None
        or bool(agent.hooks and agent.hooks.post)
    )


def _refusal_of(run: RunOutput[Any]) -> RequestError:
    """Return what a request is refused with whose run has not come to an answer."""
    if run.status is RunStatus.error:
        return problem_of(failure(run.error_kind, run.error or "", run.error_details))
    told = failure_of(run)
    assert told is not None, "else it has an answer"
    return RequestError(409, told["error"]["message"], code=told["error"]["code"])
