"""A run pauses for whatever a person has to do, and goes on with just what was answered."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kern.agent import Agent
from kern.errors import InvalidInputError, RunStateError
from kern.exceptions import ApprovalRequired
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.requirement import RunRequirement
from kern.testing import Reply, ResponsesServer
from kern.tools import tool
from kern.tools.user_control_flow import UserControlFlowTools
from kern.tools.user_feedback import UserFeedbackTools


class Desk:
    """An agent without a database, whose tools note what they do."""

    def __init__(self, model: OpenAIResponses, server: ResponsesServer) -> None:
        self.model = model
        self.server = server
        self.made: list[str] = []
        self.agent = Agent("Desk", model)

    async def paused(
        self, tools: Sequence[Any], *calls: tuple[str, Mapping[str, Any]]
    ) -> RunOutput:
        self.agent = Agent("Desk", self.model, tools=tools)
        self.server.script += [Reply.tool_calls(*calls), Reply.text("Well.")]
        run: RunOutput = await self.agent.arun("Do it.", run_id="run")
        assert run.is_paused, run
        return run

    async def go_on(
        self,
        run: RunOutput,
        requirements: Sequence[RunRequirement] | None = None,
        results: Mapping[str, str] | None = None,
    ) -> RunOutput:
        return await self.agent.acontinue_run(run, requirements=requirements, results=results)

    def send(self, to: str, subject: str = "Hello") -> str:
        """Send a mail.

        Args:
            to: to whom.
            subject: what about.
        """
        self.made.append(f"{subject} to {to}")
        return "sent"

    def told(self) -> list[str]:
        items = self.server.requests[-1].body["input"]
        return [item["output"] for item in items if "output" in item]


@pytest.fixture
def desk(model: OpenAIResponses, server: ResponsesServer) -> Desk:
    return Desk(model, server)


async def test_a_person_gives_the_arguments_that_the_model_is_not_told_of(desk: Desk) -> None:
    send = tool(user_input_fields=["to"])(desk.send)
    run = await desk.paused([send], ("send", {"subject": "Rent"}))
    [told] = desk.server.requests[0].body["tools"]
    assert [*told["parameters"]["properties"]] == ["subject"]
    [requirement] = run.active_requirements
    assert requirement.needs_user_input
    assert run.tools_requiring_user_input == [requirement.tool_execution] == run.tools
    to, subject = requirement.user_input_schema or []
    assert (to.name, to.field_type, to.description, to.value) == ("to", "str", "to whom.", None)
    assert (subject.name, subject.value) == ("subject", "Rent")
    to.value = "Ada"
    ended = await desk.go_on(run)
    assert (ended.status, desk.made) == (RunStatus.completed, ["Rent to Ada"])
    assert ended.tools[0].tool_args == {"to": "Ada", "subject": "Rent"}


async def test_without_fields_a_person_gives_all_arguments(desk: Desk) -> None:
    run = await desk.paused([tool(requires_user_input=True)(desk.send)], ("send", {}))
    run.requirements[0].provide_user_input({"to": "Ada", "subject": "Rent"})
    await desk.go_on(run)
    assert desk.made == ["Rent to Ada"]


async def test_a_call_that_is_made_elsewhere_gets_the_result_that_was_given(desk: Desk) -> None:
    run = await desk.paused([tool(external_execution=True)(desk.send)], ("send", {"to": "Ada"}))
    [waiting] = run.tools_awaiting_external_execution
    assert (waiting.tool_args, waiting.is_paused) == ({"to": "Ada"}, True)
    run.requirements[0].set_external_execution_result("sent by hand")
    ended = await desk.go_on(run)
    assert (desk.made, desk.told(), ended.content) == ([], ["sent by hand"], "Well.")


async def test_the_result_of_such_a_call_ends_the_run_where_its_tool_says_so(desk: Desk) -> None:
    send = tool(external_execution=True, stop_after_tool_call=True)(desk.send)
    run = await desk.paused([send], ("send", {"to": "Ada"}))
    ended = await desk.go_on(run, results={run.tools[0].tool_call_id: "sent by hand"})
    assert (ended.status, ended.content) == (RunStatus.completed, "sent by hand")


async def test_a_call_is_made_with_the_arguments_that_a_person_has_put_right(desk: Desk) -> None:
    run = await desk.paused(
        [tool(requires_confirmation=True)(desk.send)], ("send", {"to": "Eve", "subject": "Rent"})
    )
    run.requirements[0].confirm(tool_args={"to": "Ada", "subject": "Rent"})
    ended = await desk.go_on(run)
    assert desk.made == ["Rent to Ada"]
    assert ended.tools[0].tool_args["to"] == "Ada"
    said = next(each for each in ended.messages if each.tool_calls)
    assert json.loads(said.tool_calls[0].arguments)["to"] == "Eve", "as the model wrote it"


async def test_a_function_of_the_arguments_says_whether_a_person_is_asked(desk: Desk) -> None:
    def is_far(to: str, run_context: RunContext) -> bool:
        return to != "me" and run_context.run_id == "run"

    send = tool(requires_confirmation=is_far)(desk.send)
    run = await desk.paused([send], ("send", {"to": "me"}), ("send", {"to": "Ada"}))
    assert desk.made == ["Hello to me"]
    assert [each.tool_args["to"] for each in run.tools_requiring_confirmation] == ["Ada"]


async def test_where_that_function_fails_a_person_is_asked(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async def judge(arguments: dict[str, Any]) -> bool:
        raise LookupError(arguments["to"])

    run = await desk.paused([tool(requires_confirmation=judge)(desk.send)], ("send", {"to": "Ada"}))
    assert (desk.made, len(run.active_requirements)) == ([], 1)
    assert "LookupError: Ada" in caplog.text


async def test_a_tool_asks_for_a_person_while_it_is_made(desk: Desk) -> None:
    def refund(amount: int, run_context: RunContext) -> str:
        if amount > 100 and not run_context.is_approved:
            raise ApprovalRequired(f"Refund {amount}?")
        desk.made.append(f"refund {amount}")
        return "refunded"

    run = await desk.paused([refund], ("refund", {"amount": 5}), ("refund", {"amount": 500}))
    assert desk.made == ["refund 5"]
    [requirement] = run.active_requirements
    assert (requirement.id, requirement.call) == ("run/1/1/0", "run/1/1")
    assert (requirement.message, requirement.needs_confirmation) == ("Refund 500?", True)
    requirement.confirm()
    ended = await desk.go_on(run)
    assert (desk.made, ended.content) == (["refund 5", "refund 500"], "Well.")


async def test_what_a_tool_asks_for_it_finds_when_it_is_made_again(desk: Desk) -> None:
    async def book(run_context: RunContext) -> str:
        if len(run_context.answers) < 2:
            raise ApprovalRequired(fields=["seat" if run_context.answers else "day"])
        desk.made += [str(each.values) for each in run_context.answers]
        return "booked"

    run = await desk.paused([book], ("book", {}))
    run.requirements[0].provide_user_input({"day": "Monday"})
    again = await desk.go_on(run)
    assert again.is_paused
    assert [each.id for each in again.requirements] == ["run/1/0/1"]
    again.requirements[0].provide_user_input({"seat": "7A"})
    ended = await desk.go_on(again)
    assert ended.status is RunStatus.completed
    assert desk.made == ["{'day': 'Monday'}", "{'seat': '7A'}"]


async def test_a_hook_around_calls_asks_for_a_person(desk: Desk) -> None:
    def guard(function_name: str, function: Any, arguments: Any, run_context: RunContext) -> Any:
        if not run_context.is_approved:
            raise ApprovalRequired
        return function(**arguments)

    run = await desk.paused([tool(tool_hooks=[guard])(desk.send)], ("send", {"to": "Ada"}))
    assert desk.made == []
    run.requirements[0].reject("Not today.")
    await desk.go_on(run)
    assert (desk.made, len(desk.told())) == ([], 1)
    assert "Not today." in desk.told()[0]


async def test_a_model_asks_the_user_to_choose(desk: Desk) -> None:
    question = {
        "question": "Where to?",
        "header": "Goal",
        "options": [{"label": "Sea", "description": "Wet"}, {"label": "Hills"}],
    }
    run = await desk.paused([UserFeedbackTools()], ("ask_user", {"questions": [question]}))
    [requirement] = run.active_requirements
    assert requirement.needs_user_feedback
    [asked] = requirement.user_feedback_schema or []
    assert (asked.header, [each.label for each in asked.options]) == ("Goal", ["Sea", "Hills"])
    requirement.provide_user_feedback({"Where to?": ["Hills"]})
    ended = await desk.go_on(run)
    assert (ended.status, desk.told()) == (RunStatus.completed, ['{"Where to?":"Hills"}'])


async def test_a_model_asks_the_user_for_values(desk: Desk) -> None:
    fields = [
        {"field_name": "to", "field_type": "str", "field_description": "To whom"},
        {"field_name": "copies", "field_type": "int", "field_description": "How many"},
    ]
    run = await desk.paused(
        [UserControlFlowTools()], ("get_user_input", {"user_input_fields": fields})
    )
    [requirement] = run.active_requirements
    for each in requirement.user_input_schema or []:
        each.value = "Ada" if each.name == "to" else "3"
    await desk.go_on(run)
    assert desk.told() == ['{"to":"Ada","copies":3}']


async def test_who_answers_a_call_answers_what_it_waits_for(desk: Desk) -> None:
    run = await desk.paused([tool(requires_confirmation=True)(desk.send)], ("send", {"to": "Ada"}))
    for call in run.tools_requiring_confirmation:
        call.confirmed = True
    await desk.go_on(run)
    assert desk.made == ["Hello to Ada"]


async def test_a_paused_run_goes_on_from_its_json(desk: Desk) -> None:
    run = await desk.paused([tool(requires_confirmation=True)(desk.send)], ("send", {"to": "Ada"}))
    again: RunOutput = RunOutput.from_dict(json.loads(run.to_json()))
    assert again.tools[0] is again.requirements[0].tool_execution
    again.requirements[0].confirm()
    ended = await desk.go_on(again)
    assert (ended.status, ended.content, desk.made) == (
        RunStatus.completed,
        "Well.",
        ["Hello to Ada"],
    )


async def test_a_paused_output_goes_on_once(desk: Desk) -> None:
    run = await desk.paused([tool(requires_confirmation=True)(desk.send)], ("send", {"to": "Ada"}))
    run.requirements[0].confirm()
    await desk.go_on(run)
    with pytest.raises(RunStateError, match="gone on already"):
        await desk.go_on(run)
    assert desk.made == ["Hello to Ada"]


async def test_one_answer_of_two_is_kept_and_the_other_is_asked_again(desk: Desk) -> None:
    send = tool(requires_confirmation=True)(desk.send)
    run = await desk.paused([send], ("send", {"to": "Ada"}), ("send", {"to": "Bob"}))
    run.requirements[0].confirm()
    again = await desk.go_on(run)
    assert (again.is_paused, desk.made) == (True, ["Hello to Ada"])
    [left] = again.active_requirements
    assert (left.id, left.created_at) == ("run/1/1", run.requirements[1].created_at)
    left.reject()
    ended = await desk.go_on(again)
    assert (ended.status, desk.made) == (RunStatus.completed, ["Hello to Ada"])


def _other_call(requirement: RunRequirement) -> None:
    requirement.tool_execution.arguments = '{"to": "Eve"}'


def _other_view(requirement: RunRequirement) -> None:
    requirement.tool_execution.tool_args["to"] = "Eve"


def _other_tool(requirement: RunRequirement) -> None:
    requirement.tool_execution.tool_name = "look"


@pytest.mark.parametrize("change", [_other_call, _other_view, _other_tool])
async def test_an_answer_to_another_call_is_refused(desk: Desk, change: Any) -> None:
    run = await desk.paused([tool(requires_confirmation=True)(desk.send)], ("send", {"to": "Ada"}))
    shown = RunRequirement.from_dict(run.requirements[0].to_dict())
    change(shown)
    shown.confirm()
    with pytest.raises(RunStateError, match="another call"):
        await desk.go_on(run, [shown])
    run.requirements[0].confirm()
    await desk.go_on(run)
    assert desk.made == ["Hello to Ada"], "it goes on with the right answer"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 5),
        ("id", []),
        ("tool_execution", None),
        ("tool_execution", {"tool_name": "send"}),
        ("confirmation", "yes"),
        ("confirmation", 1),
        ("confirmation_note", 5),
        ("confirmation_note", "x" * 2_000_000),
        ("external_execution_result", {"sent": True}),
        ("arguments", "[]"),
        ("arguments", '{"to": 5}'),
        ("arguments", '{"to": "Ada", "bcc": "Eve"}'),
        ("arguments", "{}"),
        ("arguments", '{"to": "' + "x" * 2_000_000 + '"}'),
    ],
)
async def test_an_answer_of_another_kind_is_refused(desk: Desk, name: str, value: Any) -> None:
    run = await desk.paused([tool(requires_confirmation=True)(desk.send)], ("send", {"to": "Ada"}))
    [requirement] = run.requirements
    requirement.confirmation = True
    setattr(requirement, name, value)
    with pytest.raises(InvalidInputError):
        await desk.go_on(run)
    assert desk.made == []
    assert run.kept is not None, "it can be answered anew"


async def test_an_answer_that_is_no_dict_is_refused(desk: Desk) -> None:
    run = await desk.paused([tool(requires_confirmation=True)(desk.send)], ("send", {"to": "Ada"}))
    [requirement] = run.requirements
    for wrong in ([1], "to", 5, [("to", "Eve")]):
        answers: Any = wrong
        for answer in (
            requirement.confirm,
            requirement.provide_user_input,
            requirement.provide_user_feedback,
        ):
            with pytest.raises(InvalidInputError, match="must be a dict"):
                answer(answers)
        with pytest.raises(InvalidInputError, match="must be a"):
            await desk.go_on(run, results=answers)
    results: Any = {5: "sent"}
    with pytest.raises(InvalidInputError, match="The result of 5"):
        await desk.go_on(run, results=results)
    assert not requirement.is_resolved()


@pytest.mark.parametrize("value", [5, [], {}, True, object(), float("nan"), "x" * 2_000_000])
async def test_a_value_of_another_kind_is_refused(desk: Desk, value: Any) -> None:
    run = await desk.paused([tool(user_input_fields=["to"])(desk.send)], ("send", {}))
    [to, _] = run.requirements[0].user_input_schema or []
    to.value = value
    with pytest.raises(InvalidInputError):
        await desk.go_on(run)
    assert desk.made == []


async def test_what_is_asked_cannot_be_changed_with_the_answer(desk: Desk) -> None:
    async def book(run_context: RunContext) -> str:
        if not run_context.answers:
            raise ApprovalRequired(fields=["day"])
        return str(run_context.answers[0].values)

    run = await desk.paused([book], ("book", {}))
    given = RunRequirement.from_dict(run.requirements[0].to_dict())
    given.provide_user_input({"day": "Monday"})
    given.passes, given.kind, given.call, given.strict = False, "confirmation", "run/9/9", True
    await desk.go_on(run, [given])
    assert desk.told() == ["{'day': 'Monday'}"]
