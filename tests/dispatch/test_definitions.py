"""Which definition executes a run."""

import gc
from typing import Any

import pytest

from kern.agent import Agent
from kern.dispatch import definitions as module
from kern.dispatch.definitions import Definitions
from kern.errors import QueueFullError
from kern.execution.spec import Spec
from kern.models.openai import OpenAIResponses


async def look() -> str:
    """Look at something."""
    return "seen"


def new(model: OpenAIResponses, name: str = "Tester", **options: Any) -> Agent:
    return Agent(name, model, **options)


def name_of(definitions: Definitions, run_id: str = "run") -> str | None:
    found = definitions.find(run_id, "tester")
    return None if found is None else found[0].system_message


async def test_a_run_is_executed_by_what_submitted_it_as_it_was_then(
    model: OpenAIResponses,
) -> None:
    definitions = Definitions()
    agent, other = new(model, description="mine"), new(model, description="another")
    definitions.serve(other)
    definitions.see(agent)
    definitions.pin("run", Spec.of(agent))
    agent.description = "changed"
    assert name_of(definitions) == "mine"
    assert name_of(definitions) == "another", "it is pinned for one attempt"


async def test_the_first_object_that_was_served_stays(model: OpenAIResponses) -> None:
    definitions = Definitions()
    first, second = new(model, description="first"), new(model, description="second")
    definitions.serve(first)
    definitions.serve(second)
    assert name_of(definitions) == "first"


async def test_the_only_object_of_an_id_executes_what_others_have_left(
    model: OpenAIResponses,
) -> None:
    definitions = Definitions()
    agent = new(model, description="only", tools=[look])
    definitions.see(agent)
    definitions.see(agent)
    assert definitions.agent_ids == ["tester"]
    assert name_of(definitions) == "only"


async def test_two_objects_of_an_id_execute_only_their_own_runs(model: OpenAIResponses) -> None:
    definitions = Definitions()
    agent, other = new(model, description="mine"), new(model, description="another")
    definitions.see(agent)
    definitions.see(other)
    assert name_of(definitions) is None
    definitions.pin("run", Spec.of(agent))
    assert definitions.agent_ids == ["tester"]
    assert name_of(definitions) == "mine"
    del other
    gc.collect()
    assert name_of(definitions) == "mine", "it is the only one again"


@pytest.mark.parametrize("options", ["dependencies", "closure", "method"])
async def test_what_holds_something_of_a_caller_executes_no_run_of_others(
    model: OpenAIResponses, options: str
) -> None:
    caller = "Ada"

    async def closure() -> str:
        """Say who called."""
        return caller

    class Kit:
        async def method(self) -> str:
            """Say something."""
            return "Hi"

    agent = {
        "dependencies": lambda: new(model, dependencies={"caller": caller}),
        "closure": lambda: new(model, tools=[closure]),
        "method": lambda: new(model, tools=[Kit().method]),
    }[options]()
    definitions = Definitions()
    definitions.see(agent)
    assert definitions.agent_ids == []
    assert not definitions.may_execute("run", "tester")
    definitions.serve(agent)
    assert definitions.may_execute("run", "tester")


async def test_so_many_runs_wait_that_no_other_definition_may_execute(
    model: OpenAIResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PINNED_LIMIT", 2)
    definitions = Definitions()
    own = Spec.of(new(model, dependencies={"caller": "Ada"}))
    for run_id in ("one", "two"):
        definitions.check(own)
        definitions.pin(run_id, own)
    with pytest.raises(QueueFullError, match=r"2 runs wait .* kern worker module:agent"):
        definitions.check(own)
    definitions.unpin("one")
    definitions.check(own)

    free = new(model, "Free")
    definitions.see(free)
    for number in range(5):
        definitions.check(Spec.of(free))
        definitions.pin(f"free-{number}", Spec.of(free))
    assert len(definitions.pinned) == 3


async def test_a_rollback_takes_the_pin_of_its_own_transaction_only(
    model: OpenAIResponses,
) -> None:
    definitions = Definitions()
    spec = Spec.of(new(model))
    definitions.pin("run", spec, transaction="1")
    definitions.pin("run", spec, transaction="2")
    definitions.unpin("run", "1")
    assert definitions.uncommitted == [("run", "2")]
    definitions.unpin("run", "2")
    assert not definitions.is_pinned("run")
    assert definitions.uncommitted == []


async def test_a_run_is_left_to_others_for_longer_each_time() -> None:
    definitions = Definitions()
    assert [definitions.leave("run") for _ in range(6)] == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]
    assert definitions.leave("another") == 0.05


async def test_an_agent_whose_run_was_refused_is_left_to_others_for_a_time(
    model: OpenAIResponses,
) -> None:
    definitions = Definitions()
    definitions.serve(new(model))
    definitions.pause("tester")
    assert definitions.agent_ids == []
    definitions.proved("tester")
    assert definitions.agent_ids == ["tester"]
