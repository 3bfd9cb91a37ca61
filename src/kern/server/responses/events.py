"""From the events of a run to those of a response: purely, so the same for every reader."""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from kern.run.base import RunStatus
from kern.run.codec import parse, shown
from kern.run.event import ModelRequestCompletedEvent, RunEvent, RunOutputEvent
from kern.run.metrics import Metrics
from kern.run.output import RunOutput
from kern.run.tool import ToolExecution
from kern.server.responses.object import (
    CUT_OFF,
    Json,
    ResponseView,
    Standing,
    Status,
    code_of,
    error_of,
    response_object,
    usage_of,
)
from kern.server.responses.output import Output
from kern.server.responses.shapes import MessageItem, approval_id


class Translator:
    """Translates the events of one run into those of one response, each once and in order.

    It is given the run's events from the first on, whatever the reader has already: the numbers
    come out the same then, in every process and at every time. A run that pauses is several
    responses; the translator of one of them leaves out what belongs to the others.

    Example:
        >>> view = ResponseView(id="resp_1", run_id="1", model="a", server_label="a", created_at=0)
        >>> translator = Translator(view)
        >>> [each["type"] for each in translator.begin()]
        ['response.created', 'response.in_progress']
    """

    def __init__(self, response: ResponseView, *, stretch: int = 0) -> None:
        """Begin.

        Args:
            response: what the response was asked for.
            stretch: which response of the run it is: after how many pauses it begins.
        """
        self._view = response
        self._run_id = response.run_id
        self._stretch = stretch
        self._pauses = 0
        self._standing = Standing(status="queued" if response.background else "in_progress")
        self._output = Output(response)
        self._approvals: dict[tuple[str, str], str] = {}
        self._before, self._used = Metrics(), Metrics()
        self._is_parsed = False
        self._has_failed = False
        self._held: list[RunOutputEvent] = []

    @property
    def is_ended(self) -> bool:
        """Whether it has told how the response ends."""
        return self._standing.status not in ("queued", "in_progress")

    def response(self) -> Json:
        """Return the Response object as of now."""
        items = [each.to_dict() for each in self._output.items]
        return response_object(self._view, self._standing, items)

    def begin(self) -> list[Json]:
        """Return the events with which the response begins, before anything has happened."""
        self._tell("response.created")
        self._tell(f"response.{self._standing.status}")
        return self._output.told()

    def take(self, event: RunOutputEvent) -> list[Json]:
        """Return what an event of the run means in the response.

        Args:
            event: the event; a pause ends the response.
        """
        kind = event.event
        if event.run_id != self._run_id or self._pauses > self._stretch:
            return []
        if self._pauses < self._stretch:
            self._pass(event)
            return []
        if self._has_failed:
            if kind is RunEvent.run_content_voided:  # What comes next says whether it had ended.
                self._held.append(event)
                return []
            self._go_on(kind)
        if self._standing.status == "queued" and kind not in _ENDS:
            self._standing.status = "in_progress"
            self._tell("response.in_progress")
        if (handle := _HANDLERS.get(kind)) is not None:
            handle(self, event)
        return self._output.told()

    def end(self, run: RunOutput[Any]) -> list[Json]:
        """Return the events with which the response ends.

        Nothing is returned if a pause has ended it already, or the run goes on.

        Args:
            run: the run, once its events have come to their end.
        """
        if self.is_ended or self._pauses != self._stretch:
            return []
        self._used = run.own_metrics or run.metrics  # Each run's own, as it is stored.
        status = run.status
        if status is RunStatus.regenerated:  # How it had ended is not kept.
            status = RunStatus.completed if run.error is None else RunStatus.error
        match status:
            case RunStatus.completed:
                self._complete(run)
            case RunStatus.error if run.error_kind == CUT_OFF:
                self._standing.incomplete_reason = "max_output_tokens"
                self._output.break_off()
                self._output.add_untold(shown(run.content))
                self._finish("incomplete")
            case RunStatus.error:
                self._standing.error = error_of(code_of(run.error_kind), run.error)
                self._break_off("failed")
            case RunStatus.cancelled:
                self._break_off("cancelled")
        return self._output.told()

    def fail(self, code: str, message: str) -> list[Json]:
        """Return the events with which the response ends where the run itself has not said so.

        Args:
            code: a word for what has happened, such as ``"server_shutdown"``.
            message: what has happened.
        """
        if self.is_ended:
            return []
        self._standing.error = error_of(code, message)
        self._break_off("failed")
        return self._output.told()

    def _pass(self, event: RunOutputEvent) -> None:
        """Note what matters of an event that belongs to an earlier response of the run."""
        if isinstance(event, ModelRequestCompletedEvent):
            self._before.add(event.metrics)
            self._used.add(event.metrics)
        if event.event is not RunEvent.run_paused:
            return
        self._pauses += 1
        for each in event.requirements:
            if each.kind == "confirmation" and each.member_run_id is None:
                call = each.tool_execution
                self._approvals[call.tool_call_id, call.tool_name] = approval_id(each.id)

    def _go_on(self, kind: RunEvent) -> None:
        """Go on after an event that said that an attempt has failed.

        If a person had the run go on, it had ended: what was told then keeps its numbers.
        """
        self._has_failed = False
        if kind is RunEvent.run_continued:
            self._output.break_off()
            self._tell("response.in_progress")
        for each in self._held:
            self._void(each)
        self._held.clear()

    def _say(self, event: RunOutputEvent) -> None:
        if event.content:
            self._output.say(event.content)

    def _void(self, event: RunOutputEvent) -> None:
        self._output.void(event.content or "")

    def _begin_answer(self, _: RunOutputEvent) -> None:
        self._output.close_message()

    def _end_answer(self, event: RunOutputEvent) -> None:
        self._used.add(cast(ModelRequestCompletedEvent, event).metrics)

    def _begin_call(self, event: RunOutputEvent) -> None:
        if (call := event.tool) is not None:
            self._output.begin_call(call, self._approval_of(call))

    def _end_call(self, event: RunOutputEvent) -> None:
        if (call := event.tool) is not None:
            failed = event.event is RunEvent.tool_call_error
            self._output.end_call(call, self._approval_of(call), failed=failed)

    def _parse(self, _: RunOutputEvent) -> None:
        self._is_parsed = True

    def _pause(self, event: RunOutputEvent) -> None:
        self._output.close_message()
        self._output.break_off()
        confirmations = [each for each in event.requirements if each.kind == "confirmation"]
        for each in confirmations:
            self._output.ask(each)
        self._pauses += 1
        is_all = len(confirmations) == len(event.requirements)
        self._finish("completed" if is_all else "incomplete", event.created_at)

    def _fail(self, _: RunOutputEvent) -> None:
        self._has_failed = True

    def _complete(self, run: RunOutput[Any]) -> None:
        output, message = self._output, self._output.message
        last = run.messages[-1] if run.messages else None
        open_calls = run.client_calls
        if message is not None and last is not None and last.refusal and last.text == message.text:
            output.refuse()
        elif run.content_type != "str" and not self._is_said(message):
            output.replace(shown(run.content))
        if last is not None and last.citations is not None:
            output.cite(last.citations)
        output.close_message(is_answer=not open_calls)
        output.break_off()
        for each in open_calls:
            output.call_client(each)
        self._finish("completed", run.finished_at)

    def _is_said(self, message: MessageItem | None) -> bool:
        """Say whether a message is the value that was answered, as JSON."""
        if self._is_parsed or message is None:
            return False
        try:
            parse(message.text)
        except (ValueError, RecursionError):
            return False
        return True

    def _break_off(self, status: Status) -> None:
        self._output.break_off()
        self._finish(status)

    def _finish(self, status: Status, at: float | None = None) -> None:
        self._standing.status = status
        self._standing.completed_at = at if status == "completed" else None
        self._standing.usage = usage_of(self._used, self._before)
        # OpenAI has no event for a cancel: readers learn it from the status.
        self._tell(f"response.{'incomplete' if status == 'cancelled' else status}")

    def _tell(self, type: str) -> None:
        self._output.tell(type, response=self.response())

    def _approval_of(self, call: ToolExecution) -> str | None:
        return self._approvals.get((call.tool_call_id, call.tool_name))


_HANDLERS: Mapping[RunEvent, Callable[[Translator, RunOutputEvent], None]] = {
    RunEvent.run_content: Translator._say,
    RunEvent.run_content_voided: Translator._void,
    RunEvent.model_request_started: Translator._begin_answer,
    RunEvent.model_request_completed: Translator._end_answer,
    RunEvent.tool_call_started: Translator._begin_call,
    RunEvent.tool_call_completed: Translator._end_call,
    RunEvent.tool_call_error: Translator._end_call,
    RunEvent.parser_model_response_completed: Translator._parse,
    RunEvent.run_paused: Translator._pause,
    RunEvent.run_error: Translator._fail,
}

_ENDS = frozenset({RunEvent.run_cancelled, RunEvent.run_error, RunEvent.run_paused})
"""What can happen to a run that has not begun."""


def frame(event: Json) -> bytes:
    r"""Return an event as server-sent events have it; here it is encoded, once.

    Args:
        event: the event.

    Example:
        >>> frame({"type": "response.created", "sequence_number": 0})
        b'event: response.created\ndata: {"type":"response.created","sequence_number":0}\n\n'
    """
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), encoded(event))


def encoded(value: object) -> bytes:
    """Return JSON values as JSON; lone surrogates, which models produce, are escaped."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


_encode = msgspec.json.Encoder().encode
