"""The programs of docs/tutorial do what its pages say, step by step."""

import re
from pathlib import Path

import pytest
from api import service
from cookbook_scripts import Cookbook

from kern import Agent, PostgresDb, SqliteDb
from kern.models.openai import OpenAIResponses
from kern.testing import ProtocolServer, Reply

DOCS = Path(__file__).parents[2] / "docs/tutorial"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BOOKING = ("book_hotel", {"hotel": "Grand Hotel", "nights": 2})


def programs(page: str) -> list[str]:
    return BLOCK.findall((DOCS / f"{page}.md").read_text())


def beside(cookbook: Cookbook, page: str) -> None:
    """Put the first program of a page where the others import it from."""
    (cookbook.directory / "trip.py").write_text(programs(page)[0])


def test_the_first_agent_answers_once(cookbook: Cookbook) -> None:
    [program] = programs("first-agent")
    out = cookbook.program(program, "See the Opera House.")
    assert out == "PENDING\nCOMPLETED\nSee the Opera House.\n"
    assert cookbook.program(program) == out.replace("PENDING", "COMPLETED")


def test_a_killed_program_has_its_answer_at_the_next_start(cookbook: Cookbook) -> None:
    [program] = programs("first-agent")
    path = cookbook.directory / "program.py"
    path.write_text(program)
    assert cookbook.kill(str(path), at=1, when="PENDING").text == "PENDING\n"
    out = cookbook.run(str(path), "See the Opera House.", KERN_HEARTBEAT="0.5").text
    assert out.endswith("COMPLETED\nSee the Opera House.\n")


def test_the_tools_are_called(cookbook: Cookbook) -> None:
    calls = Reply.tool_calls(("weather", {"city": "Oslo"}), BOOKING)
    out = cookbook.program(programs("tools")[0], calls, "It is done.")
    assert re.fullmatch(
        r"reserve\('Grand Hotel', 2\)\n"
        r"weather \{'city': 'Oslo'\} -> cold and clear\n"
        r"book_hotel \{'hotel': 'Grand Hotel', 'nights': 2\} -> booked, code [0-9a-f]{6}\n"
        r"It is done\.\n",
        out,
    ), out


def test_a_reader_goes_on_where_the_first_one_left(cookbook: Cookbook) -> None:
    beside(cookbook, "streams")
    reply = Reply.text("Day 1:", " arrive in Oslo.")
    assert cookbook.run(str(cookbook.directory / "trip.py"), reply).text == "COMPLETED\n"
    read = cookbook.program(programs("streams")[1]).splitlines()
    assert [line.split()[0] for line in read] == [str(seq + 1) for seq in range(len(read))]
    assert read[-1].endswith("RunCompleted Day 1: arrive in Oslo.")


def test_a_person_decides_in_a_shell_and_the_run_goes_on(cookbook: Cookbook) -> None:
    beside(cookbook, "people")
    out = cookbook.run(str(cookbook.directory / "trip.py"), Reply.tool_calls(BOOKING)).text
    assert out == "PAUSED\nbook_hotel {'hotel': 'Grand Hotel', 'nights': 2}\n"
    db = SqliteDb(str(cookbook.directory / "kern.db"))
    [record], _ = db.get_approvals(status="pending")
    db.update_approval(record["id"], status="approved", resolved_by="ada")
    assert cookbook.program(programs("people")[1], "Booked.") == "Booked.\n"


def test_a_client_of_openai_reads_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent_program, client = programs("service")
    names: dict[str, object] = {}
    exec(agent_program.replace('"kern.db"', repr(str(tmp_path / "kern.db"))), names)
    concierge = names["agent"]
    assert isinstance(concierge, Agent)
    with ProtocolServer([Reply.text("See the Opera House.")]) as server:
        model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
        with concierge.override(model=model), service([concierge]) as url:
            exec(client.replace("http://127.0.0.1:8000", url), {})
    assert capsys.readouterr().out.strip() == "See the Opera House."


def test_the_last_step_names_another_database() -> None:
    names: dict[str, object] = {}
    exec(programs("deploy")[0], names)
    concierge = names["agent"]
    assert isinstance(concierge, Agent)
    assert isinstance(concierge.db, PostgresDb)
