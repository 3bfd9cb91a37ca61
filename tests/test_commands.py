"""Every command line that users are shown has options that there are."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import click.testing
import pytest
from typer.core import TyperCommand
from typer.testing import CliRunner

from kern.cli.main import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^ *```(sh|bash|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^\$ (.*)$", re.MULTILINE)
TOOLS = ("kern", "celery", "uvicorn", "gunicorn")


def lines(page: str) -> Iterator[str]:
    """Yield the command lines of a page."""
    for language, text in BLOCK.findall(page):
        text = text.replace("\\\n", " ")
        yield from CONSOLE.findall(text) if language == "console" else text.splitlines()


def commands(page: str) -> Iterator[tuple[str, ...]]:
    """Yield those of them that begin a tool, without settings of the environment."""
    for line in lines(page):
        words = shlex.split(line, comments=True) if not line.startswith("#") else []
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        if words and words[0] in TOOLS:
            yield tuple(words[: words.index(">")] if ">" in words else words)


SHOWN = sorted({each for page in PAGES for each in commands(page.read_text())})


def check(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a command line as its tool does, and execute nothing."""
    tool, *arguments = command
    if tool == "gunicorn":
        config = pytest.importorskip("gunicorn.config")
        config.Config().parser().parse_args(arguments)
        return
    for kind in (click.Command, TyperCommand):
        monkeypatch.setattr(kind, "invoke", lambda self, context: None)
    if tool == "kern":
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        return
    obj = None
    if tool == "celery":
        app_of_tasks = pytest.importorskip("celery").Celery()
        main = importlib.import_module("celery.bin.celery").celery
        obj = SimpleNamespace(app=app_of_tasks)  # What the group makes, which is not executed.
    else:
        main = pytest.importorskip("uvicorn").main
    read = click.testing.CliRunner().invoke(main, arguments, obj=obj)
    assert read.exit_code == 0, read.output


def test_there_are_commands() -> None:
    assert {each[0] for each in SHOWN} == set(TOOLS)
    assert len(SHOWN) >= 28


@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_a_command_that_is_shown_can_be_given(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(command, monkeypatch)


@pytest.mark.parametrize(
    "command",
    ["celery --app x call task --task-id tea", "kern runs list --nope", "kern runs show"],
)
def test_a_command_that_cannot_be_given_is_seen(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match="Error"):
        check(tuple(command.split()), monkeypatch)
