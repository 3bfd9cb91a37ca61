"""A stream that was asked to yields the run itself at its end."""

from typing import Any

import pytest

from kern import Agent, InMemoryDb, RunOutput, RunStatus
from kern.errors import ModelError
from kern.testing import Reply, ScriptedModel


@pytest.mark.parametrize(
    ("db", "background"), [(None, False), (InMemoryDb(), False), (InMemoryDb(), True)]
)
async def test_the_last_item_is_the_run(db: InMemoryDb | None, background: bool) -> None:
    agent = Agent("Tester", ScriptedModel(["Hello."]), db=db)
    items: list[Any] = [
        each
        async for each in agent.arun(
            "Hi", stream=True, yield_run_output=True, background=background
        )
    ]
    assert isinstance(items[-1], RunOutput)
    assert (items[-1].content, items[-1].status) == ("Hello.", RunStatus.completed)
    assert not any(isinstance(each, RunOutput) for each in items[:-1])


def test_it_is_so_in_a_loop_without_await() -> None:
    agent = Agent("Tester", ScriptedModel(["Hello."]))
    *_, last = agent.run("Hi", stream=True, yield_run_output=True)
    assert isinstance(last, RunOutput)


async def test_a_run_that_failed_is_yielded_where_it_is_not_raised() -> None:
    model = ScriptedModel([Reply.http_error(400)])
    agent = Agent("Tester", model, raise_on_error=False)
    *_, last = [each async for each in agent.arun("Hi", stream=True, yield_run_output=True)]
    assert isinstance(last, RunOutput)
    assert last.status is RunStatus.error


async def test_what_it_failed_of_is_raised_otherwise() -> None:
    agent = Agent("Tester", ScriptedModel([Reply.http_error(400)]))
    with pytest.raises(ModelError):
        async for _ in agent.arun("Hi", stream=True, yield_run_output=True):
            pass
