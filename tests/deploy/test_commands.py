"""Every command line in deploy/ is one, and has the time to end in good order."""

import re
from pathlib import Path

import click
import pytest
from deployment import UNITS, commands, compose, grace, pods, unit
from typer.core import TyperCommand
from typer.testing import CliRunner

from kern.cli.main import app
from kern.cli.worker.stop import HAND_OVER

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "containers.md"
INSIDE = re.compile(r"(?:compose run --rm service|-- kern) ([a-z][^#`|\n]*)")


def check(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a command line as kern does, and execute nothing."""
    for kind in (click.Command, TyperCommand):
        monkeypatch.setattr(kind, "invoke", lambda self, context: None)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("where", commands())
def test_a_command_line_can_be_given(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(commands()[where], monkeypatch)


def test_what_the_guide_has_typed_inside_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = INSIDE.findall(GUIDE.read_text())
    assert len(found) >= 4
    for each in found:
        check(each.split(), monkeypatch)


def test_what_is_stopped_has_its_grace_and_time_to_release_its_runs() -> None:
    given = {}
    for name, service in compose()["services"].items():
        if "command" in service:
            given[f"compose {name}"] = float(service["stop_grace_period"].removesuffix("s"))
    for name, pod in pods().items():
        before = pod["containers"][0].get("lifecycle", {}).get("preStop", {})
        pause = before.get("sleep", {}).get("seconds", 0)
        given[f"kubernetes {name}"] = pod["terminationGracePeriodSeconds"] - pause
    for path in UNITS:
        given[f"systemd {path.stem}"] = float(unit(path, "TimeoutStopSec"))
    assert given.keys() == commands().keys() - {"Dockerfile"}
    for where, seconds in given.items():
        assert seconds >= grace(commands()[where]) + HAND_OVER + 5, where


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_ends_the_first_process_alone(path: Path) -> None:
    # A second SIGTERM, its supervisor's, would end the others at once.
    assert unit(path, "KillMode") == "mixed"
