"""The soak as a test: half a minute of it, or as many seconds as ``KERN_SOAK_SECONDS`` says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = float(os.environ.get("KERN_SOAK_SECONDS", "30"))


@pytest.mark.timeout(SECONDS + 240)
def test_a_storm_loses_no_run_and_repeats_no_step() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", str(SECONDS)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-20_000:]
