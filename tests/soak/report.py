"""The figures of a soak, as a table."""

from collections import Counter
from statistics import median, quantiles

from rich.table import Table

from tests.soak.facts import Facts, Run


def figures(facts: Facts, seconds: float, processor: float) -> Table:
    """Return the table.

    Args:
        facts: what is known.
        seconds: how long it took from the first run to the last.
        processor: the processor time of all processes but the database's, in seconds.
    """
    runs, counts = [run for run in facts.runs if run.came], facts.weather.counts
    in_doubt = [run for run in facts.runs if run.accepted is None]
    ends = Counter(run.stored.status for run in runs if run.stored is not None)
    steps = [line for run in runs for line in run.steps]
    distinct = {(line.run, line.turn, line.what, line.place) for line in steps}
    takeovers = list(facts.takeovers)
    causes = Counter(str(each.cause) for each in takeovers)
    kills = [each.seconds for each in takeovers if each.cause == "kill"]
    table = Table("figure", "value", title="The soak")
    for name, value in {
        "runs accepted": len(runs),
        "completed / cancelled / error": f"{ends['COMPLETED']} / {ends['CANCELLED']} / "
        f"{ends['ERROR']}",
        "poisoned / over their time": f"{_of_kind(runs, 'poison')} / {_of_kind(runs, 'slow')}",
        "cancelled before they came": _of_kind(runs, "early"),
        "submitted twice": sum(run.asked.twice for run in runs),
        "submitted in a worker / begun there at once": f"{_in_workers(runs, facts)} / "
        f"{sum(run.begun_where_submitted for run in runs)}",
        "submits that a kill cut short: came / did not": f"{sum(run.came for run in in_doubt)} / "
        f"{sum(not run.came for run in in_doubt)}",
        "sessions": len({run.asked.session_id for run in runs}),
        "steps begun / repeats of steps": f"{len(steps)} / {len(steps) - len(distinct)}",
        "kills / stops / restarts / cuts": f"{counts['kill']} / {counts['stop']} / "
        f"{counts['database-starts']} / {counts['cut']}",
        "workers started": counts["start"],
        "takeovers, by cause": f"{len(takeovers)} {dict(causes)}",
        "time from a kill to the takeover": _spread(kills),
        "time to start": _spread(_times_to_start(runs)),
        "most attempts at a run": max(
            (run.stored.attempt for run in runs if run.stored), default=0
        ),
        "runs a second": f"{len(runs) / seconds:.1f} in {seconds:.0f} s",
        "processor time": f"{processor:.0f} s, {1000 * processor / max(1, len(runs)):.1f} ms a run",
    }.items():
        table.add_row(name, str(value))
    return table


def _in_workers(runs: list[Run], facts: Facts) -> int:
    return sum(bool(run.submitters & facts.weather.workers) for run in runs)


def _of_kind(runs: list[Run], kind: str) -> int:
    return sum(run.asked.kind == kind for run in runs)


def _times_to_start(runs: list[Run]) -> list[float]:
    """Return how long it took from acceptance to start by way of the queue, if that was free."""
    sessions: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        life = run.changes[0].at, run.end.at if run.end else float("inf")
        sessions.setdefault(run.asked.session_id, []).append(life)
    times = []
    for run in runs:
        came, accepted = run.changes[0].at, run.accepted
        if accepted is None or not run.claims or run.begun_where_submitted or not run.asked.ordered:
            continue
        lives = sessions[run.asked.session_id]
        if sum(since <= accepted.at and until >= came for since, until in lives) == 1:
            times.append(max(0.0, min(run.claims.values()) - accepted.at))
    return times


def _spread(times: list[float]) -> str:
    if len(times) < 2:
        return "too few"
    last = quantiles(times, n=100)[-1]
    return f"median {median(times):.3f} s, p99 {last:.3f} s, most {max(times):.3f} s"
