"""What ``kern runs watch RUN`` prints while a run goes on: for a terminal, a file or a program."""

import json
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text
from typing_extensions import override

from kern.cli.terminal import cell
from kern.dispatch.explanation import Reason
from kern.operations.looking import Look
from kern.operations.timeline import describe
from kern.run.codec import dump
from kern.run.duration import format_duration
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.printable import printable

# What a terminal shows besides the text, in lines, and besides what the run does, in characters.
_AROUND = 4

_FAILED = (RunEvent.run_error, RunEvent.tool_call_error, RunEvent.run_cancelled)


class Following(Protocol):
    """Tells what happens in a run, from its first event to its last."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def tell(self, event: RunOutputEvent) -> None:
        """Show an event."""

    def standing(self, look: Look, run_id: str) -> None:
        """Show who executes the run, or why nobody does."""


class JsonLines(Following):
    """Prints an object a line: the events, and how the run stands where that is otherwise."""

    def __init__(self) -> None:
        self._stands: dict[str, object] = {}

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave nothing open: each line is whole."""

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def tell(self, event: RunOutputEvent) -> None:
        typer.echo(dump(event.to_dict()))

    @override
    def standing(self, look: Look, run_id: str) -> None:
        """Print ``why`` and ``step``, whenever they are others."""
        [record] = look.records
        stands: dict[str, object] = {"why": look.why_json(run_id), "step": look.step_json(run_id)}
        if stands != self._stands and not record.status.is_terminal:
            typer.echo(json.dumps({"run_id": run_id, "status": record.status.value, **stands}))
        self._stands = stands


class PlainText(Following):
    """Prints text as it comes, and lines between it.

    Args:
        shown: where to.
        began: when the run was accepted, in seconds since 1970.
    """

    def __init__(self, shown: Console, began: float) -> None:
        self._console = shown
        self._began = began
        self._text = ""
        self._reason: Reason | None = None

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @override
    def tell(self, event: RunOutputEvent) -> None:
        detail = describe(event)
        match event.event:
            case RunEvent.run_content:
                self._add(event.content or "")
                return
            case RunEvent.run_content_completed:
                return
            case RunEvent.model_request_completed:
                self._end()
                detail = ""
            case RunEvent.run_content_voided:
                detail = "what was written of this answer is void"
            case RunEvent.run_resumed:
                detail = "by another attempt"
            case RunEvent.run_completed:
                detail = ""
        style = "red" if event.event in _FAILED else "dim"
        after = format_duration(timedelta(seconds=event.created_at - self._began))
        line = Text(f"{event.seq:>4} {after:>7}  ", style)
        self._line(line.append(cell(f"{event.event} {detail}")))

    @override
    def standing(self, look: Look, run_id: str) -> None:
        """Show why nobody executes the run, whenever that is for another reason."""
        why = look.whys.get(run_id)
        reason = None if why is None else why.reason
        if why is not None and reason not in (self._reason, Reason.executing):
            self._line(cell(why.text, "yellow"))
        self._reason = reason

    def _add(self, piece: str) -> None:
        self._text += piece
        self._print(piece)

    def _end(self) -> None:
        """Have the text that was shown end with a line."""
        shown, self._text = self._text, ""
        if shown and not shown.endswith("\n"):
            self._console.print()

    def _line(self, line: Text) -> None:
        self._end()
        self._console.print(line, soft_wrap=True)

    def _print(self, text: str) -> None:
        self._console.print(Text(printable(text)), end="", soft_wrap=True)


class LiveText(PlainText):
    """The same in a terminal: what is being written is below all else, with a spinner."""

    def __init__(self, shown: Console, began: float) -> None:
        super().__init__(shown, began)
        self._live = Live(console=shown, refresh_per_second=8, transient=True)
        self._spinner = Spinner("dots")

    @override
    def __enter__(self) -> Self:
        self._live.start()
        self._show()
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
        self._live.stop()

    @override
    def standing(self, look: Look, run_id: str) -> None:
        """Show beside the spinner what the run is doing, or why nobody executes it."""
        most = max(20, self._console.width - _AROUND)
        self._spinner.update(text=cell(look.why(run_id), "dim", most))

    @override
    def _add(self, piece: str) -> None:
        self._text += piece
        self._show()

    @override
    def _end(self) -> None:
        text, self._text = self._text, ""
        self._show()
        self._live.refresh()
        if text:
            self._console.print(Text(printable(text).removesuffix("\n")))

    def _show(self) -> None:
        # Of a text that is longer than the screen its end is shown.
        width, height = self._console.size
        lines = Text(printable(self._text[-width * height :])).wrap(self._console, width)
        self._live.update(Group(*lines[-(height - _AROUND) :], self._spinner))
