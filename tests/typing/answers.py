"""Typed answers as users write them. Mypy and Pyright read it; nothing executes it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, assert_type

from pydantic import BaseModel

from kern import Agent, RunOutput, RunOutputEvent
from kern.agent import FollowupConfig
from kern.models.openai import OpenAIResponses
from kern.team import Team


class Invoice(BaseModel):
    number: str


@dataclass
class Refusal:
    reason: str


class Movie(TypedDict):
    title: str


class Colour(enum.Enum):
    red = "red"


def the_type_of_the_schema_is_that_of_the_content() -> None:
    model = OpenAIResponses()
    assert_type(Agent("A", model, output_schema=Invoice).run("?"), RunOutput[Invoice])
    assert_type(Agent("A", model, output_schema=Invoice).run("?").content, Invoice | None)
    assert_type(Agent("A", model, output_schema=Movie).run("?"), RunOutput[Movie])
    assert_type(Agent("A", model, output_schema=Refusal).run("?"), RunOutput[Refusal])
    assert_type(Agent("A", model, output_schema=Colour).run("?"), RunOutput[Colour])
    assert_type(Agent("A", model, output_schema=list[Invoice]).run("?"), RunOutput[list[Invoice]])
    both = Agent("A", model, output_schema=Invoice | Refusal, output_retries=2)
    assert_type(both.run("?"), RunOutput[Invoice | Refusal])
    some = Agent("A", model, output_schema=Literal["yes", "no"])
    assert_type(some.run("?"), RunOutput[Literal["yes", "no"]])
    schema = {"type": "object"}
    plain: Agent[Mapping[str, object], dict[str, int]] = Agent("A", model, output_schema=schema)
    assert_type(plain.run("?"), RunOutput[dict[str, int]])
    assert_type(Agent("A", model, output_schema=None).run("?"), RunOutput[str])


async def so_it_is_where_only_a_run_has_one(agent: Agent) -> None:
    assert_type(await agent.arun("?", output_schema=Invoice), RunOutput[Invoice])
    assert_type(agent.run("?", output_schema=Invoice | Refusal), RunOutput[Invoice | Refusal])
    assert_type(agent.run("?", output_schema={}, user_id="u"), RunOutput[dict[str, object]])
    assert_type(agent.run("?"), RunOutput[str])
    for event in agent.run("?", stream=True, output_schema=Invoice):
        assert_type(event, RunOutputEvent)
    run = await agent.arun("?", output_schema=Invoice, background=True)
    assert_type(run.followups, list[str])


async def what_is_read_later_has_it_too() -> None:
    agent = Agent("A", OpenAIResponses(), output_schema=Invoice, dependencies={"a": 1})
    assert_type(await agent.await_run("run"), RunOutput[Invoice] | None)
    assert_type(await agent.aget_run_output("run"), RunOutput[Invoice] | None)
    takes_invoices(agent)
    Agent("A", followups=FollowupConfig(num_followups=2), parser_model="openai:gpt-5.4")
    Agent("A", output_schema=Invoice, output_retry=1)  # type: ignore[call-overload] # no such keyword


def takes_invoices(agent: Agent[Mapping[str, Any], Invoice]) -> None:
    """Take an agent that answers with invoices."""


def teams_are_agents() -> None:
    team = Team([Agent("A")], "Desk", output_schema=Invoice, mode="route")
    assert_type(team.run("?"), RunOutput[Invoice])
    assert_type(Team([Agent("A"), team], "Desk").run("?"), RunOutput[str])
    takes_invoices(team)
    Team([Agent("A")], "Desk", mode="broadcast")  # type: ignore[call-overload] # no such mode
    Team(["A"], "Desk")  # type: ignore[list-item] # no agents
