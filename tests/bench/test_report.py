"""The report is made of what the rounds have recorded, and leaves alone what people wrote."""

import json
from pathlib import Path

from bench.driver.figures import Figure, Findings, goals
from bench.driver.report import BEGIN, END, Report

RESULTS = [
    {"contender": "commit", "round": 0, "figure": "commit", "samples": [0.001]},
    {"contender": "commit", "round": 1, "figure": "commit", "samples": [0.002]},
    {
        "contender": "kern_postgres",
        "round": 0,
        "figure": "submit",
        "samples": [0.002, 0.004, 0.003],
    },
    {"contender": "kern_postgres", "round": 1, "figure": "submit", "samples": [0.005]},
    {"contender": "agno_postgres", "round": 0, "figure": "submit", "samples": [0.03]},
    {"contender": "agno_postgres", "round": 1, "figure": "submit", "samples": [0.01]},
    {"contender": "bare", "round": 0, "figure": "submit", "reason": "it has no background runs"},
]


def record(results: list[dict[str, object]]) -> dict[str, object]:
    names = {str(result["contender"]) for result in results} - {"commit"}
    return {
        "date": "2026-11-22",
        "quick": True,
        "rounds": 2,
        "machine": {"system": "s", "processor": "p", "cores": "2", "memory": "4 GiB"},
        "postgres": "PostgreSQL 18",
        "versions": {name: {"Python": "3.11"} for name in names},
        "scale": {},
        "results": results,
    }


def test_a_ratio_is_the_median_of_the_ratios_within_a_round() -> None:
    findings = Findings(RESULTS)
    assert findings.ratios(("agno_postgres", "submit"), ("kern_postgres", "submit")) == [10.0, 2.0]
    cell = findings.cell("agno_postgres", Figure("submit", "submit"))
    assert cell is not None
    assert (cell.median, cell.least, cell.most, cell.ratio) == (20.0, 10.0, 30.0, 6.0)


def test_a_goal_says_whether_it_is_reached_or_not_measured() -> None:
    found = {(goal.figure, goal.goal): goal.reached for goal in goals(Findings(RESULTS))}
    submit = "time to submit, p50"
    assert found[submit, "at most 3 single-row commits"] is True
    assert found[submit, "at most 0.15 of agno's"] is False
    assert (
        found[
            "memory a run in flight",
            next(goal for name, goal in found if name.startswith("memory")),
        ]
        is None
    )


def test_what_is_on_the_wire_is_taken_off_both_ends_of_a_long_run() -> None:
    results = [
        {"contender": contender, "round": 0, "figure": f"steps_{end}", "samples": [sample]}
        for contender, early, late in (
            ("kern_postgres", 0.003, 0.006),
            ("handwritten", 0.001, 0.001),
        )
        for end, sample in (("early", early), ("late", late))
    ]
    goal = next(goal for goal in goals(Findings(results)) if "turns" in goal.figure)
    assert goal.measured == "2.50 times (2.50 to 2.50)"
    assert goal.reached is False


def test_what_is_written_by_hand_survives(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# By hand\n\n{BEGIN}\nold figures\n{END}\n\nBelow, by hand\n")
    Report(record(RESULTS)).write(tmp_path)
    text = page.read_text()
    assert text.startswith("# By hand\n")
    assert text.endswith("\n\nBelow, by hand\n")
    assert "old figures" not in text
    assert "| bare openai client | — | — | — | — | it has no background runs |" in text
    assert json.loads((tmp_path / "benchmarks.json").read_text()) == record(RESULTS)
