"""Runs that have ended, or events of runs, in the terminal."""

from collections.abc import AsyncIterable, Iterable

from rich.console import Console

from kern.agent.display import View
from kern.run.agent import RunOutput
from kern.run.event import RunOutputEvent


def pprint_run_response(
    run_response: RunOutput | Iterable[RunOutputEvent | RunOutput],
    markdown: bool = False,
    show_time: bool = False,
) -> None:
    """Show a run, or the events of one, in the terminal.

    Args:
        run_response: the run; or its events, as ``run(..., stream=True)`` yields them.
        markdown: whether the answer is Markdown.
        show_time: whether the time is shown that it took.
    """
    view = View(markdown=markdown, took=show_time)
    for each in [run_response] if isinstance(run_response, RunOutput) else run_response:
        _take(view, each)
    Console().print(*view.panels(), sep="\n")


async def apprint_run_response(
    run_response: RunOutput | AsyncIterable[RunOutputEvent | RunOutput],
    markdown: bool = False,
    show_time: bool = False,
) -> None:
    """Show a run, or the events of one, in the terminal.

    Args:
        run_response: the run; or its events, as ``arun(..., stream=True)`` yields them.
        markdown: see :func:`pprint_run_response`, as for the next.
        show_time: whether the time is shown that it took.
    """
    if isinstance(run_response, RunOutput):
        pprint_run_response(run_response, markdown, show_time)
        return
    view = View(markdown=markdown, took=show_time)
    async for each in run_response:
        _take(view, each)
    Console().print(*view.panels(), sep="\n")


def _take(view: View, each: RunOutputEvent | RunOutput) -> None:
    view.take_run(each) if isinstance(each, RunOutput) else view.take(each)
