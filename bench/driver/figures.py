"""Makes medians, spreads, ratios and goals of what the rounds have found."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.driver.plan import HANDWRITTEN, KERN
from bench.driver.rounds import Result


@dataclass(frozen=True)
class Figure:
    """A figure, as the report shows it.

    Attributes:
        key: its name in the results.
        title: what the report calls it.
        unit: its unit.
        factor: what a sample is multiplied with to be in that unit.
        tail: whether the 99th percentile is shown.
    """

    key: str
    title: str
    unit: str = "ms"
    factor: float = 1000.0
    tail: bool = False


@dataclass(frozen=True)
class Cell:
    """A figure of one contender, in the unit of the figure.

    Attributes:
        median: the median of the rounds' medians.
        least: the least of them.
        most: the greatest of them.
        tail: the 99th percentile of all samples.
        ratio: the median of the ratios to kern, each within a round; None without kern.
        note: what is to be said of it.
    """

    median: float
    least: float
    most: float
    tail: float
    ratio: float | None
    note: str = ""


@dataclass(frozen=True)
class Goal:
    """A goal, and whether it is reached.

    Attributes:
        figure: what is measured.
        goal: what was set.
        measured: what came out.
        reached: None where it was not measured.
    """

    figure: str
    goal: str
    measured: str
    reached: bool | None


class Findings:
    """What was found."""

    def __init__(self, results: list[Result]) -> None:
        """Take the results of the rounds."""
        self._results = results

    def cell(self, contender: str, figure: Figure) -> Cell | None:
        """Return a figure of a contender, or None where there is none."""
        rounds = self._rounds(contender, figure.key)
        if not rounds:
            return None
        medians = [each * figure.factor for each in rounds.values()]
        samples = sorted(self._samples(contender, figure.key))
        return Cell(
            statistics.median(medians),
            min(medians),
            max(medians),
            samples[int(0.99 * (len(samples) - 1) + 0.5)] * figure.factor,
            self.ratio((contender, figure.key), (KERN, figure.key)),
            self._note(contender, figure.key),
        )

    def reason(self, contender: str, figure: str) -> str | None:
        """Return why a contender has no such figure."""
        return next(
            (str(result["reason"]) for result in self._of(contender, figure) if "reason" in result),
            None,
        )

    def ratio(self, above: tuple[str, str], below: tuple[str, str]) -> float | None:
        """Return the median over the rounds of one contender's figure by another's."""
        ratios = self.ratios(above, below)
        return statistics.median(ratios) if ratios else None

    def ratios(self, above: tuple[str, str], below: tuple[str, str]) -> list[float]:
        """Return one contender's figure by another's, round by round."""
        ours, theirs = self._rounds(*above), self._rounds(*below)
        return [ours[number] / theirs[number] for number in ours if theirs.get(number)]

    def beyond(self, above: tuple[str, str], below: tuple[str, str]) -> dict[int, float]:
        """Return by how much one contender's figure exceeds another's, by round."""
        ours, theirs = self._rounds(*above), self._rounds(*below)
        return {number: ours[number] - theirs[number] for number in ours if number in theirs}

    def median(self, contender: str, figure: str) -> float | None:
        """Return the median of the rounds' medians, as it was measured."""
        rounds = self._rounds(contender, figure)
        return statistics.median(rounds.values()) if rounds else None

    def tail(self, contender: str, figure: str) -> float | None:
        """Return the 99th percentile of all samples, as they were measured."""
        samples = sorted(self._samples(contender, figure))
        return samples[int(0.99 * (len(samples) - 1) + 0.5)] if samples else None

    def loaded(self, contender: str, figure: str) -> list[str]:
        """Return the provider SDKs that were imported."""
        return [str(name) for each in self._of(contender, figure) for name in each["loaded"]]

    def _of(self, contender: str, figure: str) -> Iterable[Result]:
        return (
            each
            for each in self._results
            if each["contender"] == contender and each["figure"] == figure
        )

    def _rounds(self, contender: str, figure: str) -> dict[int, float]:
        return {
            each["round"]: statistics.median(each["samples"])
            for each in self._of(contender, figure)
            if each.get("samples")
        }

    def _samples(self, contender: str, figure: str) -> list[float]:
        return [
            sample for each in self._of(contender, figure) for sample in each.get("samples", ())
        ]

    def _note(self, contender: str, figure: str) -> str:
        for each in self._of(contender, figure):
            if "in_flight" in each:
                return f"{each['in_flight']} at a time"
            if each.get("by") == "restart":
                return "its own restart"
            if "runs" in each:
                return f"{each['runs']:,} runs"
        return ""


def goals(findings: Findings) -> list[Goal]:
    """Return the goals of the benchmarks, each with what was measured."""
    return [
        *(
            _ratio(findings, *goal)
            for goal in (
                _more("agno_postgres", "throughput", 10, "10 times agno's"),
                _more("pydantic_dbos", "throughput", 8, "8 times pydantic-ai's on DBOS"),
                _more("openai_agents", "throughput", 1, "more than openai-agents' in memory"),
                _more(HANDWRITTEN, "throughput", 0.8, "at least 0.8 of a program written by hand"),
                _as_many("kern_sqlite", "SQLite"),
                _as_many("kern_memory", "memory"),
                _less(
                    "processor time a run, 32 at a time",
                    (KERN, "processor_32"),
                    ("bare", "processor"),
                    1.5,
                    "at most 1.5 times the bare client's call",
                ),
                _less(
                    "time to submit, p50",
                    (KERN, "submit"),
                    ("agno_postgres", "submit"),
                    0.15,
                    "at most 0.15 of agno's",
                ),
                _less(
                    "time to submit, p50",
                    (KERN, "submit"),
                    ("commit", "commit"),
                    3,
                    "at most 3 single-row commits",
                ),
                _less(
                    "submit to first model call, idle",
                    (KERN, "start"),
                    ("commit", "commit"),
                    10,
                    "under 10 single-row commits",
                ),
            )
        ),
        _cancel(findings),
        _memory(findings),
        _flat(findings, "poll_10000", "poll_1", "poll at 10,000 runs a session to the first"),
        _flat(findings, "poll_table", "poll_alone", "poll with a crowded table to an empty one"),
        _steps(findings),
        _imports(findings),
    ]


_Goal = tuple[str, tuple[str, str], tuple[str, str], str, Callable[[float], bool]]


def _more(peer: str, figure: str, times: float, text: str) -> _Goal:
    title = "durable background runs/s on PostgreSQL"
    return title, (KERN, figure), (peer, figure), text, lambda ratio: ratio >= times


def _as_many(contender: str, name: str) -> _Goal:
    title = f"durable background runs/s on {name}"
    above, below = (contender, "throughput"), (KERN, "throughput")
    return title, above, below, "as many as on PostgreSQL", lambda ratio: ratio >= 1


def _less(
    title: str, above: tuple[str, str], below: tuple[str, str], times: float, text: str
) -> _Goal:
    return title, above, below, text, lambda ratio: ratio <= times


def _ratio(
    findings: Findings,
    title: str,
    above: tuple[str, str],
    below: tuple[str, str],
    text: str,
    holds: Callable[[float], bool],
) -> Goal:
    ratio = findings.ratio(above, below)
    if ratio is None:
        return Goal(title, text, "not measured", None)
    ratios = findings.ratios(above, below)
    measured = f"{ratio:.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
    return Goal(title, text, measured, holds(ratio))


def _cancel(findings: Findings) -> Goal:
    title, text = "cancel, elsewhere, to connection closed", "p99 under 100 ms"
    tail = findings.tail(KERN, "cancel_elsewhere_closed")
    if tail is None:
        return Goal(title, text, "not measured", None)
    return Goal(title, text, f"p99 {1000 * tail:.1f} ms", tail < 0.1)


def _memory(findings: Findings) -> Goal:
    title = "memory a run in flight"
    text = "at most 40 KiB above the bare client's call in flight"
    ours, floor = findings.median(KERN, "memory"), findings.median("bare", "memory")
    if ours is None or floor is None:
        return Goal(title, text, "not measured", None)
    return Goal(title, text, f"{ours - floor:+.1f} KiB", ours - floor <= 40)


def _flat(findings: Findings, above: str, below: str, title: str) -> Goal:
    text = "1.0, within noise (at most 1.1)"
    ratios = findings.ratios((KERN, above), (KERN, below))
    ratio = findings.ratio((KERN, above), (KERN, below))
    if ratio is None:
        return Goal(title, text, "not measured", None)
    measured = f"{ratio:.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
    return Goal(title, text, measured, ratio <= 1.1)


def _steps(findings: Findings) -> Goal:
    title = "processor time of a run's turns 355 to 395 to its turns 5 to 45"
    text = "at most twice, beyond what is on the wire"
    early, late = (
        findings.beyond((KERN, figure), (HANDWRITTEN, figure))
        for figure in ("steps_early", "steps_late")
    )
    ratios = [late[number] / early[number] for number in early if number in late]
    if not ratios:
        return Goal(title, text, "not measured", None)
    ratio = statistics.median(ratios)
    measured = f"{ratio:.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
    return Goal(title, text, measured, ratio <= 2)


def _imports(findings: Findings) -> Goal:
    title, text = "`import kern`", "under 0.25 s, and no provider SDK imported before it is used"
    seconds = findings.median(KERN, "import_kern")
    whole = findings.median(KERN, "import")
    if seconds is None or whole is None:
        return Goal(title, text, "not measured", None)
    loaded = findings.loaded(KERN, "import") + findings.loaded(KERN, "import_kern")
    sdks = ", ".join(sorted(set(loaded))) or "no SDK"
    measured = f"{seconds:.3f} s; with Agent, PostgresDb and OpenAIResponses {whole:.3f} s; {sdks}"
    return Goal(title, text, measured, seconds < 0.25 and not loaded)
