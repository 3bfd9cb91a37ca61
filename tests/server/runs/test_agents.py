"""Agents, as callers see them."""

import httpx
from runs_api import Api, ok, problem


def test_a_caller_sees_the_agents_that_it_may_use(api: Api, ada: httpx.Client) -> None:
    listed = ok(ada.get("/v1/agents"))
    assert [each["id"] for each in listed["data"]] == [
        *("echo", "story", "held", "hasty", "fragile", "clerk", "typed", "hidden")
    ]
    few = ok(api.as_("ada", agents="echo,clerk").get("/v1/agents"))
    assert [each["id"] for each in few["data"]] == ["echo", "clerk"]
    assert ok(api.as_("ada", agents="unknown").get("/v1/agents"))["data"] == []


def test_an_agent_says_what_it_takes_and_not_what_its_model_is_told(ada: httpx.Client) -> None:
    clerk = ok(ada.get("/v1/agents/clerk"))
    assert clerk["model"] == "model-clerk"
    assert {"name": "pay", "description": "Pay an amount."} in clerk["tools"]
    assert "secret" not in ada.get("/v1/agents/echo").text


def test_an_agent_out_of_reach_is_not_found(api: Api, ada: httpx.Client) -> None:
    problem(ada.get("/v1/agents/nobody"), 404, "agent_not_found")
    few = api.as_("ada", agents="echo")
    problem(few.get("/v1/agents/hidden"), 404, "agent_not_found")
    problem(few.post("/v1/runs", json={"agent": "hidden", "input": "Hi"}), 404, "agent_not_found")
    problem(few.get("/v1/runs?agent=hidden"), 404, "agent_not_found")
