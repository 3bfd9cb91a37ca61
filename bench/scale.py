"""What a run costs PostgreSQL, in figures that a busy machine changes little.

    python bench/scale.py postgresql://ai:ai@localhost:5532/ai [--model URL] [--runs 3000]
        [--rows 1000000] [--json FILE]

The user must be a superuser (for CHECKPOINT), and the server one that nobody else uses: its
counters are of the whole server. Everything is in the schema ``kern_scale``, which is dropped
before and after. Without ``--model`` the stand-in of ``scale_agent.py`` is started; another one
has to understand the same orders. ``--rows 0`` leaves the large table out.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from scale_agent import SCHEMA
from scale_loads import Bench, Cost, Load
from scale_meter import Meter, TableState


def _line(cost: Cost) -> str:
    each, load = cost.counts, cost.load
    return (
        f"{load.name:<42} {load.runs / cost.seconds:6.0f} {each.statements:6.2f} {each.pages:6.0f} "
        f"{each.reads:6.2f} {each.wal:7.0f} {each.images:6.2f} {1000 * each.processor:6.2f} "
        f"{1000 * cost.worker:6.2f} {1000 * cost.submit:7.2f}"
    )


_HEAD = (
    f"{'a run':<42} {'runs/s':>6} {'statem':>6} {'pages':>6} {'reads':>6} {'WAL B':>7} "
    f"{'images':>6} {'PG ms':>6} {'its ms':>6} {'submit':>7}"
)


async def _show(bench: Bench, load: Load, *, checkpoint: bool = True) -> Cost:
    cost = await bench.cost(load, checkpoint=checkpoint)
    print(_line(cost), flush=True)
    return cost


def _as_dict(tables: dict[str, TableState]) -> dict[str, object]:
    return {title: asdict(state) for title, state in tables.items()}


def _show_tables(tables: dict[str, TableState], compact: dict[str, TableState], runs: int) -> None:
    """Print the tables: of a run its rows, bytes, and changes; then the bytes when packed."""
    names = ("rows", "bytes", "index", "updated", "HOT", "deleted", "packed", "index")
    print(" " * 17 + "".join(f"{name:>9}" for name in names))
    for title, state in tables.items():
        packed = compact[title]
        values = [state.rows, state.bytes, state.index_bytes, state.updated, state.in_place]
        values += [state.deleted, packed.bytes, packed.index_bytes]
        print(f"    {title:<13}" + "".join(f"{value / runs:>9.2f}" for value in values))


async def _small(bench: Bench, runs: int) -> list[dict[str, object]]:
    """Measure each way of executing on new tables, and what stays of a run."""
    loads = [
        Load("begun where accepted", runs),
        Load("through the queue", runs, queued=True),
        Load("three tool calls, begun where accepted", runs // 2, calls=3),
        Load("three tool calls, through the queue", runs // 2, calls=3, queued=True),
        Load("question 1 kB, answer 4 kB", runs // 2, question=1000, answer=4000),
    ]
    found = []
    for load in loads:
        await bench.fresh()
        cost = await _show(bench, load)
        tables = await bench.meter.tables("VACUUM ANALYZE")
        compact = await bench.meter.tables("VACUUM FULL")
        _show_tables(tables, compact, load.runs)
        found.append(asdict(cost) | {"tables": _as_dict(tables), "compact": _as_dict(compact)})
    return found


async def _spread(bench: Bench, runs: int) -> list[dict[str, object]]:
    """Measure runs that share no statement, and those that take so long that leases are renewed."""
    await bench.fresh()
    idle = await bench.measure_idle()
    print(
        f"an idle process, a second: {idle.statements:.2f} statements, {idle.wal:.0f} B of WAL, "
        f"{1000 * idle.processor:.2f} ms of PostgreSQL's processor time"
    )
    slow, long = Load("", 240, slow=True), Load("", 400, wait=12.0, at_once=400)
    loads = [
        replace(slow, name="one at a time"),
        replace(slow, name="one at a time, through the queue", queued=True),
        replace(
            slow, name="one at a time, three tool calls, through the queue", queued=True, calls=3
        ),
        replace(long, name="12 s long, 400 in flight"),
        replace(long, name="12 s long, through the queue", queued=True),
    ]
    costs = [asdict(await _show(bench, load, checkpoint=False)) for load in loads]
    return [{"idle": asdict(idle)}, *costs]


async def _large(bench: Bench, runs: int, rows: int) -> dict[str, object]:
    """Measure the same with many finished runs in the table, then delete them."""
    await bench.fresh()
    seconds = await bench.fill(rows)
    tables = await bench.meter.tables()
    stored = sum(table.bytes + table.index_bytes for table in tables.values())
    print(f"{rows:,} finished runs: {stored / 1e6:.0f} MB, made in {seconds:.0f} s")
    loads = [
        (Load("begun where accepted, after a checkpoint", runs), True),
        (Load("begun where accepted, the next", runs), False),
        (Load("random ids, after a checkpoint", runs, random_ids=True), True),
        (Load("through the queue, after a checkpoint", runs, queued=True), True),
        (Load("one at a time", 240, slow=True), False),
    ]
    costs = [asdict(await _show(bench, load, checkpoint=fresh)) for load, fresh in loads]
    taken, pages = await bench.poll()
    print(f"poll: {1000 * taken:.2f} ms (median), {pages:.0f} pages")
    states = await bench.meter.tables()
    deleted, pruning, counts = await bench.prune(15.0)
    print(
        f"pruning: {deleted / pruning:.0f} runs/s, a run {counts.wal / deleted:.0f} B of WAL, "
        f"{1000 * counts.processor / deleted:.3f} ms, {counts.pages / deleted:.0f} pages"
    )
    for title, state in states.items():
        print(
            f"    {title}: {state.dead} dead rows, {state.vacuums} autovacuums, "
            f"{state.bytes / 1e6:.1f} MB, indexes {state.index_bytes / 1e6:.1f} MB"
        )
    return {
        "made_in": seconds,
        "tables": _as_dict(tables),
        "costs": costs,
        "poll": {"seconds": taken, "pages": pages},
        "prune": {"runs": deleted, "seconds": pruning, "counts": asdict(counts)},
        "after": _as_dict(states),
    }


async def measure(url: str, model: str, runs: int, rows: int) -> dict[str, object]:
    """Measure everything, and return it."""
    meter = await Meter.open(url)
    bench = Bench(url, model, meter)
    version = await meter.connection.fetchval("SELECT version()")
    print(f"{version}\n{_HEAD}")
    found: dict[str, object] = {"version": version, "time": datetime.now(UTC).isoformat()}
    if runs:
        found["small"] = await _small(bench, runs)
        found["spread"] = await _spread(bench, runs)
    if rows:
        found["large"] = await _large(bench, runs or 3000, rows)
    await meter.connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    await meter.connection.close()
    return found


def main() -> None:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("database", help="postgresql://user:password@host:port/database")
    parser.add_argument("--model", help="base URL of a model that understands the orders")
    parser.add_argument("--runs", type=int, default=3000, help="of a load; 0: the large table only")
    parser.add_argument("--rows", type=int, default=1_000_000, help="finished runs in the table")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    server = None
    if options.model is None:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("scale_agent.py"))],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        options.model = server.stdout.readline().strip()
    try:
        found = asyncio.run(measure(options.database, options.model, options.runs, options.rows))
    finally:
        if server is not None:
            server.terminate()
            server.wait()
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
