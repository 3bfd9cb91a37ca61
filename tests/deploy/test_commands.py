"""Every command line in deploy/ is one, and has the time to end in good order."""

import re
import shlex
from pathlib import Path

import click
import pytest
from deployment import UNITS, commands, compose, grace, pods, unit
from typer.core import TyperCommand
from typer.testing import CliRunner

from kern.cli.main import app
from kern.cli.worker.stop import HAND_OVER
from kern.db.postgres.migrations import MIGRATIONS

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "containers.md"
BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.M | re.S)
TYPED = re.compile(r"^(?:\$ )?kern ([a-z].*)$", re.M)
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


def test_whatever_the_docs_have_typed_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        line.partition("  #")[0]
        for page in (
            ROOT / "README.md",
            *(ROOT / "docs").rglob("*.md"),
            *ROOT.glob("cookbook/*.md"),
        )
        if "decisions" not in page.parts
        for block in BLOCK.findall(page.read_text())
        for line in TYPED.findall(block.replace("\\\n", " "))
    }
    assert len(found) > 50
    for each in sorted(found):
        check(shlex.split(re.split(r" (?:[|&<>]|2>)", each)[0], comments=True), monkeypatch)


def test_what_an_upgrade_brings_is_said_for_every_version_of_the_tables() -> None:
    table = GUIDE.with_name("upgrading.md").read_text().partition("## Tables by version")[2]
    assert re.findall(r"^\| (\d+) ", table, re.M)[-1] == str(len(MIGRATIONS))


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
