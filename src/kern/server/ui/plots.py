"""What happened over a time as plots, each of them also as a table."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kern.db.figures import Tally
from kern.operations.figures import Course, mean, percentile
from kern.operations.wording import dollars, seconds
from kern.run.codec import dump

Value = Callable[[Tally], float | None]


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        moment: when its step begins.
        cells: what happened in it, a text for each series.
    """

    moment: str
    cells: Sequence[str]


class Plot(NamedTuple):
    """What a plot shows.

    Attributes:
        name: its id on the page.
        title: what it is of.
        labels: what its series are of.
        data: the series, as JSON text for the script that draws them.
        rows: the same as a table, in longer steps.
    """

    name: str
    title: str
    labels: Sequence[str]
    data: str
    rows: Sequence[Row]


class _Kind(NamedTuple):
    name: str
    title: str
    unit: str
    series: Sequence[tuple[str, Value]]
    text: Callable[[float], str]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _average(name: str) -> Value:
    return lambda tally: mean(tally, name)


def _rate(per: int, *names: str) -> Value:
    def rate(tally: Tally) -> float | None:
        total = sum(getattr(tally, name) for name in names)
        return total * per / tally.seconds if tally.seconds else None

    return rate


def _within(counts: str, share: float) -> Value:
    return lambda tally: percentile(getattr(tally, counts), share)


_KINDS = (
    _Kind(
        "queue",
        "Runs at a time",
        "",
        [(name.capitalize(), _average(name)) for name in ("executing", "due", "waiting")],
        _number,
    ),
    _Kind(
        "throughput",
        "Runs per minute",
        "",
        [
            (name.capitalize(), _rate(60, name))
            for name in ("submitted", "completed", "failed", "cancelled")
        ],
        _number,
    ),
    _Kind(
        "wait",
        "Wait until a run begins",
        "s",
        [("p50", _within("waits", 0.5)), ("p95", _within("waits", 0.95))],
        seconds,
    ),
    _Kind(
        "duration",
        "Time from begin to end",
        "s",
        [
            ("p50", _within("durations", 0.5)),
            ("p95", _within("durations", 0.95)),
        ],
        seconds,
    ),
    _Kind("cost", "Cost per hour", "$", [("Cost", _rate(3600, "cost"))], dollars),
    _Kind(
        "tokens",
        "Tokens per minute",
        "",
        [("Input", _rate(60, "input_tokens")), ("Output", _rate(60, "output_tokens"))],
        _number,
    ),
)


TITLES = {kind.name: kind.title for kind in _KINDS}
"""What each plot is of, by its name."""


def plots_of(course: Course) -> list[Plot]:
    """Return the plots of what happened over a time."""
    return [_plot(kind, course) for kind in _KINDS]


def _plot(kind: _Kind, course: Course) -> Plot:
    data = {
        "unit": kind.unit,
        "labels": [label for label, _ in kind.series],
        "values": [
            [each.begins_at.timestamp() for each in course.steps],
            *([_rounded(value(each)) for each in course.steps] for _, value in kind.series),
        ],
    }
    rows = [
        Row(
            f"{each.begins_at:%Y-%m-%d %H:%M}",
            [_cell(kind, value(each)) for _, value in kind.series],
        )
        for each in reversed(course.rows)
    ]
    return Plot(kind.name, kind.title, [label for label, _ in kind.series], dump(data), rows)


def _cell(kind: _Kind, value: float | None) -> str:
    return "–" if value is None else kind.text(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
