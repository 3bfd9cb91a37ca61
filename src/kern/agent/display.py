"""A run in the terminal: what was asked, the model's thoughts, its tool calls, and the answer."""

import time
from collections.abc import AsyncGenerator, Awaitable, Collection, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.json import JSON
from rich.live import Live
from rich.markdown import Markdown
from rich.panel import Panel
from rich.spinner import Spinner
from rich.text import Text

from kern.agent.request import Request
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import dump, shown, to_json_value
from kern.run.event import (
    FollowupsCompletedEvent,
    ReasoningContentDeltaEvent,
    RunCancelledEvent,
    RunCompletedEvent,
    RunContentEvent,
    RunContentVoidedEvent,
    RunErrorEvent,
    RunOutputEvent,
    RunPausedEvent,
    RunResumedEvent,
    ToolCallCompletedEvent,
    ToolCallErrorEvent,
    ToolCallStartedEvent,
)
from kern.run.input import RunInput
from kern.run.message import Citations
from kern.run.printable import one_line, printable
from kern.run.tool import ToolExecution

THINKING = frozenset({"think", "thinking"})
"""The tags of models' thoughts, which are shown where the text is Markdown."""

# How much of a value in a line, and of thoughts that are not shown in full, in characters.
_VALUE, _THOUGHT = 60, 1000


@dataclass(slots=True)
class View:
    """What is shown of a run.

    Attributes:
        name: who answers.
        question: what was asked; None to show no such panel.
        markdown: whether the answer is Markdown; None where it was not said: then it is shown as
            that, with its lines as they are.
        tags: the tags that are shown where it is.
        thoughts: whether what the model thinks is shown.
        all_thoughts: whether all of it is, however long.
        took: whether the time is.
        children: whether the answers of other agents are, to which tool calls have gone.
        answer: the answer so far: text, or a value.
        thought: what the model thought.
        calls: the tool calls, by their id.
        sources: what the answer rests on.
        followups: what may be asked next.
        error: what went wrong.
        waits: what the run waits for.
        is_cancelled: whether it was cancelled.
        began: when, of :func:`time.monotonic`.
        seconds: how long it took, once it has ended.
    """

    name: str = "Agent"
    question: str | None = None
    markdown: bool | None = None
    tags: Collection[str] = THINKING
    thoughts: bool = True
    all_thoughts: bool = False
    took: bool = True
    children: bool = False
    answer: object = ""
    thought: str = ""
    calls: dict[str, ToolExecution] = field(default_factory=dict)
    sources: list[tuple[str, str]] = field(default_factory=list)
    followups: list[str] = field(default_factory=list)
    error: str | None = None
    waits: list[str] = field(default_factory=list)
    is_cancelled: bool = False
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None

    def take(self, event: RunOutputEvent) -> None:
        """Take in what has happened."""
        match event:
            case RunContentEvent():
                self.answer = shown(self.answer) + event.content
            case RunContentVoidedEvent():
                self.answer = shown(self.answer).removesuffix(event.content)
            case ToolCallStartedEvent() | ToolCallCompletedEvent() | ToolCallErrorEvent():
                self.calls[event.tool.tool_call_id] = event.tool
            case ReasoningContentDeltaEvent():
                self.thought += event.reasoning_content or ""
            case RunCompletedEvent():
                if event.content_type != "str":
                    self.answer = event.content
                self.thought = event.reasoning_content or self.thought
                self._cite(event.citations)
                self.seconds = None if event.metrics is None else event.metrics.duration
            case RunCancelledEvent():
                self.is_cancelled = True
            case RunErrorEvent():
                self.error = event.content or ""
            case RunResumedEvent():
                self.error = None
            case RunPausedEvent():
                self.waits = [_called(each) for each in event.tools]
            case FollowupsCompletedEvent():
                self.followups = [*event.followups]

    def take_run(self, run: RunOutput) -> None:
        """Take in a run as it stands."""
        if run.content is not None and run.content != run.error:
            self.answer = run.content
        self.thought = run.reasoning_content or self.thought
        self.calls |= {each.tool_call_id: each for each in run.tools}
        self._cite(run.citations)
        self.followups = [*run.followups]
        self.error = (run.error or "") if run.status is RunStatus.error else None
        self.is_cancelled = run.status is RunStatus.cancelled
        self.waits = [_called(each.tool_execution) for each in run.active_requirements]
        self.seconds = run.metrics.duration

    def panels(self, *, ended: bool = True) -> Iterator[RenderableType]:
        """Yield what is to be shown, from the question on.

        Args:
            ended: whether the run has; else what is not there yet is not missed.
        """
        if self.question is not None:
            yield _panel("Message", Text(printable(self.question)), "cyan")
        if self.thoughts and self.thought:
            cut = self.thought if self.all_thoughts else _cut(self.thought)
            yield _panel("Thinking", Text(printable(cut), style="dim"), "green")
        if lines := [f"• {_called(each)}" for each in self.calls.values() if not each.is_paused]:
            yield _panel("Tool Calls", Text("\n".join(lines)), "yellow")
        if self.children:
            yield from map(_answer_of_child, self._child_calls())
        if self.answer not in (None, ""):
            yield _panel(f"Response{self._time()}", self._answer(), "blue")
        elif ended and self.error is None and not self.waits:
            title = "Cancelled" if self.is_cancelled else "No response"
            yield _panel(f"{title}{self._time()}", Text(""), "blue")
        if self.waits:
            asked = "\n".join(f"• {each}" for each in self.waits)
            yield _panel("Waits for a person", Text(asked), "magenta")
        if self.sources:
            lines = [f"{n}. {_line(title)} {_line(url)}" for n, (title, url) in self._numbered()]
            yield _panel("Citations", Text("\n".join(lines)), "green")
        if self.followups:
            lines = [f"• {_line(each)}" for each in self.followups]
            yield _panel("Follow-ups", Text("\n".join(lines)), "green")
        if self.error is not None:
            yield _panel("Error", Text(printable(self.error)), "red")

    def _child_calls(self) -> list[ToolExecution]:
        return [each for each in self.calls.values() if each.child_run_id and each.result]

    def _cite(self, cited: Citations | None) -> None:
        urls = () if cited is None else cited.urls
        self.sources = [*dict.fromkeys((each.title or each.url, each.url) for each in urls)]

    def _numbered(self) -> Iterator[tuple[int, tuple[str, str]]]:
        return enumerate(self.sources, 1)

    def _time(self) -> str:
        seconds = self.seconds
        if seconds is None:
            seconds = time.monotonic() - self.began
        return f" ({seconds:.1f}s)" if self.took else ""

    def _answer(self) -> RenderableType:
        if not isinstance(self.answer, str):
            return JSON(dump(to_json_value(self.answer)))
        text = printable(self.answer)
        if self.markdown is False:
            return Text(text)
        for tag in self.tags:  # Else they would be taken for HTML, and left out.
            for each in (tag, f"/{tag}"):
                text = text.replace(f"<{each}>", f"&lt;{each}&gt;")
        return Markdown(text if self.markdown else text.replace("\n", "  \n"))


async def show_events(
    view: View, events: AsyncGenerator[RunOutputEvent, None], console: Console
) -> None:
    """Show a run while it executes, and as it ended.

    Args:
        view: what is shown.
        events: the run's events.
        console: where.
    """
    own = None
    try:
        with _live(console, view) as live:
            async with aclosing(events):
                async for event in events:
                    own = own or event.run_id  # The first event is the run's own.
                    if event.run_id != own:
                        continue  # It is a child's.
                    view.take(event)
                    if panels := [*view.panels(ended=False)]:
                        live.update(Group(*panels))
    finally:
        console.print(*view.panels(), sep="\n")


async def show_run(view: View, run: Awaitable[RunOutput], console: Console) -> None:
    """Show a run once it has ended.

    Args:
        view: what is shown.
        run: what executes it.
        console: where.
    """
    try:
        with _live(console, view):
            view.take_run(await run)
    except Exception as error:
        if isinstance(ended := getattr(error, "run_output", None), RunOutput):
            view.take_run(ended)
        raise
    finally:
        console.print(*view.panels(), sep="\n")


def question_of(request: Request) -> str:
    """Return the text of what a run is asked."""
    attachments = request.attachments
    given = RunInput.from_json(request.run.input) if attachments is None else attachments.given
    return "\n\n".join(message.text for message in given.messages)


def _live(console: Console, view: View) -> Live:
    waiting = Spinner("dots", Text(f"{view.name} is thinking", style="dim"))
    before = [*view.panels(ended=False), waiting]
    return Live(Group(*before), console=console, refresh_per_second=12, transient=True)


def _panel(title: str, content: RenderableType, style: str) -> Panel:
    return Panel(content, title=title, title_align="left", border_style=style)


def _answer_of_child(call: ToolExecution) -> Panel:
    """Return what another agent has answered to a tool call."""
    who = call.tool_args.get("member_id", call.tool_name)
    return _panel(f"Response of {_line(str(who))}", Text(printable(call.result or "")), "blue")


def _called(call: ToolExecution) -> str:
    """Return a tool call in a line, with the time that it took."""
    given = ", ".join(f"{key}={_line(repr(value))}" for key, value in call.tool_args.items())
    took = "" if call.duration is None else f" ({call.duration:.1f}s)"
    failed = " failed" if call.tool_call_error else ""
    return f"{_line(call.tool_name)}({given}){failed}{took}"


def _line(text: str) -> str:
    return one_line(text, _VALUE)


def _cut(text: str) -> str:
    return text if len(text) <= _THOUGHT else text[:_THOUGHT] + "…"
