"""The programs of docs/guides/people.md and agents-as-tools.md do what the pages say."""

import re
from pathlib import Path

import pytest
from cookbook_scripts import Cookbook

from kern.testing import Reply

DOCS = Path(__file__).parents[2] / "docs/guides"


def program(page: str) -> str:
    """Return the first program of a page."""
    text = (DOCS / page).read_text()
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("answer", "result"), [("y", "refunded 500"), ("n", "your manager first")])
def test_a_person_is_asked(answer: str, result: str, cookbook: Cookbook) -> None:
    asked = program("people.md").replace("input(", "print('asked') or (lambda _: ANSWER)(")
    refund = Reply.tool_calls(("refund", {"amount": 500}))
    printed = cookbook.program(f"ANSWER = {answer!r}\n{asked}", refund, "So be it.")
    assert printed == "asked\nSo be it.\n"
    assert result in str(cookbook.server.requests[1].body["input"])


def test_an_agent_is_a_tool(cookbook: Cookbook) -> None:
    ask = Reply.tool_calls(("ask_meteorologist", {"input": "Wind at Skagen?"}))
    printed = cookbook.program(program("agents-as-tools.md"), ask, "A gale.", "Stay at home.")
    text, children = printed.splitlines()
    assert text == "Stay at home."
    assert len(children) > 20
