"""docs/guides/coming-from-agno.md is right: a name that users know is there, or it says why not."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from known_names import KEYWORDS as KEYWORDS_OF
from known_names import MEMBERS, NAMES
from typing_extensions import Unpack

from kern.agent import Agent
from kern.agent.keywords import KEYWORDS
from kern.agent.parts.accepted import AcceptedPart
from kern.errors import ModelError
from kern.keywords import LATER
from kern.session import AgentSession
from kern.team.part import TeamOptions
from kern.tools import FunctionTool, Toolkit

PAGE = (Path(__file__).parents[2] / "docs/guides/coming-from-agno.md").read_text()
TABLE, MISSING = PAGE.partition("## What is not there yet")[::2]
SAID = {*re.findall(r"`(\w+)`", MISSING)}

# What these have is set as they are made.
MADE: dict[str, object] = {
    "kern.session:AgentSession": AgentSession("s"),
    "kern.tools:Function": FunctionTool(print, parameters={"type": "object", "properties": {}}),
    "kern.tools:Toolkit": Toolkit(),
    "kern.exceptions:ModelProviderError": ModelError("Away."),
}


def at(path: str) -> Any:
    module, _, name = path.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def keywords_of(function: Any) -> set[str]:
    """Return what a function, or the constructor of a class, takes by name."""
    found: set[str] = set()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            found.add(name)
        elif get_origin(parameter.annotation) is Unpack:
            found |= {*get_args(parameter.annotation)[0].__annotations__}
    return found


@pytest.mark.parametrize("path", KEYWORDS_OF)
def test_what_is_taken_by_name(path: str) -> None:
    missing = {*KEYWORDS_OF[path].split()} - keywords_of(at(path))
    assert missing <= SAID, f"{path} lacks {missing - SAID}"


@pytest.mark.parametrize("path", MEMBERS)
def test_what_objects_have(path: str) -> None:
    found = MADE.get(path) or at(path)
    known = {*dir(found), *getattr(found, "__annotations__", {})}
    known |= {*getattr(found, "__dataclass_fields__", {})}
    missing = {*MEMBERS[path].split()} - known
    assert missing <= SAID, f"{path} lacks {missing - SAID}"


@pytest.mark.parametrize("path", NAMES)
def test_what_modules_have(path: str) -> None:
    names = {*NAMES[path].split()}
    try:
        module = import_module(path)
    except ModuleNotFoundError:
        assert names <= SAID
        return
    assert [each for each in sorted(names) if not hasattr(module, each)] == []


@pytest.mark.parametrize("name", sorted(LATER))
def test_a_keyword_that_is_not_there_is_refused(name: str) -> None:
    assert name not in KEYWORDS
    assert name in SAID
    told = f"kern does not have {name} yet: docs/guides/coming-from-agno.md"
    with pytest.raises(TypeError, match=told):
        Agent("Any", **{name: True})  # type: ignore[call-overload]
    agent = Agent("Any")
    with pytest.raises(AttributeError, match=told):
        setattr(agent, name, True)


def test_what_is_there_is_not_said_to_be_missing() -> None:
    of_both = KEYWORDS_OF["kern.agent:Agent"] + KEYWORDS_OF["kern.team:Team"]
    there = {*KEYWORDS, *TeamOptions.__annotations__}
    assert {*of_both.split()} & SAID - there == LATER


def test_what_changes_nothing_is_named() -> None:
    assert [name for name in AcceptedPart.__annotations__ if f"`{name}`" not in TABLE] == []
