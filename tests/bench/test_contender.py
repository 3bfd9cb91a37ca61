"""A contender measures itself against the stand-in, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.contenders.contender import ROOT, Setting
from kern.local.postgres import EmbeddedPostgres


@pytest.fixture
def model() -> Iterator[tuple[str, int]]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.driver.model"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        url, channel = process.stdout.readline().split()
        yield url, int(channel)
        process.terminate()


def test_kern_in_memory_is_measured(model: tuple[str, int], tmp_path: Path) -> None:
    setting = Setting(
        database="",
        directory=str(tmp_path),
        model=model[0],
        channel=model[1],
        postgres=os.getpid(),
        figures=("latency", "cancel_here"),
        scale={"latency": 3, "cancel": 2, "hold": 5},
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.contenders.kern_memory", setting.to_json()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    found = {each["figure"]: each["samples"] for each in map(json.loads, done.stdout.splitlines())}
    assert {figure: len(found[figure]) for figure in found} == {
        "submit": 3,
        "start": 3,
        "cancel_here": 2,
        "cancel_here_closed": 2,
    }
    assert all(0 < sample < 5 for samples in found.values() for sample in samples)


def test_kern_in_postgres_is_polled_beside_very_many_runs(
    model: tuple[str, int], postgres: EmbeddedPostgres, table: str, tmp_path: Path
) -> None:
    setting = Setting(
        database=postgres.url,
        directory=str(tmp_path),
        model=model[0],
        channel=model[1],
        postgres=os.getpid(),
        figures=("poll", "poll_table"),
        scale={"poll": 3, "seconds": 1, "table": 50},
        table=table,
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.contenders.kern_postgres", setting.to_json()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    figures = {json.loads(line)["figure"] for line in done.stdout.splitlines()}
    assert figures == {"poll_1", "poll_1000", "poll_10000", "poll_alone", "poll_table"}
