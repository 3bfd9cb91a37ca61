"""A contender measures itself against the stand-in, each in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.contenders.contender import ROOT, Setting
from kern.local.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[str, int]]:
    """The address of a stand-in model, and its channel."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.driver.model"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        url, channel = process.stdout.readline().split()
        yield url, int(channel)
        process.terminate()


@pytest.fixture
def setting(
    postgres: EmbeddedPostgres, table: str, tmp_path: Path, model: tuple[str, int]
) -> Setting:
    """A setting beside a stand-in model, with nothing to measure yet."""
    url, channel = model
    return Setting(
        database=postgres.url,
        directory=str(tmp_path),
        model=url,
        channel=channel,
        postgres=os.getpid(),
        figures=(),
        scale={},
        table=table,
    )


def measure(contender: str, setting: Setting) -> dict[str, list[float]]:
    """Have a contender measure itself, and return the samples by figure."""
    done = subprocess.run(
        [sys.executable, "-m", f"bench.contenders.{contender}", setting.to_json()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return {each["figure"]: each["samples"] for each in map(json.loads, done.stdout.splitlines())}


def test_kern_in_memory_is_measured(setting: Setting) -> None:
    scale = {"latency": 3, "cancel": 2, "hold": 5}
    found = measure(
        "kern_memory", replace(setting, figures=("latency", "cancel_here"), scale=scale)
    )
    assert {figure: len(found[figure]) for figure in found} == {
        "submit": 3,
        "start": 3,
        "cancel_here": 2,
        "cancel_here_closed": 2,
    }
    assert all(0 < sample < 5 for samples in found.values() for sample in samples)


def test_kern_in_postgres_is_polled_beside_very_many_runs(setting: Setting) -> None:
    scale = {"poll": 3, "seconds": 1, "table": 50}
    found = measure("kern_postgres", replace(setting, figures=("poll", "poll_table"), scale=scale))
    assert found.keys() == {"poll_1", "poll_1000", "poll_10000", "poll_alone", "poll_table"}


def test_the_program_written_by_hand_is_measured(setting: Setting) -> None:
    scale = {"latency": 3, "seconds": 0.1, "memory": 10, "memory_seconds": 5}
    figures = ("latency", "throughput", "memory")
    found = measure("handwritten", replace(setting, figures=figures, scale=scale))
    assert found.keys() >= {"submit", "start", "throughput", "processor", "memory"}
    assert len(found["submit"]) == 3
    assert found["throughput"][0] > 1


def test_readers_are_measured_beside_the_same_runs_without_them(setting: Setting) -> None:
    scale = {"streams": 2, "readers": 2, "pieces": 10}
    for number in range(5):  # What else the machine does only adds to what is measured.
        own = replace(setting, figures=("readers",), scale=scale, table=f"{setting.table}_{number}")
        found = measure("kern_postgres", own)
        if statistics.median(found["readers"]) < 0.3:
            break
    costs = ("processor", "postgres", "statements")
    assert found.keys() == {
        "readers",
        *(f"readers_{cost}{suffix}" for cost in costs for suffix in ("", "_alone")),
    }
    # The answer takes a second: read at its end, half of the pieces would be half a second old.
    assert 0 < statistics.median(found["readers"]) < 0.3
    assert found["readers_statements"][0] > found["readers_statements_alone"][0]


@pytest.mark.parametrize("contender", ["kern_postgres", "handwritten"])
def test_early_and_late_turns_of_a_long_run_are_measured(contender: str, setting: Setting) -> None:
    found = measure(contender, replace(setting, figures=("steps",), scale={"steps": 60}))
    assert found.keys() == {"steps_early", "steps_late"}
    assert all(samples[0] > 0 for samples in found.values())
