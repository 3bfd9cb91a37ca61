"""The programs of README.md, docs/guides/models.md and docs/guides/testing.md do what they say."""

import re
import runpy
from pathlib import Path

import pytest
from api import service
from cookbook_scripts import Cookbook

from kern import Agent, SqliteDb
from kern.models.openai import OpenAIResponses
from kern.testing import ProtocolServer, Reply

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

README = (ROOT / "README.md").read_text()
FIRST, CLIENT, CASHIER = PYTHON.findall(README)

OPENAI = '"openai:gpt-5.4-mini"'
TEXTS = [OPENAI, *re.findall(r"`(\"[a-z-]+:[^\"`]+\")`", README)]

MODELS = PYTHON.findall((ROOT / "docs/guides/models.md").read_text())
TESTS = [
    block
    for block in PYTHON.findall((ROOT / "docs/guides/testing.md").read_text())
    if "def test_" in block
]

BENCHMARKS = ROOT / "docs/explanation/benchmarks.md"
CONTENDERS = {
    "kern": "kern, PostgreSQL",
    "agno": "agno, PostgreSQL",
    "pydantic-ai on DBOS": "pydantic-ai on DBOS",
    "langgraph": "langgraph, PostgreSQL",
    "openai-agents": "openai-agents, memory",
    "bare client": "bare openai client",
}
FIGURES = {
    "runs a second": "runs, runs/s",
    "processor time of a run": "the process, ms",
    "time to submit": "submit, ms",
    "cancel, until the model's connection is closed": "here, to connection closed, ms",
    "cancel from another process, likewise": "elsewhere, to connection closed, ms",
    "`kill -9`, until the model is called again": "take-over, s",
    "poll, in a session of 1,000 runs": "1,000 runs in the session, ms",
    "import, with an agent's parts": "imports, s",
}
"""What a figure of README.md is called in docs/explanation/benchmarks.md."""


def rows(text: str) -> list[list[str]]:
    """Return the rows of the first table in a text, with their cells."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table[0].splitlines()]


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) < 200


def test_its_figures_are_those_of_the_benchmarks() -> None:
    header, _, *lines = rows(README[README.index("## Beside others") :])
    page = BENCHMARKS.read_text()
    compared = 0
    for what, *cells in lines:
        if what not in FIGURES:
            continue
        measured = rows(page[page.index(f"| {FIGURES[what]} |") :])
        medians = {name: median for name, median, *_ in measured}
        for contender, cell in zip(header[1:], cells, strict=True):
            if number := re.match(r"[*]*([\d.,]+)", cell):
                assert number[1].rstrip(",") == medians[CONTENDERS[contender]], (what, contender)
                compared += 1
    assert compared >= 25


def test_it_names_a_text_for_each_provider() -> None:
    named = [text.strip('"').partition(":")[0] for text in TEXTS]
    assert named == ["openai", "openai-chat", "anthropic", "google", "ollama"]
    assert OPENAI in FIRST


@pytest.mark.parametrize("text", TEXTS)
def test_the_first_program_runs_with_each_of_them(text: str, cookbook: Cookbook) -> None:
    out = cookbook.program(FIRST.replace(OPENAI, text), "Paris.")
    assert out == "PENDING\nCOMPLETED Paris.\n"
    assert len(cookbook.server.requests) == 1


def test_a_client_of_openai_reads_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ProtocolServer([Reply.text("They ", "heat.")]) as server:
        model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
        agent = Agent("Researcher", model, db=SqliteDb(tmp_path / "kern.db"))
        with service([agent]) as url:
            exec(CLIENT.replace("http://127.0.0.1:8000", url), {})
    assert capsys.readouterr().out.strip() == "They heat."


def test_a_person_is_asked_before_a_tool_is_called(cookbook: Cookbook) -> None:
    call = ("pay", {"cents": 90000, "to": "Ott"})
    out = cookbook.program(CASHIER, Reply.tool_calls(call), "Paid.")
    assert out == "pay {'cents': 90000, 'to': 'Ott'}\nPaid.\n"


@pytest.mark.parametrize("place", range(len(TESTS)))
def test_the_tests_pass(place: int, cookbook: Cookbook) -> None:
    names = re.findall(r"^def (test_\w+)", TESTS[place], re.MULTILINE)
    calls = "\n".join(f"{name}()" for name in names)
    assert names
    assert cookbook.program(f"{TESTS[place]}\n{calls}\n") == ""
    assert cookbook.server.requests == []


@pytest.mark.parametrize("place", range(len(MODELS)))
def test_the_models_of_the_page_can_be_made(place: int, tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text(MODELS[place])
    runpy.run_path(str(program))
