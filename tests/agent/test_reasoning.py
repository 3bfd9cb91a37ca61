"""Thoughts before an answer: who thinks, what the model is told of it, and what the run shows."""

import json
from typing import Any

import pytest

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError
from kern.media import Image
from kern.models.openai import OpenAIResponses
from kern.reasoning import NextAction, ReasoningStep
from kern.run.agent import RunOutput
from kern.run.event import RunEvent
from kern.testing import Reply, ResponsesServer, ScriptedModel
from kern.tools.reasoning import ReasoningTools


def thoughts(*titles: str, next_action: str = "continue") -> str:
    """Return what a model answers that has thought in steps."""
    steps = [
        {
            "title": title,
            "action": None,
            "result": f"result of {title}",
            "reasoning": f"about {title}",
            "next_action": next_action,
            "confidence": 0.5,
        }
        for title in titles
    ]
    return json.dumps({"steps": steps})


def test_the_thoughts_of_a_second_model_are_told_with_the_message() -> None:
    thinker, model = ScriptedModel([thoughts("Plan", "Check")]), ScriptedModel(["It is 5."])
    agent = Agent("Counter", model, instructions="Count.", reasoning_model=thinker)
    run = agent.run("2 + 3?")
    [asked], [told] = thinker.requests, model.requests
    assert asked.messages[0].text.startswith("Count.\n\nThink the last message")
    assert asked.messages[1].text == "2 + 3?"
    assert told.messages[0].text == "Count."
    assert told.messages[1].text.startswith("2 + 3?\n\n")
    assert "1. Plan: about Plan result of Plan\n2. Check" in told.messages[1].text
    assert run.messages[-2].text == "2 + 3?"
    steps = run.reasoning_steps or []
    assert [each.title for each in steps] == ["Plan", "Check"]
    assert isinstance(steps[0], ReasoningStep)
    assert steps[0].next_action is NextAction.CONTINUE
    assert "about Check" in (run.reasoning_content or "")
    assert {*(run.metrics.details or {})} == {"model", "reasoning_model"}
    assert run.metrics.model_calls == 2


def test_who_declines_to_think_has_thought_nothing() -> None:
    thinker, model = ScriptedModel([Reply.refusal("No.")]), ScriptedModel(["5"])
    run = Agent("Counter", model, reasoning_model=thinker).run("2 + 3?")
    assert model.requests[0].messages[-1].text == "2 + 3?"
    assert not run.reasoning_steps
    assert run.metrics.model_calls == 2


def test_the_output_comes_back_equal() -> None:
    agent = Agent("Counter", ScriptedModel(["5"]), reasoning_model=ScriptedModel([thoughts("A")]))
    run = agent.run("2 + 3?")
    again = RunOutput.from_dict(json.loads(run.to_json()))
    assert again == run
    assert again.reasoning_steps == run.reasoning_steps
    assert again.reasoning_content == run.reasoning_content


def test_the_agents_own_model_thinks_in_so_many_steps() -> None:
    model = ScriptedModel([thoughts(*"abcd"), thoughts(*"abc"), "Done."])
    agent = Agent(
        "Thinker", model, reasoning=True, reasoning_min_steps=2, reasoning_max_steps=3, tools=[ask]
    )
    run = agent.run("Think.")
    assert len(run.reasoning_steps or ()) <= 3
    first = model.requests[0]
    assert "in 2 to 3 steps" in first.messages[0].text
    assert (first.tool_choice, [each.name for each in first.tools]) == ("none", ["ask"])
    form: Any = first.output_schema
    assert form.schema["properties"]["steps"]["maxItems"] == 3


def ask(question: str) -> str:
    """Ask somebody."""
    return question


def test_an_agent_thinks_by_what_it_is_told() -> None:
    thinker = ScriptedModel([thoughts("Doubt")])
    sceptic = Agent("Sceptic", thinker, instructions="Doubt everything.")
    run = Agent("Clerk", ScriptedModel(["Yes."]), reasoning_agent=sceptic).run("Is it so?")
    assert thinker.requests[0].messages[0].text.startswith("Doubt everything.")
    assert [each.title for each in run.reasoning_steps or ()] == ["Doubt"]


async def test_what_a_reasoning_model_says_beside_its_answer_is_kept(
    server: ResponsesServer, model: OpenAIResponses
) -> None:
    server.script += [Reply.text("Just add.").thinking("Two and three.")]
    run = await Agent("Counter", ScriptedModel(["5"]), reasoning_model=model).arun("?")
    assert run.reasoning_content is not None
    assert run.reasoning_content.startswith("Two and three.")
    assert [each.reasoning for each in run.reasoning_steps or ()] == ["Just add."]


async def test_the_four_events_come_before_the_answer(
    server: ResponsesServer, model: OpenAIResponses
) -> None:
    server.script += [Reply.text(thoughts("Plan")).thinking("Hm.")]
    agent = Agent("Counter", ScriptedModel(["5"]), reasoning_model=model)
    events = [each async for each in agent.arun("?", stream=True, stream_events=True)]
    kinds = [each.event for each in events]
    assert kinds[1:6] == [
        RunEvent.reasoning_started,
        RunEvent.reasoning_content_delta,
        RunEvent.reasoning_step,
        RunEvent.reasoning_completed,
        RunEvent.model_request_started,
    ]
    assert json.loads(events[3].to_json())["content"]["title"] == "Plan"


def test_steps_before_a_reset_are_not_told() -> None:
    steps = json.loads(thoughts("Wrong", next_action="reset"))["steps"]
    steps += json.loads(thoughts("Right", next_action="final_answer"))["steps"]
    model = ScriptedModel(["Done."])
    thinker = ScriptedModel([json.dumps({"steps": steps})])
    run = Agent("Thinker", model, reasoning_model=thinker).run("Think.")
    assert "Wrong" not in model.requests[0].messages[-1].text
    assert len(run.reasoning_steps or ()) == 2


def test_a_run_goes_on_without_thoughts(caplog: pytest.LogCaptureFixture) -> None:
    model = ScriptedModel(["Done."])
    thinker = ScriptedModel([Reply.failed()])
    run = Agent("Thinker", model, reasoning_model=thinker).run("Think.")
    assert (run.content, run.reasoning_steps) == ("Done.", None)
    assert "goes on without thoughts" in caplog.text
    assert model.requests[0].messages[-1].text == "Think."


def test_thoughts_are_asked_for_once_a_run_and_are_no_part_of_the_history() -> None:
    thinker = ScriptedModel([thoughts("One"), thoughts("Two")])
    model = ScriptedModel([Reply.tool_calls(("ask", {"question": "?"})), "First.", "Second."])
    agent = Agent(
        "Thinker",
        model,
        db=InMemoryDb(),
        tools=[ask],
        reasoning_model=thinker,
        add_history_to_context=True,
        session_id="s",
    )
    agent.run("A?")
    agent.run("B?")
    assert len(thinker.requests) == 2
    first, second, third = (each.messages for each in model.requests)
    assert "One" in first[-1].text
    assert first[0] == second[0]
    assert "One" not in str([each.text for each in third])


def test_media_is_shown_to_who_thinks() -> None:
    thinker = ScriptedModel([thoughts("Look")])
    model = ScriptedModel(["A cat."])
    agent = Agent("Looker", model, reasoning_model=thinker)
    agent.run("What is this?", images=[Image(url="https://example.com/cat.png")])
    assert len(thinker.requests[0].messages[-1].images) == 1
    assert len(model.requests[0].messages[-1].images) == 1


def test_the_tools_for_thinking_fill_the_steps() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("think", {"title": "Cities", "thought": "Lima.", "action": "look", "confidence": 0.7}),
        (
            "analyze",
            {"title": "Found", "result": "765", "analysis": "Fits.", "next_action": "final_answer"},
        ),
        ("ask", {"question": "?"}),
    ]
    model = ScriptedModel([Reply.tool_calls(*calls), "765 km."])
    run = Agent("Guide", model, tools=[ReasoningTools(), ask]).run("How far?")
    cities, found = run.reasoning_steps or []
    assert (cities.title, cities.reasoning, cities.confidence) == ("Cities", "Lima.", 0.7)
    assert (found.result, found.next_action) == ("765", NextAction.FINAL_ANSWER)


def test_what_cannot_think_is_refused() -> None:
    model = ScriptedModel([])
    with pytest.raises(ConfigurationError, match="above reasoning_max_steps=2"):
        Agent("A", model, reasoning=True, reasoning_min_steps=3, reasoning_max_steps=2)
    with pytest.raises(ConfigurationError, match="has tools"):
        Agent("A", model, reasoning_agent=Agent("B", model, tools=[ask]))
    with pytest.raises(ConfigurationError, match="must be an agent"):
        Agent("A", model, reasoning_agent="B")  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="exclude each other"):
        Agent("A", model, reasoning_model=model, reasoning_agent=Agent("B", model))
