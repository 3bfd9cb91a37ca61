"""What the steps of a run tell, as events: the words of :mod:`kern.run.fold`."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from kern.media import Audio, File, Image, Media, Video, media_in
from kern.run import steps
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import decode_object
from kern.run.content import Content
from kern.run.custom import OfRun, custom_event
from kern.run.event import RunEvent, RunOutputEvent, class_of
from kern.run.message import Message
from kern.run.requirement import RunRequirement
from kern.run.steps import SecondaryAnswered
from kern.run.tool import ToolExecution

FIRST_EVENT = 1
"""The number of every run's RunStarted, which no step stands for: the run itself does."""


_NOTHING: Mapping[str, object] = MappingProxyType({})


class Happened(NamedTuple):
    """An event as the steps tell it.

    Attributes:
        event: its kind.
        content: its text, or at a run's end its value.
        tool: the tool call that it is about.
        requirements: what the run waits for.
        seq: its number within the run.
        more: what only events of its kind have, by name.
    """

    event: RunEvent
    content: object = None
    tool: ToolExecution | None = None
    requirements: tuple[RunRequirement, ...] = ()
    seq: int = 0
    more: Mapping[str, object] = _NOTHING


def begun(run: RunOutput[Any]) -> list[Happened]:
    """Return the event with which a run begins."""
    more: dict[str, object] = {"model": run.model, "model_provider": run.model_provider}
    return [Happened(RunEvent.run_started, seq=FIRST_EVENT, more=more)]


def call_ended(execution: ToolExecution, content: Content, *, error: bool) -> Happened:
    """Return the event with which a tool call ends.

    Args:
        execution: the call.
        content: what the model is told of it.
        error: whether it failed.
    """
    if error:
        return Happened(RunEvent.tool_call_error, execution.result, execution)
    made: dict[str, list[Media]] = {}
    for each in media_in(() if isinstance(content, str) else content):
        made.setdefault(_MADE[type(each)], []).append(each)
    return Happened(RunEvent.tool_call_completed, execution.result, execution, more=made)


_MADE: Mapping[type[Media], str] = {
    Image: "images",
    Video: "videos",
    Audio: "audio",
    File: "files",
}


def ending(
    seq: int,
    status: RunStatus,
    content: object,
    error: str | None,
    content_type: str = "str",
) -> list[Happened]:
    """Return the events with which a run ends; no step stands for them: the run itself does.

    Args:
        seq: the number of the first.
        status: how the run stands.
        content: what it has produced.
        error: what it failed of.
        content_type: the type of the content.
    """
    match status:
        case RunStatus.completed:
            more = _NOTHING if content_type == "str" else {"content_type": content_type}
            return [
                Happened(RunEvent.run_content_completed, content, seq=seq, more=more),
                Happened(RunEvent.run_completed, content, seq=seq + 1, more=more),
            ]
        case RunStatus.error:
            return [Happened(RunEvent.run_error, error, seq=seq)]
        case RunStatus.cancelled:
            return [Happened(RunEvent.run_cancelled, content, seq=seq)]
    return []


def ending_of(run: RunOutput[Any], seq: int) -> list[Happened]:
    """Return the events with which a run ends, with all that they say of it.

    Args:
        run: the run as it stands.
        seq: the number of the first.
    """
    told = ending(seq, run.status, run.content, run.error, run.content_type)
    more: dict[str, object] = {}
    match run.status:
        case RunStatus.completed:
            more = {name: getattr(run, name) or None for name in _OF_THE_RUN}
        case RunStatus.error:
            more = failure_told(run.error_kind, run.error_details)
    return [*told[:-1], *(each._replace(more={**each.more, **more}) for each in told[-1:])]


def failure_told(kind: str | None, details: Mapping[str, object] | None) -> dict[str, object]:
    """Return what a RunError says beside its message.

    Args:
        kind: the class of what the run failed of.
        details: what a check has said.
    """
    if details is None:
        return {"error_type": kind}
    return {
        "error_type": kind,
        "error_id": details.get("check_trigger"),
        "additional_data": details.get("additional_data"),
    }


_OF_THE_RUN = (
    "metrics",
    "metadata",
    "session_state",
    "reasoning_content",
    "reasoning_steps",
    "citations",
    "references",
    "images",
    "videos",
    "audio",
    "files",
    "response_audio",
)
"""What a run and its RunCompleted both say."""


def event_of(happened: Happened, run: OfRun, at: float) -> RunOutputEvent:
    """Return an event as those who read the run's stream see it.

    Args:
        happened: what the steps tell.
        run: the run, or another event of it.
        at: when it happened, in seconds since 1970.
    """
    event, content, tool, requirements, seq, more = happened
    if event is RunEvent.custom_event:
        return custom_event(more, run, seq, at)
    if event is RunEvent.model_request_started and isinstance(run, RunOutput):
        more = {"model": run.model, "model_provider": run.model_provider}
    return class_of(event)(
        event,
        run.run_id,
        run.session_id,
        run.agent_id,
        seq,
        agent_name=run.agent_name,
        parent_run_id=run.parent_run_id,
        team_id=run.team_id,
        content=cast("str | None", content),  # It may be a value where the class says so.
        tool=tool,
        requirements=requirements,
        created_at=at,
        **cast("dict[str, Any]", more),
    )


def complaint(reason: str) -> Message:
    """Return what a model is told whose answer does not fit.

    Args:
        reason: what does not fit.
    """
    return Message(
        "user", f"Your answer does not fit: {reason}. Give the whole answer again, so that it fits."
    )


def secondary_events(step: SecondaryAnswered, before: str | None) -> Iterator[Happened]:
    """Yield the events for the answer of a secondary model.

    Args:
        step: the answer.
        before: the text of the answer until then.
    """
    text = step.message.text
    match step.name:
        case steps.OUTPUT_MODEL:
            yield Happened(RunEvent.output_model_response_started)
            if before:
                yield Happened(RunEvent.run_content_voided, before)
            if text:
                yield Happened(RunEvent.run_content, text)
            yield Happened(RunEvent.output_model_response_completed, text)
        case steps.PARSER_MODEL:
            yield Happened(RunEvent.parser_model_response_started)
            yield Happened(RunEvent.parser_model_response_completed, text)
        case steps.FOLLOWUPS:
            yield Happened(RunEvent.followups_started)
            more = {"followups": followups_in(text)}
            yield Happened(RunEvent.followups_completed, more=more)
        case steps.SESSION_SUMMARY:
            yield Happened(RunEvent.session_summary_started)
            summary = {"session_summary": decode_object(text) or None}
            yield Happened(RunEvent.session_summary_completed, more=summary)
        case steps.MEMORY_MODEL:
            yield Happened(RunEvent.memory_update_started)
            memories = {"memories": decode_object(text).get("changes")}
            yield Happened(RunEvent.memory_update_completed, more=memories)


def followups_in(text: str) -> tuple[str, ...]:
    """Return the suggestions in the answer of a model that was asked for some."""
    values = decode_object(text)
    return tuple(map(str, cast("list[object]", values.get("followups", []))))
