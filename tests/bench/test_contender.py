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


def test_kern_in_postgres_is_measured(setting: Setting) -> None:
    figures = ("poll", "poll_table", "steps", "readers")
    scale = {"poll": 3, "seconds": 1, "table": 50, "steps": 60}
    scale |= {"streams": 2, "readers": 2, "pieces": 10}
    for number in range(5):  # What else the machine does only adds to what is measured.
        own = replace(setting, figures=figures, scale=scale, table=f"{setting.table}_{number}")
        found = measure("kern_postgres", own)
        if statistics.median(found["readers"]) < 0.3:
            break
    costs = ("processor", "postgres", "statements")
    assert found.keys() == {
        *("poll_1", "poll_1000", "poll_10000", "poll_alone", "poll_table"),
        *("steps_early", "steps_late", "readers"),
        *(f"readers_{cost}{suffix}" for cost in costs for suffix in ("", "_alone")),
    }
    assert found["steps_early"][0] > 0
    assert found["steps_late"][0] > 0
    # The answer takes a second: read at its end, half of the pieces would be half a second old.
    assert 0 < statistics.median(found["readers"]) < 0.3
    assert found["readers_statements"][0] > found["readers_statements_alone"][0]


def test_the_program_written_by_hand_is_measured(setting: Setting) -> None:
    scale = {"latency": 3, "seconds": 0.1, "memory": 10, "memory_seconds": 5, "steps": 60}
    figures = ("latency", "throughput", "steps", "memory")
    found = measure("handwritten", replace(setting, figures=figures, scale=scale))
    assert found.keys() >= {"submit", "start", "throughput", "processor", "memory"}
    assert found.keys() >= {"steps_early", "steps_late"}
    assert len(found["submit"]) == 3
    assert found["throughput"][0] > 1
    assert found["steps_late"][0] > 0
