"""What cannot be used is refused before anything is stored, with a word on what to do instead."""

from typing import Any

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.testing import ResponsesServer

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"input": ""}, "The input is empty. Pass a text or a list of messages."),
    ({"input": " \n\t "}, "The input is empty. Pass a text or a list of messages."),
    ({"input": []}, "The input is empty. Pass a text or a list of messages."),
    ({"input": [Message("user", " ")]}, "The input is empty. Pass a text or a list of messages."),
    ({"input": None}, "The input holds NoneType. Pass a text, a Message, or a list of messages"),
    ({"input": 7}, "The input holds int. Pass a text, a Message, or a list of messages"),
    ({"input": b"Hi"}, "The input holds bytes. Pass a text, a Message, or a list of messages"),
    ({"input": [{"role": "user"}]}, "The input holds dict. Pass a text, a Message, or a list"),
    (
        {"input": {"role": "stranger", "content": "Hi"}},
        "A message has the unknown role 'stranger'. Use one of system, user, assistant, tool.",
    ),
    ({"metadata": {"a": {1}}}, "metadata has no JSON form: Object of type set is not"),
    ({"metadata": {"a": float("nan")}}, "metadata has no JSON form: Out of range float values"),
    ({"metadata": {"a": {1, 2}}}, "Use None, bool, int, finite float, str, and lists or dicts"),
    ({"metadata": ["a"]}, "metadata must be a dict, not list."),
    ({"run_id": ""}, "run_id must have 1 to 255 characters, not 0."),
    ({"run_id": "a" * 256}, "run_id must have 1 to 255 characters, not 256."),
    ({"run_id": "a\x00b"}, r"run_id 'a\x00b' holds a control character or a lone surrogate."),
    ({"run_id": "a\ud800"}, r"run_id 'a\ud800' holds a control character or a lone surrogate."),
    ({"run_id": 7}, "run_id must be a string, not int."),
    ({"session_id": ""}, "session_id must have 1 to 255 characters, not 0."),
    ({"session_id": "a\nb"}, "session_id 'a\\nb' holds a control character or a lone surrogate."),
    ({"user_id": ""}, "user_id must have 1 to 255 characters, not 0."),
    ({"user_id": 7}, "user_id must be a string, not int."),
]


@pytest.mark.parametrize(("arguments", "error"), REFUSED, ids=repr)
async def test_an_argument_that_cannot_be_used_is_refused(
    model: OpenAIResponses, server: ResponsesServer, arguments: dict[str, Any], error: str
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    given: dict[str, Any] = {"input": "Hi", "background": True} | arguments
    with pytest.raises(InvalidInputError) as raised:
        await agent.arun(**given)
    assert error in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize("way", [{}, {"background": True}, {"stream": True}], ids=repr)
async def test_it_is_refused_before_anything_is_awaited(
    model: OpenAIResponses, way: dict[str, Any]
) -> None:
    agent: Any = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(InvalidInputError, match="The input is empty"):
        agent.arun("", **way)


@pytest.mark.parametrize("verb", ["aget_run_output", "acancel_run", "await_run"])
@pytest.mark.parametrize("run_id", ["", "a\x00b", "a\ud800", 7, None])
async def test_an_id_that_no_run_can_have_is_refused(
    model: OpenAIResponses, verb: str, run_id: Any
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(InvalidInputError, match="run_id"):
        await getattr(agent, verb)(run_id)


async def test_a_cancel_without_a_database_checks_the_id_as_well(model: OpenAIResponses) -> None:
    with pytest.raises(InvalidInputError, match="run_id must have 1 to 255 characters"):
        await Agent("Tester", model).acancel_run("")


async def test_any_printable_id_will_do(db: Database, model: OpenAIResponses) -> None:
    agent = Agent("Tester", model, db=db)
    for id in ("a b", "ünï", "a/b?c#d", "'; DROP TABLE x; --", "é" * 255, "\U0001f600", "%s {}"):
        await agent.arun("Hi", background=True, run_id=id, session_id=id, user_id=id)
        ended = await agent.await_run(id, timeout=20)
        assert ended is not None
        assert ended.is_terminal
        assert (ended.run_id, ended.session_id, ended.user_id) == (id, id, id)


async def test_a_background_run_needs_a_database(model: OpenAIResponses) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await Agent("Tester", model).arun("Hi", background=True)
    assert str(raised.value) == (
        "background=True needs a database: Agent(..., db=PostgresDb(db_url=...)), or SqliteDb or "
        "InMemoryDb."
    )


@pytest.mark.parametrize("verb", ["aget_run_output", "await_run"])
async def test_to_ask_for_a_run_needs_a_database(model: OpenAIResponses, verb: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^This needs a database: Agent\(\.\.\., db="):
        await getattr(Agent("Tester", model), verb)("run-1")


async def test_a_background_run_needs_an_agent_that_other_processes_can_name(
    db: Database, model: OpenAIResponses
) -> None:
    with pytest.raises(ConfigurationError, match="needs an agent with a name or an id, by which"):
        await Agent(model=model, db=db).arun("Hi", background=True)
    assert (await Agent(model=model, db=db).arun("Hi")).content == "Hello."
    named = Agent(id="by-its-id", model=model, db=db)
    assert (await named.arun("Hi", background=True)).agent_id == "by-its-id"


@pytest.mark.parametrize("model", ["gpt-5-mini", "nobody:gpt-5-mini", "openai:", object()])
def test_an_agent_needs_a_model(model: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"is no model. Pass one, such as OpenAIResponses"):
        Agent("Tester", model)


def test_an_agent_is_not_shown_less_than_nothing(model: OpenAIResponses) -> None:
    with pytest.raises(ConfigurationError, match="num_history_runs must be a whole number"):
        Agent("Tester", model, db=InMemoryDb(), add_history_to_context=True, num_history_runs=-1)


@pytest.mark.parametrize("id", ["a\x00", "a" * 256])
def test_an_agent_needs_an_id_that_can_be_stored(model: OpenAIResponses, id: str) -> None:
    with pytest.raises(InvalidInputError, match="The agent's id"):
        Agent("Tester", model, id=id)
