"""An agent's answer in the terminal."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.panel import Panel
from rich.spinner import Spinner
from rich.text import Text

from kern.agent.definition import AnyAgent
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.input import RunInput
from kern.run.printable import printable


async def show(
    agent: AnyAgent,
    given: RunInput,
    events: AsyncGenerator[RunOutputEvent, None],
    *,
    live: bool,
) -> None:
    """Show a run.

    Args:
        agent: who answers.
        given: what was asked.
        events: the run's events.
        live: show the answer while it is written, in a terminal; else only at its end.
    """
    console = Console()
    question = "\n\n".join(message.text for message in given.messages)
    console.print(
        Panel(Text(printable(question)), title="Message", title_align="left", border_style="cyan")
    )
    answer, started = "", time.monotonic()
    try:
        async with aclosing(events):
            with Live(console=console, refresh_per_second=12, transient=True) as display:
                display.update(Spinner("dots", Text(f"{agent.name} is thinking", style="dim")))
                async for event in events:
                    if event.event is RunEvent.run_content:
                        answer += event.content or ""
                    elif event.event is RunEvent.run_content_voided:
                        answer = answer.removesuffix(event.content or "")
                    if live:
                        display.update(_answer(answer, started, "Response"))
    finally:
        console.print(_answer(answer, started, "Response" if answer else "No response"))


def _answer(text: str, started: float, title: str) -> Panel:
    seconds = time.monotonic() - started
    return Panel(
        Markdown(printable(text)),
        title=f"{title} ({seconds:.1f} s)",
        title_align="left",
        border_style="green",
    )
