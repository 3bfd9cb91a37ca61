"""From the events of a run to the chunks of a chat completion, and from its end to a whole one."""

from typing import Any

import msgspec

from kern.run.base import RunStatus
from kern.run.codec import shown
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.metrics import Metrics
from kern.run.output import RunOutput
from kern.run.tool import ToolExecution
from kern.server.responses.events import encoded
from kern.server.responses.object import CUT_OFF, Json, code_of, error_of
from kern.server.responses.shapes import sources_in


class CompletionView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a chat completion before anything has happened.

    Attributes:
        id: the completion, ``chatcmpl-<run>``.
        run_id: the run; events of others, its children, are left out.
        model: the agent, as the request has named it.
        created: when it was accepted, in seconds since 1970.
        include_usage: whether the last chunk says what was used.
        holds: whether the text is told at the end only, for it may be replaced: the agent has an
            output model, hooks after the answer, or a form. A chunk cannot be taken back.
    """

    id: str
    run_id: str
    model: str
    created: float
    include_usage: bool = False
    holds: bool = False


class ChunkTranslator:
    """Translates the events of one run into chunks, each once and in order.

    Own tools run silently: chunks have the text of all model calls, a blank line between them, and
    at the end the calls that the client has to make.
    """

    def __init__(self, view: CompletionView) -> None:
        """Begin.

        Args:
            view: the completion.
        """
        self._view = view
        self._has_said = self._is_new = self.is_ended = False

    def begin(self) -> list[Json]:
        """Return the first chunk, before anything has happened."""
        return [self._chunk({"role": "assistant", "content": ""})]

    def take(self, event: RunOutputEvent) -> list[Json]:
        """Return what an event of the run means in the completion.

        Args:
            event: the event. One that takes back what was told ends the completion with an error.
        """
        if self._view.holds or self.is_ended or event.run_id != self._view.run_id:
            return []
        match event.event:
            case RunEvent.run_content if event.content:
                return [self._chunk({"content": self._said(event.content)})]
            case RunEvent.model_request_started:
                self._is_new = True
            case RunEvent.run_content_voided if event.content:
                return self.fail(
                    "answer_replaced",
                    "The model was asked again, and what it had said is void. Send the request "
                    "again; the Responses API tells clients which text is void.",
                )
        return []

    def end(self, run: RunOutput[Any]) -> list[Json]:
        """Return the chunks with which the completion ends.

        Args:
            run: the run, once its events have come to their end.
        """
        if self.is_ended:
            return []
        self.is_ended = True
        if (error := failure_of(run)) is not None:
            return [error]
        chunks: list[Json] = []
        if self._view.holds and (said := _message_of(run)):
            name = "content" if said["refusal"] is None else "refusal"
            chunks += [self._chunk({name: said[name]})] if said[name] else []
        for index, each in enumerate(run.client_calls):
            chunks.append(self._chunk({"tool_calls": [{"index": index, **_call(each)}]}))
        chunks.append(self._chunk({}, _finish_reason(run)))
        if self._view.include_usage:
            chunks.append({**self._head(), "choices": [], "usage": usage_of(_used(run))})
        return chunks

    def fail(self, code: str, message: str) -> list[Json]:
        """Return what ends the completion where the run itself has not said so.

        Args:
            code: a word for what has happened, such as ``"server_shutdown"``.
            message: what has happened.
        """
        if self.is_ended:
            return []
        self.is_ended = True
        return [_error(code, message)]

    def _said(self, text: str) -> str:
        gap = "\n\n" if self._is_new and self._has_said else ""
        self._has_said, self._is_new = True, False
        return gap + text

    def _head(self) -> Json:
        return _head(self._view, "chat.completion.chunk")

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage: Json = {"usage": None} if self._view.include_usage else {}
        return {**self._head(), "choices": [choice], **usage}


def completion(view: CompletionView, run: RunOutput[Any]) -> Json:
    """Return the whole completion of a run that has completed, or was cut off.

    Args:
        view: the completion.
        run: the run; see :func:`failure_of` for what else may have become of it.
    """
    message = _message_of(run)
    if calls := run.client_calls:
        message["tool_calls"] = [_call(each) for each in calls]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_reason(run),
    }
    head = _head(view, "chat.completion")
    return {**head, "choices": [choice], "usage": usage_of(_used(run))}


def failure_of(run: RunOutput[Any]) -> Json | None:
    """Return what to tell the client where there is no completion; else None.

    Args:
        run: the run, which has ended or waits.
    """
    match run.status:
        case RunStatus.completed:
            return None
        case RunStatus.error if run.error_kind == CUT_OFF:
            return None
        case RunStatus.error:
            return _error(code_of(run.error_kind), run.error)
        case RunStatus.paused:
            return _error(
                "requires_action",
                "The run waits for a person, which chat completions cannot say. Use the Responses "
                "API with this agent.",
            )
    return _error("cancelled", "The run was cancelled.")


def usage_of(used: Metrics) -> Json:
    """Return what a completion has used."""
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.cached_tokens,
            "audio_tokens": used.audio_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning_tokens,
            "audio_tokens": used.audio_output_tokens,
        },
    }


def frame(chunk: Json) -> bytes:
    """Return a chunk as server-sent events have it; here it is encoded, once.

    Args:
        chunk: the chunk.
    """
    return b"data: %b\n\n" % encoded(chunk)


LAST_FRAME = b"data: [DONE]\n\n"
"""What follows the last chunk."""


def _head(view: CompletionView, kind: str) -> Json:
    return {"id": view.id, "object": kind, "created": int(view.created), "model": view.model}


def _message_of(run: RunOutput[Any]) -> Json:
    text = shown(run.content)
    last = run.messages[-1] if run.messages else None
    is_refusal = last is not None and last.refusal and last.text == text
    message: Json = {
        "role": "assistant",
        "content": None if is_refusal else text or None,
        "refusal": text if is_refusal else None,
    }
    if last is not None and last.citations is not None and not is_refusal:
        sources = sources_in(last.citations, text)
        message["annotations"] = [
            {"type": "url_citation", "url_citation": each} for each in sources
        ]
    return message


def _call(call: ToolExecution) -> Json:
    function = {"name": call.tool_name, "arguments": call.arguments}
    return {"id": call.tool_call_id, "type": "function", "function": function}


def _finish_reason(run: RunOutput[Any]) -> str:
    if run.status is RunStatus.error:
        return "length"
    return "tool_calls" if run.client_calls else "stop"


def _used(run: RunOutput[Any]) -> Metrics:
    return run.own_metrics or run.metrics


def _error(code: str, message: str | None) -> Json:
    return {"error": error_of(code, message)}
