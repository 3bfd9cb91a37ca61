"""Runs as they stand at one moment, with who executes each of them, or why nobody does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kern.db.base import Store
from kern.db.processes import KEPT, Process
from kern.dispatch.explanation import Reason, Step, Why, explain, step_under_way
from kern.errors import JournalError
from kern.run.base import RunStatus
from kern.run.duration import format_duration
from kern.run.record import JournalRow, RunRecord


@dataclass(frozen=True, slots=True)
class Look:
    """Runs, and what there is to say about those that have not ended.

    Attributes:
        now: the moment, by the database's clock.
        records: the runs.
        whys: who executes each, or why nobody does.
        steps: what those that execute are doing, where that was asked for.
        fleet: the processes that are known.
    """

    now: datetime
    records: Sequence[RunRecord]
    whys: dict[str, Why] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    fleet: Sequence[Process] = ()

    def why(self, run_id: str) -> str:
        """Return who executes a run, or why nobody does; nothing where it has ended."""
        why, step = self.whys.get(run_id), self.step(run_id)
        if why is None:
            return ""
        return f"{step}, {why.text}" if step and why.reason is Reason.executing else why.text

    def step(self, run_id: str) -> str:
        """Return what a run is doing, and for how long; nothing where that is not known."""
        step = self.steps.get(run_id)
        if step is None:
            return ""
        return f"{step.text} for {format_duration(self.now - step.since)}"

    def why_json(self, run_id: str) -> dict[str, object] | None:
        """Return the same as JSON values."""
        why = self.whys.get(run_id)
        return None if why is None else why_json(why)

    def step_json(self, run_id: str) -> dict[str, object] | None:
        """Return what a run is doing as JSON values."""
        step = self.steps.get(run_id)
        return None if step is None else {"text": step.text, "since": step.since.isoformat()}


def why_json(why: Why) -> dict[str, object]:
    """Return why a run goes on, or does not, as JSON values."""
    return {
        "reason": why.reason.value,
        "text": why.text,
        "since": None if why.since is None else why.since.isoformat(),
        "until": None if why.until is None else why.until.isoformat(),
        "run_id": why.run_id,
        "executor": why.executor,
    }


async def look_at(store: Store, records: Sequence[RunRecord], *, with_steps: bool = False) -> Look:
    """Look at runs, in at most four statements.

    Args:
        store: the database.
        records: the runs.
        with_steps: whether to find what those that execute are doing.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    now = await store.overview.now()
    live = {each.run_id: each for each in records if not each.status.is_terminal}
    if not live:
        return Look(now, records)
    standings = {each.run_id: each for each in await store.overview.standings([*live])}
    fleet = await store.processes.find(KEPT)
    whys = {
        run_id: why
        for run_id, standing in standings.items()
        if (why := explain(live[run_id], standing, fleet)) is not None
    }
    steps: dict[str, Step] = {}
    running = [each for each in live.values() if each.status is RunStatus.running]
    if with_steps and running:
        rows = by_run(await store.overview.last_steps([each.run_id for each in running]))
        for each in running:
            standing_of = standings.get(each.run_id)
            begun_at = None if standing_of is None else standing_of.begun_at
            step = _step(rows.get(each.run_id, []), begun_at or each.started_at or now)
            if step is not None:
                steps[each.run_id] = step
    return Look(now, records, whys, steps, fleet)


def by_run(rows: Iterable[JournalRow]) -> dict[str, list[JournalRow]]:
    """Return the rows of each run."""
    found: dict[str, list[JournalRow]] = {}
    for row in rows:
        found.setdefault(row.run_id, []).append(row)
    return found


def _step(rows: Sequence[JournalRow], begun_at: datetime) -> Step | None:
    try:
        return step_under_way(rows, begun_at)
    except JournalError:  # The timeline says what is wrong with it.
        return None
