"""The units are what systemd takes, and shut off what a worker has no need of."""

import shutil
import subprocess
from pathlib import Path

import pytest
from deployment import UNITS, unit

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here"
)

# As systemd counts: 10 is a unit without any bound.
MOST_EXPOSED = 1.5


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root directory in which the units are, and what they start."""
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    for each in UNITS:
        shutil.copy(each, tmp_path / "etc/systemd/system")
        program = tmp_path / unit(each, "ExecStart").split()[0].lstrip("/")
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_says_nothing_that_systemd_does_not_know(installed: Path, path: Path) -> None:
    name = path.name.replace("@.", "@1.")
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            f"--root={installed}",
            "--man=no",
            "--recursive-errors=no",
            name,
        ],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_shut_off(installed: Path, path: Path) -> None:
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=yes", "--no-pager", f"--root={installed}"),
            *(f"--threshold={MOST_EXPOSED * 10:.0f}", path.name.replace("@.", "@1.")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
