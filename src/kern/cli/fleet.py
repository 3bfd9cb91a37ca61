"""How ``kern db status`` shows the fleet: who executes the runs, or why nobody does."""

from collections.abc import Iterator, Mapping
from typing import cast

from rich.text import Text

from kern.cli.terminal import cell
from kern.dispatch.explanation import Reason

_FINE = (Reason.executing, Reason.due)


def fleet_rows(values: Mapping[str, object]) -> Iterator[tuple[str, Text]]:
    """Yield for people what :func:`~kern.operations.fleet.fleet_status` has found."""
    workers = cast(dict[str, int], values["workers"])
    slots = f", {workers['executing']:,} of {workers['slots']:,} slots in use"
    gone = f", {workers['gone']:,} gone" if workers["gone"] else ""
    alive = f"{workers['alive']:,} alive{slots if workers['alive'] else ''}"
    yield "Workers", Text(f"{alive}{gone}", "" if workers["alive"] else "yellow")
    for number, why in enumerate(cast(list[dict[str, object]], values["why"])):
        is_one = why["runs"] == 1
        runs = "1 run" if is_one else f"{why['runs']:,} runs"
        first = f"{'' if is_one else 'the first is '}{why['first_run_id']}"
        text = f"{runs} of the agent {why['agent_id']!r} ({first}): {why['text']}"
        style = "" if why["reason"] in _FINE else "yellow"
        yield "" if number else "Why", cell(text, style)
