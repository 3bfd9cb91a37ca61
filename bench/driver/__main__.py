"""Measures kern beside its peers; bench/run.sh builds the environments and starts this."""

import argparse
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.driver.plan import ENTRIES, QUICK, WHOLE
from bench.driver.plots import draw
from bench.driver.report import Report
from bench.driver.rounds import Rounds, machine, versions
from bench.driver.services import ROOT, Services


def main() -> int:
    """Measure, write the report, and return the exit code."""
    options = _options()
    plan = QUICK if options.quick else WHOLE
    if options.rounds:
        plan = replace(
            plan, rounds=options.rounds, minutes=plan.minutes * options.rounds / plan.rounds
        )
    entries = [entry for entry in ENTRIES if entry.name in options.only]
    minutes = plan.minutes * len(entries) / len(ENTRIES)
    print(
        f"{len(entries)} contenders, {plan.rounds} rounds: about {minutes:.0f} minutes", flush=True
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Services() as services:
        rounds = Rounds(services, entries, plan)
        rounds.run()
        postgres = services.version
    report = Report(
        {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "quick": plan.quick,
            "rounds": plan.rounds,
            "machine": machine(),
            "postgres": postgres,
            "versions": {entry.name: versions(entry) for entry in entries},
            "scale": plan.scale,
            "results": rounds.results,
        }
    )
    report.write(options.output)
    draw(report, options.output / "benchmarks")
    print(report.text())
    print(f"Written: {options.output}/benchmarks.md, .json and benchmarks/*.png")
    for failure in rounds.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if rounds.failures else 0


def _options() -> argparse.Namespace:
    names = [entry.name for entry in ENTRIES]
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything: 4 minutes")
    parser.add_argument("--only", help=f"some contenders, with commas: {', '.join(names)}")
    parser.add_argument(
        "--rounds", type=int, help=f"{WHOLE.rounds} by default, quick {QUICK.rounds}"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where to write; docs/explanation by default, and build/bench with --quick, --only "
        "or --rounds",
    )
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else names
    for name in chosen:
        if name not in names:
            parser.error(f"{name!r} is none of {', '.join(names)}")
    partial = options.quick or options.only or options.rounds
    if options.output is None:
        options.output = ROOT / ("build/bench" if partial else "docs/explanation")
    options.output = options.output.absolute()
    options.only = chosen
    return options


if __name__ == "__main__":
    sys.exit(main())
