"""A day of a large user, simulated with the costs that ``scale.py`` has measured.

    python bench/scale_day.py [--runs 5000000] [--workers 30] [--picture FILE] [--seed 1]

Every run is simulated: when it is accepted, waits, executes, is thrown back by a crash. What
PostgreSQL does for it is added up minute by minute. Without ``--workers`` the smallest fleet is
looked for with which the 99th percentile of the waiting in the peak hour is under a second. The
picture needs matplotlib.
"""

import argparse
import math
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from scale_fleet import CURVE, DAY, HEARTBEAT, HOUR, MINUTE, PEAK, PLACES, Fleet, Tally, User


@dataclass(frozen=True)
class Costs:
    """What PostgreSQL does, as measured by ``scale.py``.

    The sources are in ``docs/explanation/scale.md``.

    Attributes:
        run: seconds of processor time of a run through the queue that shares no statement.
        step: seconds of processor time of a model call with tools and of the calls' results.
        renewal: seconds of processor time for a run that is under way, a renewal of its lease.
        process: seconds of processor time a second of a process that waits.
        run_wal: bytes of WAL of a run, without whole pages.
        step_wal: bytes of WAL of a step with a tool call.
        renewal_wal: bytes of WAL of a renewal.
        payload_wal: bytes of WAL a byte of questions and answers.
        stored: bytes on disk of a run of one model call, indexes included.
        step_stored: bytes on disk of a step with a tool call.
        payload_stored: bytes on disk a byte of questions and answers.
        indexes: bytes of a run in each index whose keys come in no order.
        step_index: bytes of a step in the journal's index.
        images: whole pages in the WAL of a run whose ids begin with the time.
        image: bytes of a page that is written to the WAL as a whole.
        log: bytes of a run in the queue's log, which is kept for a day at most.
        prune: seconds of processor time for deleting a run.
        prune_wal: bytes of WAL for deleting a run.
    """

    run: float = 0.0062
    step: float = 0.0014
    renewal: float = 0.0003
    process: float = 0.002
    run_wal: float = 4_800.0
    step_wal: float = 1_600.0
    renewal_wal: float = 1_000.0
    payload_wal: float = 2.3
    stored: float = 1_950.0
    step_stored: float = 950.0
    payload_stored: float = 2.1
    indexes: tuple[float, ...] = (77.0, 78.0, 93.0, 78.0)
    step_index: float = 90.0
    images: float = 0.5
    image: float = 5_730.0
    log: float = 440.0
    prune: float = 0.0001
    prune_wal: float = 2_000.0


@dataclass(frozen=True)
class Demand:
    """What PostgreSQL is asked for at some moment.

    Attributes:
        runs: accepted a second.
        cores: seconds of processor time a second.
        wal: bytes of WAL a second, pages included.
        pages: bytes of whole pages in it, a second.
    """

    runs: float
    cores: float
    wal: float
    pages: float


CHECKPOINTS = 300.0
"""Seconds between checkpoints: ``checkpoint_timeout``, where ``max_wal_size`` is large enough."""


def demand(
    costs: Costs, user: User, runs: float, steps: float, under_way: float, processes: int
) -> Demand:
    """Add up what PostgreSQL does.

    Args:
        costs: what each thing costs.
        user: whose runs they are; the tables hold as many as the retention says.
        runs: accepted a second, as many as end.
        steps: steps with tools a second.
        under_way: runs that execute; their leases are renewed three times a heartbeat.
        processes: that are connected.
    """
    renewals = under_way * 3 / HEARTBEAT
    pruned = user.runs / DAY
    cores = runs * costs.run + steps * costs.step + renewals * costs.renewal
    cores += processes * costs.process + pruned * costs.prune
    wal = runs * (costs.run_wal + user.payload * costs.payload_wal) + steps * costs.step_wal
    wal += renewals * costs.renewal_wal + pruned * costs.prune_wal
    kept, touched = user.runs * user.retention, runs * CHECKPOINTS
    pages = 0.0
    journal = costs.indexes[-1] + (1 + user.steps) / 2 * costs.step_index
    if not user.random_ids:
        pages = runs * costs.images
    for size in (*costs.indexes[:-1], journal) if user.random_ids else ():
        leaves = max(1.0, kept * size / 8192)
        pages += leaves * -math.expm1(-touched / leaves) / CHECKPOINTS
    return Demand(runs, cores, wal + pages * costs.image, pages * costs.image)


def through_the_day(costs: Costs, user: User, tally: Tally, workers: int) -> list[Demand]:
    """Return what PostgreSQL is asked for in each minute."""
    processes = workers + user.clients
    return [
        demand(costs, user, runs / MINUTE, steps / MINUTE, under_way, processes)
        for runs, steps, under_way in zip(tally.accepted, tally.steps, tally.under_way, strict=True)
    ]


def percentile(values: list[float], part: float) -> float:
    """Return the value under which this part of the values is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def smallest_fleet(user: User, seed: int) -> int:
    """Return with how many workers 99 of 100 runs of the peak hour begin within a second."""
    hours = range(PEAK, PEAK + 1)
    low = math.ceil(_under_way(user) / PLACES)
    high = math.ceil(1.25 * low) + 1
    while low < high:
        middle = (low + high) // 2
        waits = Fleet(user, middle, hours, seed).run().waits
        low, high = (low, middle) if percentile(waits, 0.99) < 1.0 else (middle + 1, high)
    return low


def _under_way(user: User) -> float:
    """Return how many runs execute in the peak hour."""
    call = user.median * math.exp(user.spread**2 / 2)
    steps = (1 + user.steps) / 2
    return user.runs * max(CURVE) / HOUR * (steps * call + (steps - 1) * user.tool)


def stored(costs: Costs, user: User) -> float:
    """Return the bytes that a day's runs take on the disk."""
    steps = (user.steps - 1) / 2
    one = costs.stored + steps * costs.step_stored + user.payload * costs.payload_stored
    return user.runs * one


def show_day(costs: Costs, user: User, tally: Tally, workers: int) -> list[Demand]:
    """Print the day, and return it minute by minute."""
    minutes = through_the_day(costs, user, tally, workers)
    print(
        f"{'hour':>4} {'runs/s':>7} {'under way':>9} {'cores':>6} {'WAL MB/s':>8} {'its pages':>11}"
    )
    for hour in range(24):
        part = minutes[60 * hour : 60 * hour + 60]
        under_way = sum(tally.under_way[60 * hour : 60 * hour + 60]) / 60
        runs, cores, wal, pages = (
            sum(getattr(each, name) for each in part) / 60
            for name in ("runs", "cores", "wal", "pages")
        )
        print(
            f"{hour:>4} {runs:>7.1f} {under_way:>9.0f} {cores:>6.2f} {wal / 1e6:>8.2f} "
            f"{pages / 1e6:>11.2f}"
        )
    calls = tally.ended + sum(tally.steps)
    day = stored(costs, user)
    print(f"runs accepted: {sum(tally.accepted):,}, ended {tally.ended:,}; model calls {calls:,}")
    print(f"peak minute: {max(each.runs for each in minutes):.0f} runs/s")
    print(f"workers: {workers} of {PLACES} places")
    for title, waits in (("peak hour", tally.waits), ("after the restart", tally.waits_after)):
        p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
        print(
            f"waiting, {title}: p50 {p50:.2f} s, p99 {p99:.2f} s, most "
            f"{max(waits, default=0):.1f} s of {len(waits):,} runs"
        )
    print(f"submits refused while PostgreSQL was away: {tally.refused:,}")
    print(
        f"thrown back by crashes: {tally.thrown_back:,}; handed over at deployments: "
        f"{tally.handed_over:,}; model or tool calls begun again: {tally.repeated:,} "
        f"({100 * tally.repeated / calls:.4f} % of the calls)"
    )
    print(f"WAL of the day: {sum(each.wal for each in minutes) * MINUTE / 1e9:.0f} GB")
    print(f"on disk: {day / 1e9:.1f} GB a day, {day * user.retention / 1e9:.0f} GB kept")
    print(f"connections: {workers * 10 + user.clients * 9} at most")
    return minutes


def show_sizes(costs: Costs, user: User) -> None:
    """Print what users of other sizes ask for in their peak hours."""
    print(
        f"{'runs a day':>12} {'runs/s':>7} {'workers':>7} {'cores':>6} {'WAL MB/s':>8} "
        f"{'connections':>11} {'rows kept':>14} {'GB kept':>8}"
    )
    for runs in (100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000):
        clients = max(2, user.clients * runs // user.runs)
        its = replace(user, runs=runs, clients=clients)
        under_way = _under_way(its)
        workers = max(2, math.ceil(under_way / PLACES / 0.85))
        peak = runs * max(CURVE) / HOUR
        steps = peak * (user.steps - 1) / 2
        asked = demand(costs, its, peak, steps, under_way, workers + its.clients)
        print(
            f"{runs:>12,} {peak:>7.1f} {workers:>7} {asked.cores:>6.2f} {asked.wal / 1e6:>8.2f} "
            f"{workers * 10 + its.clients * 9:>11} {runs * its.retention:>14,} "
            f"{stored(costs, its) * its.retention / 1e9:>8.0f}"
        )


def draw(path: Path, user: User, minutes: list[Demand], tally: Tally) -> None:
    """Draw the day, where there is matplotlib."""
    try:
        pyplot = import_module("matplotlib.pyplot")
    except ImportError:
        print("there is no matplotlib, so there is no picture")
        return
    figure, axes = pyplot.subplots(4, 1, figsize=(8, 8), sharex=True)
    hours = [minute / 60 for minute in range(len(minutes))]
    for axis, title, values in (
        (axes[0], "runs accepted a second", [each.runs for each in minutes]),
        (axes[1], "runs under way", [float(each) for each in tally.under_way]),
        (axes[2], "PostgreSQL, cores", [each.cores for each in minutes]),
        (axes[3], "WAL, MB a second", [each.wal / 1e6 for each in minutes]),
    ):
        axis.plot(hours, values, linewidth=0.8, color="#336791")
        axis.set_ylabel(title, fontsize=8)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[3].plot(hours, [each.pages / 1e6 for each in minutes], linewidth=0.8, color="#aa5533")
    axes[3].legend(["all", "whole pages"], fontsize=8)
    axes[3].set_xlabel("hour of the day")
    axes[3].set_xlim(0, 24)
    figure.suptitle(f"A simulated day of {user.runs / 1e6:g} million runs", fontsize=10)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"{path} is drawn")


def main() -> None:
    """Read the command line, and simulate."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5_000_000, help="in a day")
    parser.add_argument("--workers", type=int, help="processes of 100 places")
    parser.add_argument("--random-ids", action="store_true", help="the user chooses such ids")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path, help="where to draw the day")
    options = parser.parse_args()
    user, costs = User(options.runs, random_ids=options.random_ids), Costs()
    workers = options.workers or smallest_fleet(user, options.seed)
    tally = Fleet(user, workers, range(24), options.seed).run()
    minutes = show_day(costs, user, tally, workers)
    print()
    show_sizes(costs, user)
    if options.picture is not None:
        draw(options.picture, user, minutes, tally)


if __name__ == "__main__":
    main()
