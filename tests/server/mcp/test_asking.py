"""Runs that wait for a person: asked by the client, by a tool, or elsewhere."""

import asyncio
from typing import Any

import pytest
from mcp.client import ClientRequestContext
from mcp.types import (
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_client import about, over_http, text
from runs_api import Api, ok

from kern.run.agent import RunOutput
from kern.run.requirement import RunRequirement, UserInputField
from kern.server.mcp.asking import answer_of, question_of

MAY = "ada;runs,approve;"


class Person:
    """Answers what a client is asked to show."""

    def __init__(self, *answers: ElicitResult) -> None:
        self.asked: list[ElicitRequestFormParams] = []
        self._answers = [*answers]

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params)
        return self._answers.pop(0)


def accept(**content: Any) -> ElicitResult:
    return ElicitResult(action="accept", content=content)


@pytest.mark.parametrize(
    ("what", "answer", "says"),
    [
        ("pay", accept(), "The call says: paid 5"),
        ("send", accept(), "The call says: sent to ada"),
        ("book", accept(city="Rome"), "The call says: booked 2 nights in Rome"),
        ("fetch", accept(result="A page."), "The call says: A page."),
        ("ask_user", accept(answer_1="Sea"), "Sea"),
        ("pay", ElicitResult(action="decline"), "a person has rejected this call"),
    ],
)
async def test_the_client_asks_its_user(
    api: Api, what: str, answer: ElicitResult, says: str
) -> None:
    person = Person(answer)
    async with over_http(api.url, MAY, elicitation_callback=person) as client:
        result = await client.call_tool("clerk", {"input": what})
    assert says in text(result)
    assert about(result)["status"] == "COMPLETED"
    [asked] = person.asked
    assert asked.message.startswith("clerk: ")
    run = ok(api.as_("ada").get(f"/v1/runs/{about(result)['run_id']}"))
    assert run["status"] == "COMPLETED"


async def test_a_question_that_is_put_aside_leaves_the_run_waiting(api: Api) -> None:
    person = Person(ElicitResult(action="cancel"))
    async with over_http(api.url, MAY, elicitation_callback=person) as client:
        result = await client.call_tool("clerk", {"input": "pay"})
        assert about(result)["status"] == "PAUSED"
        assert len(person.asked) == 1
        person._answers = [accept()]
        result = await client.call_tool("get_run", {"run_id": about(result)["run_id"]})
    assert text(result) == "The call says: paid 5"


async def test_what_somebody_else_has_answered_meanwhile_counts(api: Api) -> None:
    async with over_http(api.url, MAY, elicitation_callback=Person()) as client:
        first = await client.session.call_tool(
            "clerk", {"input": "send"}, allow_input_required=True
        )
        assert isinstance(first, InputRequiredResult)
        assert first.request_state is not None
        [requirement] = first.input_requests or {}
        decided = {"requirements": [{"id": requirement, "confirmed": False, "note": "No."}]}
        path = f"/v1/runs/{first.request_state}/continue"
        ok(api.as_("ada", "runs,approve").post(path, json=decided), 202)
        result = await client.session.call_tool(
            "clerk",
            {"input": "send"},
            input_responses={requirement: accept()},
            request_state=first.request_state,
        )
    assert "a person has rejected this call. No." in text(result)


async def test_an_answer_of_another_shape_changes_nothing(api: Api) -> None:
    async with over_http(api.url, MAY, elicitation_callback=Person()) as client:
        first = await client.session.call_tool(
            "clerk", {"input": "book"}, allow_input_required=True
        )
        assert isinstance(first, InputRequiredResult)
        [requirement] = first.input_requests or {}
        for responses in (
            {"unknown": accept()},
            {requirement: accept(town="Rome")},
            {requirement: accept(city=["Rome"])},
        ):
            result = await client.session.call_tool(
                "clerk",
                {"input": "book"},
                input_responses=responses,  # type: ignore[arg-type]
                request_state=first.request_state,
                allow_input_required=True,
            )
            assert isinstance(result, InputRequiredResult) or result.is_error
        other = await client.session.call_tool(
            "echo",
            {"input": "book"},
            input_responses={requirement: accept(city="Rome")},
            request_state=first.request_state,
        )
        assert about(other)["code"] == "invalid_input"
    run = ok(api.as_("ada").get(f"/v1/runs/{first.request_state}"))
    assert run["status"] == "PAUSED"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_cannot_ask_is_told_what_the_run_waits_for(api: Api, mode: str) -> None:
    async with over_http(api.url, MAY, mode=mode) as client:
        result = await client.call_tool("clerk", {"input": "pay"})
        assert about(result)["status"] == "PAUSED"
        assert 'may it call pay({"amount": 5})?' in text(result)
        [requirement] = about(result)["requirements"]
        run_id = about(result)["run_id"]
        named = {"run_id": run_id, "id": requirement["id"]}
        for bad in ({}, {"confirmed": True, "note": "x"}, {"values": {"x": 1}}):
            refused = await client.call_tool("answer_run", {**named, **bad})
            assert refused.is_error
        unknown = {**named, "id": "other", "confirmed": True}
        assert about(await client.call_tool("answer_run", unknown))["code"] == "unknown_requirement"
        result = await client.call_tool("answer_run", {**named, "confirmed": True})
        assert text(result) == "The call says: paid 5"
        late = await client.call_tool("answer_run", {**named, "confirmed": True})
        assert about(late)["code"] in ("wrong_status", "run_conflict")


async def test_who_may_not_approve_is_not_asked(api: Api) -> None:
    person = Person()
    async with over_http(api.url, "ada;runs;", elicitation_callback=person) as client:
        result = await client.call_tool("clerk", {"input": "pay"})
        assert about(result)["status"] == "PAUSED"
        assert "a person answers it where the runs are shown" in text(result)
        assert not person.asked
        run_id = about(result)["run_id"]
        [requirement] = about(result)["requirements"]
        sneaked = await client.session.call_tool(
            "clerk",
            {"input": "pay"},
            input_responses={requirement["id"]: accept()},
            request_state=run_id,
        )
        assert about(sneaked)["status"] == "PAUSED"
        waiting = asyncio.create_task(client.call_tool("get_run", {"run_id": run_id}))
        assert about(await waiting)["status"] == "PAUSED"


def test_forms_have_what_forms_can_have() -> None:
    run: RunOutput[Any] = RunOutput("run", "session", "agent")
    fields = [
        UserInputField("count", "int"),
        UserInputField("tags", "list", "What it is about."),
        UserInputField("size", "str", required=False),
        UserInputField("known", "str", value="there"),
    ]
    requirement = RunRequirement("r", "user_input", user_input_schema=fields)
    form = question_of(run, requirement).requested_schema
    assert [*form["properties"]] == ["count", "tags", "size"]
    assert form["required"] == ["count", "tags"]
    assert form["properties"]["count"]["type"] == "integer"
    assert form["properties"]["tags"]["description"] == "What it is about. A list, as JSON."
    answer = answer_of(requirement, accept(count=2, tags='["a"]'))
    assert answer is not None
    assert answer.values == {"count": 2, "tags": ["a"]}
    answer = answer_of(requirement, accept(count=2, tags="no JSON"))
    assert answer is not None
    assert answer.values == {"count": 2, "tags": "no JSON"}
