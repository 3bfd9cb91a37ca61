"""The scripts of cookbook/02_agents/24_mcp_server do what they say, with desk.py beside them."""

import pytest
from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/24_mcp_server/"

LOAN = 'Lending desk: may it call lend({"title": "Emma", "reader": "Ada"})?'


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def test_any_client_asks_agents(cookbook: Cookbook) -> None:
    answers = (
        call("shelf", title="Emma"),
        "On shelf 12.",
        call("lend", title="Emma", reader="Ada"),
        "Ada has it.",
    )
    printed = cookbook(HERE + "any_client.py", *answers).splitlines()
    assert printed[0] == "['librarian', 'lending-desk', 'get_run', 'cancel_run']"
    assert printed[1].startswith("(Librarian has begun: run ")
    assert printed[-3:] == ["On shelf 12.", LOAN, "Ada has it."]


@pytest.mark.nightly  # tests/cli/test_mcp.py has receipts by default.
def test_an_answer_is_fetched_by_its_receipt(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "receipt.py", Reply.text("On shelf 12."))
    assert printed == "True\nOn shelf 12.\n"


@pytest.mark.nightly  # tests/promises/test_mcp_server.py has it by default.
def test_an_agent_asks_agents_of_another_program(cookbook: Cookbook) -> None:
    answers = (
        call("lending-desk", input="Emma for Ada."),
        call("lend", title="Emma", reader="Ada"),
        "Ada has it.",
        "Done.",
    )
    printed = cookbook(HERE + "other_agents.py", *answers)
    assert printed.splitlines() == [f"PAUSED | {LOAN}", "Ada has it.", "Done."]
