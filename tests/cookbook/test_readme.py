"""The programs of README.md and of docs/guides/models.md and testing.md do what the pages say."""

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
PROGRAMS = PYTHON.findall(README)
FIRST, CLIENT, SESSION, CASHIER, TREASURER, BOX_OFFICE, INVOICE, SCRIPTED, SERVED = PROGRAMS

OPENAI = '"openai:gpt-5.4-mini"'
TEXTS = re.findall(r"^\|.*\| `(\"[a-z-]+:[^\"]+\")` \|$", README, re.MULTILINE)

MODELS = PYTHON.findall((ROOT / "docs/guides/models.md").read_text())
TESTS = [SCRIPTED, SERVED, *PYTHON.findall((ROOT / "docs/guides/testing.md").read_text())]


def test_the_table_has_a_text_for_each_provider() -> None:
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


def test_a_session_is_remembered(cookbook: Cookbook) -> None:
    assert cookbook.program(SESSION, "Paris.", "Tokyo.") == "Tokyo.\n"
    assert "Paris." in str(cookbook.server.requests[1].body)


def test_a_person_is_asked_before_a_tool_is_called(cookbook: Cookbook) -> None:
    out = cookbook.program(CASHIER, Reply.tool_calls(("pay", {"amount": 500})), "Paid.")
    assert out == "pay {'amount': 500}\nPaid.\n"


def test_a_record_has_an_agent_of_an_agent_go_on(cookbook: Cookbook) -> None:
    calls = (("treasurer", {"input": "900 to Ott"}), ("wire", {"euros": 900, "to": "Ott"}))
    replies = [Reply.tool_calls(call) for call in calls]
    out = cookbook.program(TREASURER, *replies, "It is wired.", "It is paid.")
    assert out == "[{'euros': 900, 'to': 'Ott'}]\nIt is paid.\n"


def test_a_seat_is_booked(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("book", {"seat": "A7"}))
    out = cookbook.program(BOX_OFFICE, call, "Enjoy the play.")
    assert out == "Enjoy the play.\n{'taken': ['A7']}\n"
    told = [str(request.body) for request in cookbook.server.requests]
    assert "Seats that are taken: []" in told[0]
    assert "jo@example.com" not in told[0]
    assert re.search(r"receipt [0-9a-f]{8} for A7", told[1])


def test_an_invoice_is_read(cookbook: Cookbook) -> None:
    out = cookbook.program(INVOICE, '{"number": "R-7", "total": 119}')
    assert re.fullmatch(r"119\.0\nclaude-sonnet-5-5 \S+\n", out), out
    assert "https://example.com/invoice.png" in str(cookbook.server.requests[0].body)


def test_the_fallback_reads_it(cookbook: Cookbook) -> None:
    out = cookbook.program(INVOICE, Reply.http_error(401), '{"number": "R-7", "total": 119}')
    assert re.fullmatch(r"119\.0\ngpt-5\.4-mini \S+\n", out), out


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
