"""What is known of a soak once it is over: of each run, and of what disturbed it."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from kern.run.base import RunStatus
from tests.soak.database import Change, Commit, Stored
from tests.soak.ledger import Line, read_ledger
from tests.soak.load import Asked
from tests.soak.processes import HEARTBEAT

ENDS = {status.value for status in RunStatus if status.is_terminal}

_ERROR = re.compile(r"(?:\S+ \S+ ERROR|(?=\S*(?:Error|Exception))) ?(.*)")
_DETAIL = re.compile(r"\d+")

# What a process had sent before it was killed or stopped may be done this long after.
_LATE = 2.0

# What one process does and another writes down stands in the ledger this much later at most. A
# model call was on the wire when its run was cancelled, and the model's server came to read it 2 to
# 11 ms after the run's end, twelve times in 125,000 steps on a machine with too much to do.
LATE_LINE = 0.25


@dataclass(slots=True)
class Run:
    """All that is known of a run.

    Attributes:
        asked: as its users see it.
        changes: what became of it, as the database observed it.
        commits: the finished steps in its journal.
        stored: what became of it in the end, or None where it is lost.
        lines: what the ledger says of it.
        pids: which process executed which attempt, as far as that is known.
    """

    asked: Asked
    changes: list[Change] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    stored: Stored | None = None
    lines: list[Line] = field(default_factory=list)
    pids: dict[int, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its run id."""
        return self.asked.plan.run_id

    @property
    def came(self) -> bool:
        """Whether it was accepted, be it that nobody has been told so."""
        return any(change.status != "PENDING CANCEL" for change in self.changes)

    @property
    def accepted(self) -> Line | None:
        """What was written when a submitter first knew that it was accepted."""
        return next((line for line in self.lines if line.what == "accepted"), None)

    @property
    def submitted(self) -> Line | None:
        """What was written before it was first submitted."""
        return next((line for line in self.lines if line.what == "submit"), None)

    @property
    def submitters(self) -> set[int]:
        """The processes that submitted it."""
        return {line.pid for line in self.lines if line.what == "submit"}

    def submitting(self, until: float) -> tuple[float, float]:
        """Return the time in which its submitters waited for an answer, and a little more.

        Args:
            until: the end, where none of them has had one.
        """
        assert self.submitted is not None
        answers = [line.at for line in self.lines if line.what == "accepted"]
        return self.submitted.at - LATE_LINE, max(answers, default=until) + LATE_LINE

    @property
    def begun_where_submitted(self) -> bool:
        """Whether the statement that accepted it was its first claim."""
        return bool(self.changes) and self.changes[0].status == "RUNNING"

    @property
    def claims(self) -> dict[int, float]:
        """When each attempt began."""
        return {each.attempt: each.at for each in self.changes if each.status == "RUNNING"}

    @property
    def end(self) -> Change | None:
        """Its end, if it has come to one."""
        return next((each for each in self.changes if each.status in ENDS), None)

    @property
    def steps(self) -> list[Line]:
        """The beginnings of its steps."""
        return [line for line in self.lines if line.what in ("begin", "begin-once", "model")]


class Takeover(NamedTuple):
    """A later attempt went on with a run.

    Attributes:
        run: the run.
        attempt: the later attempt.
        cause: what had happened to the earlier one; None where nobody knows.
        seconds: the time from that to the later attempt.
    """

    run: Run
    attempt: int
    cause: str | None
    seconds: float


class Weather:
    """What disturbed the runs, by what it did to whom.

    Attributes:
        counts: how often each thing happened.
        workers: the processes that execute runs.
    """

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.workers: set[int] = set()
        self._killed: dict[int, float] = {}
        self._stopped: dict[int, list[list[float]]] = {}
        self._away: list[list[float]] = []
        self._cuts: list[float] = []
        self._starved: dict[int, list[float]] = {}

    def take(self, line: Line) -> None:
        """Take a line of the ledger in."""
        self.counts[line.what] += 1
        match line.what:
            case "start":
                self.workers.add(line.pid)
            case "kill":
                self._killed.setdefault(line.pid, line.at)
            case "stop":
                self._stopped.setdefault(line.pid, []).append([line.at, line.at])
            case "continue":
                self._stopped[line.pid][-1][1] = line.at
            case "database-stops":
                self._away.append([line.at, float("inf")])
            case "database-starts":
                self._away[-1][1] = line.at
            case "starved":
                self._starved.setdefault(line.pid, []).append(line.at)
            case "cut":
                self._cuts.append(line.at)

    def cause(self, pid: int | None, begun: float, over: float) -> tuple[str, float] | None:
        """Return what could have ended an attempt in this time, and when that happened.

        Args:
            pid: the process that executed it, where that is known.
            begun: when the attempt began.
            over: when a later one began.
        """
        killed = [pid] if pid is not None else list(self._killed)
        for each in killed:
            if begun - _LATE <= self._killed.get(each, -1) <= over:
                return "kill", self._killed[each]
        stopped = [pid] if pid is not None else list(self._stopped)
        for each in stopped:
            for since, until in self._stopped.get(each, ()):
                if since <= over and until >= begun:
                    return "stop", since
        for since, until in self._away:
            if since <= over and until + HEARTBEAT + _LATE >= begun:
                return "restart", since
        if any(begun <= each <= over + _LATE for each in self._starved.get(pid or 0, ())):
            return "starved", begun
        if self.cut_between(begun - _LATE, over):
            return "cut", begun
        return None

    def cut_between(self, since: float, until: float) -> bool:
        """Say whether connections were cut in this time."""
        return bisect_left(self._cuts, since) < bisect_left(self._cuts, until)


@dataclass(slots=True)
class Facts:
    """The runs and the weather.

    Attributes:
        runs: the runs, in the order in which they were accepted.
        weather: what disturbed them.
        complaints: what the workers' logs say of errors, and how often.
        strays: runs that the database knows and nobody has submitted.
    """

    runs: list[Run]
    weather: Weather
    complaints: Counter[str]
    strays: list[str]

    @property
    def takeovers(self) -> Iterator[Takeover]:
        """The attempts that went on with the run of another one that was lost."""
        for run in self.runs:
            begun = list(run.claims.items())
            for (attempt, since), (later, at) in pairwise(begun):
                cause, happened = self._cause(run, attempt, since, at)
                yield Takeover(run, later, cause, at - happened)

    def _cause(self, run: Run, attempt: int, begun: float, over: float) -> tuple[str | None, float]:
        """Return what ended an attempt, and when that happened.

        Where a connection is cut in the moment of a submit, its answer is lost, and nobody knows
        of the attempt that was to begin there.
        """
        pid = run.pids.get(attempt)
        unheard = pid is None and attempt == 1 and run.begun_where_submitted
        if unheard and len(submitters := run.submitters & self.weather.workers) == 1:
            (pid,) = submitters
        cause, happened = self.weather.cause(pid, begun, over) or (None, begun)
        if cause == "cut" and unheard and self.weather.cut_between(*run.submitting(over)):
            cause = "unheard"
        return cause, happened


def gather(
    asked: Iterable[Asked],
    changes: dict[str, list[Change]],
    commits: dict[str, list[Commit]],
    stored: dict[str, Stored],
    ledger: Path,
    logs: Path,
) -> Facts:
    """Bring together what everybody says."""
    runs = {
        each.plan.run_id: Run(
            each,
            changes.get(each.plan.run_id, []),
            commits.get(each.plan.run_id, []),
            stored.get(each.plan.run_id),
        )
        for each in asked
    }
    weather = Weather()
    for line in read_ledger(ledger):
        if line.run == "-" or line.what == "kill":
            weather.take(line)
        elif (run := runs.get(line.run)) is not None:
            run.lines.append(line)
            if line.what == "started":
                run.pids[line.attempt] = line.pid
    return Facts(
        sorted(runs.values(), key=_number),
        weather,
        _read_logs(logs),
        sorted(stored.keys() - runs.keys()),
    )


def _number(run: Run) -> float:
    return float("inf") if run.accepted is None else run.accepted.number


def _read_logs(logs: Path) -> Counter[str]:
    """Return what the workers complained about, without what differs each time."""
    complaints = Counter[str]()
    for path in logs.iterdir():
        with path.open() as file:
            for text in file:
                if (said := _ERROR.match(text)) is not None:
                    complaints[_DETAIL.sub("…", said[1])] += 1
    return complaints
