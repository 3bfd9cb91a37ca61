"""The middleware that observes runs: a span for each attempt, model call and tool call."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter, Histogram, MeterProvider
from opentelemetry.trace import Link, SpanKind, TracerProvider
from typing_extensions import override

from kern import __version__
from kern.errors import ConfigurationError
from kern.execution.middleware import CallTool
from kern.execution.observing import Observer
from kern.execution.steps import Suspended
from kern.models.base import Model, ModelRequest, ModelResponse
from kern.run.agent import RunOutput
from kern.run.base import RunInfo, RunStatus
from kern.run.content import text_of
from kern.run.record import RunRecord
from kern.run.requirement import CallPaused
from kern.run.steps import AnyStep, AttemptFailed, Continued, Paused
from kern.run.tool import ToolCall
from kern.run.tool_steps import SleepBegun
from kern.telemetry.attributes import (
    AGENT_ID,
    AGENT_NAME,
    ERROR_TYPE,
    STATUS,
    agent_attributes,
    answer_attributes,
    call_attributes,
    error_of,
    is_own,
    model_attributes,
    name_of,
    tool_attributes,
    usage_attributes,
)
from kern.telemetry.content import content_of_call, content_of_run
from kern.telemetry.current import Work, current
from kern.telemetry.ending import ending
from kern.telemetry.guard import Guard
from kern.telemetry.instruments import Instruments
from kern.telemetry.spans import (
    Attributes,
    Operation,
    Spans,
    Value,
    context_of,
    current_traceparent,
    record,
    span_of,
    within,
)
from kern.tools import ToolResult

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment's word on content, as other instrumentations of generative AI know it."""

# What ends an attempt in good order, for the run to go on later.
_ORDERLY = (AttemptFailed, Continued, Paused, SleepBegun)


class OpenTelemetry(Observer):
    """Observes the runs of an agent, or of all, by OpenTelemetry.

    A span ``invoke_agent`` is an attempt at a run. It is in the trace in which the run was
    submitted, in whatever process and however long ago; a later attempt is linked to the first.
    Below it are ``chat``, a call of a model, its repetitions included, and ``execute_tool``. What
    a tool call starts, such as the run of another agent, is below that.

    No run fails of it, and none waits for it: see ``docs/guides/telemetry.md``.

    Example:
        >>> from kern import Agent
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Observed", ScriptedModel(), middleware=[OpenTelemetry()])
    """

    def __init__(
        self,
        *,
        content: bool | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Observe nothing yet.

        Args:
            content: whether spans hold what was said: messages, instructions, tools with their
                arguments and results, and the texts of errors. By default as the environment says
                (``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``), and else not.
            tracer_provider: where spans go; by default the program's, also if that is set later.
            meter_provider: where metrics go, likewise.

        Raises:
            ConfigurationError: the environment says something unknown.
        """
        self.content: bool = _content_wanted() if content is None else content
        self.meter = metrics.get_meter("kern", __version__, meter_provider)
        self._guard = Guard()
        self._spans = Spans(trace.get_tracer("kern", __version__, tracer_provider), self._guard)
        self._instruments = Instruments(self.meter)

    @override
    def trace(self) -> str | None:
        return self._guard.call("read the current trace", current_traceparent)

    @override
    def goes_on(self, run: RunInfo, first: str | None, last: AnyStep | None) -> None:
        if run.attempt > 1 and not isinstance(last, _ORDERLY):
            self._record(self._instruments.takeovers, 1, {AGENT_ID: run.agent_id})
        work = current.get()
        if first is not None and work is not None and work.is_traced:
            link = partial(trace.get_current_span().add_link, span_of(first))
            self._guard.call("link attempts", link)

    @override
    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        attempt = self._begin_attempt(run)
        work = Work(run, attempt is not None)
        with _working(work), within(attempt):
            try:
                output = await proceed()
            except BaseException as error:
                if attempt is not None:
                    self._end_attempt(work, attempt, error)
                raise
        if attempt is not None:
            self._end_attempt(work, attempt, output)
        if is_own(run, output) and (output.is_terminal or output.is_paused):
            self._count(run.agent_id, output.status)
            if output.is_terminal:
                seconds = max(0.0, (output.finished_at or time.time()) - output.created_at)
                about = {AGENT_ID: run.agent_id, STATUS: output.status.value}
                self._record(self._instruments.run_duration, seconds, about)
        return output

    def _begin_attempt(self, run: RunInfo) -> Operation | None:
        context, links = None, []
        if run.traceparent is not None:
            context, submitted = context_of(run.traceparent), span_of(run.traceparent)
            here = trace.get_current_span().get_span_context()
            if here.is_valid and here.span_id != submitted.span_id:
                links.append(Link(here))  # It goes on for another caller than its submitter.
        name = f"invoke_agent {name_of(run)}"
        return self._spans.begin(name, agent_attributes(run), context=context, links=links)

    def _end_attempt(
        self, work: Work, attempt: Operation, came_to: RunOutput | BaseException
    ) -> None:
        run, said = work.run, usage_attributes(work.input_tokens, work.output_tokens)
        error, description = None, None
        if isinstance(came_to, asyncio.CancelledError):
            said[STATUS] = RunStatus.pending.value  # It was released.
        elif isinstance(came_to, BaseException):
            error, description = error_of(came_to), str(came_to)
        elif is_own(run, came_to):
            said[STATUS] = came_to.status.value
            if came_to.error is not None and not came_to.is_paused:
                error, description = came_to.error_kind or "_OTHER", came_to.error
        about: dict[str, Value] = {AGENT_NAME: name_of(run)}
        counted = dict(about)
        if error is not None:
            said[ERROR_TYPE] = about[ERROR_TYPE] = error
        content = None
        if self.content and attempt.is_recorded and isinstance(came_to, RunOutput):
            content = partial(content_of_run, came_to)
        made = self._instruments
        attempt.end(
            said,
            (
                (made.agent_duration, attempt.seconds, about),
                (made.agent_inferences, work.model_calls, counted),
                (made.agent_tools, work.tool_calls, counted),
            ),
            failed=error is not None,
            description=description if self.content else None,
            content=content,
        )

    @override
    async def model_answer(
        self,
        run: RunInfo,
        model: Model,
        request: ModelRequest,
        answer: Awaitable[ModelResponse],
        *,
        streamed: bool,
    ) -> ModelResponse:
        about = call_attributes(run, model, request)
        if streamed:
            about["gen_ai.request.stream"] = True
        call = self._spans.begin(f"chat {model.id}", about, SpanKind.CLIENT)
        if (work := current.get()) is not None:
            work.model_calls += 1
        with within(call):
            try:
                response = await answer
            except BaseException as error:
                if call is not None:
                    self._end_failed_call(call, model, request, error)
                raise
        used = response.metrics
        if work is not None:
            work.input_tokens += used.input_tokens
            work.output_tokens += used.output_tokens
        if call is not None:
            self._end_call(run, call, model, request, response)
        return response

    def _end_call(
        self,
        run: RunInfo,
        call: Operation,
        model: Model,
        request: ModelRequest,
        response: ModelResponse,
    ) -> None:
        made, used = self._instruments, response.metrics
        about = model_attributes(model)
        if response.model is not None:
            about["gen_ai.response.model"] = response.model
        records: list[tuple[Counter | Histogram, float, Attributes]] = [
            (made.inference_duration, call.seconds, about),
            (made.operation_input, used.input_tokens, about),
            (made.operation_output, used.output_tokens, about),
        ]
        if used.time_to_first_token is not None:
            records.append((made.time_to_first_chunk, used.time_to_first_token, about))
        # Providers do not say of all tokens what they are.
        tokens = {**about, "gen_ai.token.modality": "unknown"}
        records += [
            (made.input_tokens, used.input_tokens, tokens),
            (made.output_tokens, used.output_tokens, tokens),
            (made.cache_read, used.cached_tokens, tokens),
            (made.cache_write, used.cache_write_tokens, tokens),
            (made.reasoning, used.reasoning_tokens, tokens),
        ]
        if used.cost is not None:
            cost = {**model_attributes(model), AGENT_ID: run.agent_id}
            records.append((made.cost, used.cost, cost))
        call.end(answer_attributes(response), records, content=self._said(call, request, response))

    def _end_failed_call(
        self, call: Operation, model: Model, request: ModelRequest, error: BaseException
    ) -> None:
        about = model_attributes(model)
        said: dict[str, Value] = {"gen_ai.response.finish_reasons": ["error"]}
        is_failure = not isinstance(error, asyncio.CancelledError)  # Else somebody wanted it.
        if is_failure:
            said[ERROR_TYPE] = about[ERROR_TYPE] = error_of(error)
        call.end(
            said,
            ((self._instruments.inference_duration, call.seconds, about),),
            failed=is_failure,
            description=str(error) if self.content and is_failure else None,
            content=self._said(call, request, None),
        )

    def _said(
        self, call: Operation, request: ModelRequest, response: ModelResponse | None
    ) -> Callable[[], Attributes] | None:
        if not self.content or not call.is_recorded:
            return None
        return partial(content_of_call, request, response)

    @override
    async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
        span = self._spans.begin(f"execute_tool {call.name}", tool_attributes(run, call))
        if (work := current.get()) is not None:
            work.tool_calls += 1
        with within(span):
            try:
                result = await make(call)
            except BaseException as error:
                if span is not None:
                    self._end_tool(run, span, call, error)
                raise
        if span is not None:
            self._end_tool(run, span, call, result)
        return result

    def _end_tool(
        self, run: RunInfo, span: Operation, call: ToolCall, came_to: ToolResult | BaseException
    ) -> None:
        said: dict[str, Value] = {}
        error, description = None, None
        if isinstance(came_to, ToolResult):
            if came_to.is_error:
                error, description = "_OTHER", text_of(came_to.content)
        elif isinstance(came_to, CallPaused | Suspended):
            said["kern.call.suspended"] = True  # It is made again, once a person or the time is up.
        elif not isinstance(came_to, asyncio.CancelledError):
            error, description = error_of(came_to), str(came_to)
        about: dict[str, Value] = {"gen_ai.tool.name": call.name, AGENT_NAME: name_of(run)}
        if error is not None:
            said[ERROR_TYPE] = about[ERROR_TYPE] = error
        if self.content:
            said["gen_ai.tool.call.arguments"] = call.arguments
            if isinstance(came_to, ToolResult):
                said["gen_ai.tool.call.result"] = text_of(came_to.content)
        span.end(
            said,
            ((self._instruments.tool_duration, span.seconds, about),),
            failed=error is not None,
            description=description if self.content else None,
        )

    @override
    def ended(self, record: RunRecord) -> None:
        self._count(record.agent_id, record.status)

    @override
    def claimed(self, record: RunRecord) -> None:
        if record.attempt == 1 and record.started_at is not None:
            due = max(record.created_at, record.run_at or record.created_at)
            seconds = max(0.0, (record.started_at - due).total_seconds())
            self._record(self._instruments.queue_wait, seconds, {AGENT_ID: record.agent_id})

    @override
    def lost(self, run: RunInfo, status: RunStatus) -> None:
        self._record(self._instruments.losses, 1, {AGENT_ID: run.agent_id})
        if status.is_terminal:
            self._count(run.agent_id, status)

    def _count(self, agent_id: str, status: RunStatus) -> None:
        self._record(self._instruments.runs, 1, {AGENT_ID: agent_id, STATUS: status.value})

    def _record(self, instrument: Counter | Histogram, value: float, about: Attributes) -> None:
        """Record a value, in the thread for that."""
        work = partial(record, instrument, value, about)
        ending.do(partial(self._guard.call, "record a metric", work))


@contextmanager
def _working(work: Work) -> Iterator[None]:
    token = current.set(work)
    try:
        yield
    finally:
        current.reset(token)


def _content_wanted() -> bool:
    said = os.environ.get(CONTENT, "").strip().lower()
    if said in ("", "0", "false", "no_content", "event_only"):
        return False
    if said in ("1", "true", "span_only", "span_and_event"):
        return True
    raise ConfigurationError(
        f"{CONTENT}={said!r:.50} says neither span_only (or true) nor no_content (or false)."
    )
