"""Every command line that users are shown can be given; those that look at a database are."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import click.testing
import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from kern import Agent, tool
from kern.approval import approval
from kern.cli.main import app
from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.testing import Reply, ScriptedModel

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


def helped(command: object, name: str = "kern") -> Iterator[tuple[str, TyperCommand]]:
    """Yield the commands below one, each with what it is called."""
    if isinstance(command, TyperGroup):
        for each, found in command.commands.items():
            yield from helped(found, f"{name} {each}")
    elif isinstance(command, TyperCommand):
        yield name, command


HELPED = dict(helped(get_command(app)))


@pytest.mark.parametrize("name", HELPED)
def test_the_help_of_a_command_that_needs_something_has_an_example_that_can_be_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = HELPED[name].help or ""
    examples = [each.strip() for each in text.splitlines() if each.strip().startswith("kern ")]
    for each in examples:
        assert each.startswith(name)
        check(tuple(shlex.split(each)), monkeypatch)
    assert examples or not any(each.required for each in HELPED[name].params)


def on_database(command: tuple[str, ...]) -> bool:
    """Say whether a command works on a database alone, and ends by itself."""
    return (
        command[0] == "kern"
        and command[1] not in ("mcp", "serve", "ui", "worker")
        and "up" not in command
    )


def given(command: tuple[str, ...], ids: dict[str, str]) -> Iterator[str]:
    """Yield the arguments of a command, with an id that there is and no database of its own."""
    words = iter(command[1:])
    for word in words:
        if word == "--db":
            next(words)
        else:
            yield word
            if word in ("show", "watch", "cancel", "approve") and command[-1] != word:
                following = next(words)
                yield following if following.startswith("-") else ids[f"{command[1]} {word}"]


RUN_HERE = {
    str(page.relative_to(ROOT)): found
    for page in PAGES
    if (found := [each for each in commands(page.read_text()) if on_database(each)])
}


def test_there_are_commands_that_are_run() -> None:
    assert len({each for found in RUN_HERE.values() for each in found}) >= 20


@pytest.mark.parametrize("page", RUN_HERE)
def test_the_commands_of_a_page_do_what_they_are_given_for(
    page: str, postgres: EmbeddedPostgres, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @approval
    @tool
    def book(hotel: str) -> str:
        """Book a hotel."""
        return f"booked {hotel}"

    url = f"{postgres.url}?sslmode=disable"
    db = PostgresDb(url, session_table=table)
    model = ScriptedModel([Reply.tool_calls(("book", {"hotel": "Grand"}))])
    ended = Agent("Reporter", ScriptedModel(["Sales rise."]), db=db).run("How are the sales?")
    paused = Agent("Researcher", model, tools=[book], db=db).run("Book a hotel.")
    [record], _ = db.get_approvals(status="pending")
    ids = {
        **dict.fromkeys(("runs show", "runs watch"), ended.run_id),
        "runs cancel": paused.run_id,
        **dict.fromkeys(("approvals show", "approvals approve"), record["id"]),
    }
    monkeypatch.setenv("KERN_DB_URL", url)
    for command in RUN_HERE[page]:
        arguments = [*given(command, ids), "--session-table", table]
        done = CliRunner().invoke(app, arguments, input="y\n")
        assert done.exit_code == 0, (command, done.output)


@pytest.mark.parametrize(
    "command",
    ["celery --app x call task --task-id tea", "kern runs list --nope", "kern runs show"],
)
def test_a_command_that_cannot_be_given_is_seen(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match="Error"):
        check(tuple(command.split()), monkeypatch)
