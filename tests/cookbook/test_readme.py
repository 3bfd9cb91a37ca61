"""The programs of README.md, docs/models.md and docs/testing.md do what the pages say."""

import asyncio
import os
import re
import runpy
import sys
from pathlib import Path

import pytest

from kern.testing import ProtocolServer, Reply

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

README = (ROOT / "README.md").read_text()
FIRST, SESSION, CASHIER, BOX_OFFICE, INVOICE, SCRIPTED, SERVED = PYTHON.findall(README)

OPENAI = '"openai:gpt-5.4-mini"'
TEXTS = re.findall(r"^\|.*\| `(\"[a-z-]+:[^\"]+\")` \|$", README, re.MULTILINE)

MODELS = PYTHON.findall((ROOT / "docs/models.md").read_text())
TESTS = [SCRIPTED, SERVED, *PYTHON.findall((ROOT / "docs/testing.md").read_text())]


async def printed(program: str, server: ProtocolServer, directory: Path) -> str:
    """Return what a program prints whose models are all at a server."""
    (directory / "program.py").write_text(program)
    variables = {
        "OPENAI_BASE_URL": server.base_url,
        "ANTHROPIC_BASE_URL": server.url,
        "GOOGLE_GEMINI_BASE_URL": server.url,
        "OLLAMA_HOST": server.url,
        "OPENAI_API_KEY": "none",
        "ANTHROPIC_API_KEY": "none",
        "GOOGLE_API_KEY": "none",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "program.py"),
        cwd=directory,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_the_table_has_a_text_for_each_provider() -> None:
    named = [text.strip('"').partition(":")[0] for text in TEXTS]
    assert named == ["openai", "openai-chat", "anthropic", "google", "ollama"]
    assert OPENAI in FIRST


@pytest.mark.parametrize("text", TEXTS)
async def test_the_first_program_runs_with_each_of_them(
    text: str, server: ProtocolServer, tmp_path: Path
) -> None:
    server.default = Reply.text("Paris.")
    out = await printed(FIRST.replace(OPENAI, text), server, tmp_path)
    assert out == "PENDING\nCOMPLETED Paris.\n"
    assert len(server.requests) == 1


async def test_a_session_is_remembered(server: ProtocolServer, tmp_path: Path) -> None:
    server.script += [Reply.text("Paris."), Reply.text("Tokyo.")]
    assert await printed(SESSION, server, tmp_path) == "Tokyo.\n"
    assert "Paris." in str(server.requests[1].body)


async def test_a_person_is_asked_before_a_tool_is_called(
    server: ProtocolServer, tmp_path: Path
) -> None:
    server.script += [Reply.tool_calls(("pay", {"amount": 500})), Reply.text("Paid.")]
    assert await printed(CASHIER, server, tmp_path) == "pay {'amount': 500}\nPaid.\n"


async def test_a_seat_is_booked(server: ProtocolServer, tmp_path: Path) -> None:
    server.script += [Reply.tool_calls(("book", {"seat": "A7"})), Reply.text("Enjoy the play.")]
    out = await printed(BOX_OFFICE, server, tmp_path)
    assert out == "Enjoy the play.\n{'taken': ['A7']}\n"
    told = [str(request.body) for request in server.requests]
    assert "Seats that are taken: []" in told[0]
    assert "jo@example.com" not in told[0]
    assert re.search(r"receipt [0-9a-f]{8} for A7", told[1])


async def test_an_invoice_is_read(server: ProtocolServer, tmp_path: Path) -> None:
    server.script.append(Reply.text('{"number": "R-7", "total": 119}'))
    out = await printed(INVOICE, server, tmp_path)
    assert re.fullmatch(r"119\.0\nclaude-sonnet-5-5 \S+\n", out), out
    assert "https://example.com/invoice.png" in str(server.requests[0].body)


async def test_the_fallback_reads_it(server: ProtocolServer, tmp_path: Path) -> None:
    server.script += [Reply.http_error(401), Reply.text('{"number": "R-7", "total": 119}')]
    out = await printed(INVOICE, server, tmp_path)
    assert re.fullmatch(r"119\.0\ngpt-5\.4-mini \S+\n", out), out


@pytest.mark.parametrize("place", range(len(TESTS)))
async def test_the_tests_pass(place: int, server: ProtocolServer, tmp_path: Path) -> None:
    names = re.findall(r"^def (test_\w+)", TESTS[place], re.MULTILINE)
    calls = "\n".join(f"{name}()" for name in names)
    assert names
    assert await printed(f"{TESTS[place]}\n{calls}\n", server, tmp_path) == ""
    assert server.requests == []


@pytest.mark.parametrize("place", range(len(MODELS)))
def test_the_models_of_the_page_can_be_made(place: int, tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text(MODELS[place])
    runpy.run_path(str(program))
