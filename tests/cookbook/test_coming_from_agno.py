"""docs/guides/coming-from-agno.md is right about keywords: which are accepted, which come later."""

import re
from pathlib import Path

import pytest

from kern.agent import Agent
from kern.agent.keywords import KEYWORDS
from kern.agent.parts.accepted import AcceptedPart
from kern.db.sqlite import SqliteDb

PAGE = (Path(__file__).parents[2] / "docs/guides/coming-from-agno.md").read_text()
TABLE, MISSING = PAGE.partition("## What is not there yet")[::2]

# The page names these beside what is missing, for they are there.
PRESENT = {
    "knowledge_retriever",
    "max_tool_calls_from_history",
    "num_history_messages",
    "num_history_runs",
}
ROWS = [line for line in MISSING.splitlines() if line.startswith("| ")][2:]
NAMES = [name for row in ROWS for name in re.findall(r"`([a-z_]+)`", row) if name not in PRESENT]
METHODS = {
    "add_to_knowledge",
    "from_dict",
    "load",
    "save",
    "to_dict",
}


def test_the_page_has_names() -> None:
    assert {"learning", "skills", "knowledge"} <= {*NAMES}


@pytest.mark.parametrize("name", sorted({*NAMES} - METHODS))
def test_a_keyword_that_is_not_there_yet_is_refused(name: str) -> None:
    assert name not in KEYWORDS
    told = f"kern does not have {name} yet: docs/guides/coming-from-agno.md"
    with pytest.raises(TypeError, match=told):
        Agent("Any", **{name: True})  # type: ignore[call-overload]
    agent = Agent("Any")
    with pytest.raises(AttributeError, match=told):
        setattr(agent, name, True)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_not_there_yet(name: str) -> None:
    assert not hasattr(Agent, name)
    assert not hasattr(SqliteDb, name)


def test_what_changes_nothing_is_named() -> None:
    accepted = {*AcceptedPart.__annotations__} - {"callable_tools_cache_key"}
    assert [name for name in accepted if f"`{name}`" not in TABLE] == []
