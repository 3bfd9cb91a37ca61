"""A call that people were asked for says so, and what they have answered, wherever it is read."""

import json

import pytest

from kern import Agent, InMemoryDb, RunOutput, tool
from kern.db.database import Database
from kern.errors import InvalidInputError
from kern.exceptions import ApprovalRequired
from kern.run import RunContext
from kern.run.requirement import RunRequirement, UserFeedbackQuestion, UserInputField
from kern.run.tool import ToolExecution
from kern.testing import Reply, ScriptedModel
from kern.testing.reply import ToolCall
from kern.tools.user_feedback import UserFeedbackTools


@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


@tool(requires_user_input=True, user_input_fields=["to"])
def mail(subject: str, to: str) -> str:
    """Mail."""
    return f"{subject} to {to}"


@tool(external_execution=True)
def shell(command: str) -> str:
    """Run a command."""
    raise AssertionError(command)


def renew(run_context: RunContext) -> str:
    """Renew."""
    if not run_context.is_approved:
        raise ApprovalRequired("Renew?")
    return "renewed"


CALLS: tuple[ToolCall, ...] = (
    ("pay", {"amount": 1}),
    ("mail", {"subject": "Hi"}),
    ("shell", {"command": "ls"}),
)
QUESTION = {"question": "Which?", "header": "Size", "options": [{"label": "S"}, {"label": "L"}]}


def agent_of(*calls: ToolCall, db: Database | None = None) -> Agent:
    model = ScriptedModel([Reply.tool_calls(*calls), "Done."])
    return Agent("Clerk", model, tools=[pay, mail, shell, renew, UserFeedbackTools()], db=db)


def answer(requirement: RunRequirement) -> None:
    if requirement.needs_confirmation:
        requirement.confirm()
    elif requirement.needs_user_input:
        requirement.provide_user_input({"to": "ada"})
    elif requirement.needs_external_execution:
        requirement.set_external_execution_result("a b")
    else:
        requirement.provide_user_feedback({"Which?": ["L"]})


def check_all(tools: list[ToolExecution]) -> None:
    paid, mailed, ran = tools
    assert (paid.requires_confirmation, paid.confirmed, paid.is_paused) == (True, True, False)
    assert (mailed.requires_user_input, mailed.answered, mailed.is_paused) == (True, True, False)
    fields = mailed.user_input_schema or []
    assert all(isinstance(each, UserInputField) for each in fields)
    assert [(each.name, each.value) for each in fields] == [("subject", "Hi"), ("to", "ada")]
    assert (ran.external_execution_required, ran.result, ran.is_paused) == (True, "a b", False)
    assert (paid.answered, mailed.confirmed, ran.confirmed) == (None, None, None)


@pytest.mark.parametrize("stored", [True, False])
def test_a_call_shows_its_answer_after_the_run_goes_on(stored: bool) -> None:
    agent = agent_of(*CALLS, db=InMemoryDb() if stored else None)
    run = agent.run("Go on.")
    for each in run.active_requirements:
        answer(each)
    run = agent.continue_run(run)
    assert run.content == "Done."
    check_all(run.tools)
    check_all(RunOutput.from_dict(json.loads(json.dumps(run.to_dict()))).tools)
    if stored:
        found = agent.get_run_output(run.run_id)
        assert found is not None
        check_all(found.tools)


@pytest.mark.parametrize("note", ["Too much.", None])
def test_a_rejected_call_shows_the_note(note: str | None) -> None:
    agent = agent_of(*CALLS, db=InMemoryDb())
    run = agent.run("Go on.")
    for each in run.active_requirements:
        each.reject(note)
    run = agent.continue_run(run)
    assert [each.confirmed for each in run.tools] == [False] * 3
    assert [each.confirmation_note for each in run.tools] == [note] * 3
    assert [each.is_paused for each in run.tools] == [False] * 3


def test_questions_show_what_was_chosen() -> None:
    agent = agent_of(("ask_user", {"questions": [QUESTION]}), db=InMemoryDb())
    run = agent.run("Which one?")
    answer(run.active_requirements[0])
    (asked,) = agent.continue_run(run).tools
    (question,) = asked.user_feedback_schema or []
    assert isinstance(question, UserFeedbackQuestion)
    assert (asked.answered, question.selected_options) == (True, ["L"])


def test_what_a_call_has_asked_for_while_it_was_made_shows_too() -> None:
    agent = agent_of(("renew", {}), db=InMemoryDb())
    run = agent.run("Once more.")
    answer(run.active_requirements[0])
    (renewed,) = agent.continue_run(run).tools
    assert (renewed.result, renewed.requires_confirmation, renewed.confirmed) == (
        "renewed",
        True,
        True,
    )


def test_a_second_pause_keeps_the_first_answer() -> None:
    model = ScriptedModel([Reply.tool_calls(*CALLS[:1]), Reply.tool_calls(*CALLS[:1]), "Done."])
    agent = Agent("Clerk", model, tools=[pay], db=InMemoryDb())
    run = agent.run("Go on.")
    run.active_requirements[0].confirm()
    run = agent.continue_run(run)
    assert [each.confirmed for each in run.tools] == [True, None]
    run.active_requirements[0].reject("Enough.")
    run = agent.continue_run(run)
    assert [each.confirmed for each in run.tools] == [True, False]


def test_events_tell_the_answer_with_the_call() -> None:
    agent = agent_of(*CALLS[:1], db=InMemoryDb())
    run = agent.run("Go on.")
    run.active_requirements[0].confirm()
    events = agent.continue_run(run, stream=True, stream_events=True)
    calls = [each.tool for each in events if each.event in ("ToolCallStarted", "ToolCallCompleted")]
    assert [each and each.confirmed for each in calls] == [True, True]


def test_fields_that_are_set_on_the_calls_are_answers() -> None:
    agent = agent_of(*CALLS[1:2], db=InMemoryDb())
    run = agent.run("Go on.")
    for call in run.tools_requiring_user_input:
        for each in call.user_input_schema or ():
            if each.value is None:
                each.value = "ada"
    run = agent.continue_run(run_id=run.run_id, updated_tools=run.tools)
    assert (run.content, run.tools[0].result) == ("Done.", "Hi to ada")


def test_labels_that_are_chosen_on_the_calls_are_answers() -> None:
    agent = agent_of(("ask_user", {"questions": [QUESTION]}), db=InMemoryDb())
    run = agent.run("Which one?")
    (question,) = run.tools[0].user_feedback_schema or []
    question.selected_options = ["L"]
    run = agent.continue_run(run_id=run.run_id, updated_tools=run.tools)
    assert (run.content, run.tools[0].result) == ("Done.", '{"Which?":"L"}')


def test_an_answer_of_another_kind_is_refused_with_the_one_that_fits() -> None:
    agent = agent_of(*CALLS)
    pays, mails, runs = agent.run("Go on.").active_requirements
    with pytest.raises(InvalidInputError, match=r"user_input.*provide_user_input"):
        mails.confirm()
    with pytest.raises(InvalidInputError, match=r"external_execution.*set_external_execution_res"):
        runs.confirm()
    with pytest.raises(InvalidInputError, match=r"confirmation.*confirm\(\)"):
        pays.provide_user_input({"amount": 2})
    with pytest.raises(InvalidInputError, match=r"confirmation.*confirm\(\)"):
        pays.provide_user_feedback({"Pay?": ["Yes"]})
    assert not any(each.is_resolved() for each in (pays, mails, runs))


def test_lineage_is_read_in_the_json_of_a_run_under_its_name() -> None:
    agent = Agent("Clerk", ScriptedModel(["One.", "Two.", "Three."]), db=InMemoryDb())
    run = agent.run("Go on.")
    again = agent.continue_run(run, input="More.").to_dict()
    assert (again["forked_from_run_id"], again["forked_from_message_index"]) == (run.run_id, 2)
    assert RunOutput.from_dict(again).forked_from_run_id == run.run_id
    anew = agent.continue_run(run, regenerate=True).to_dict()
    assert anew["regenerated_from"] == run.run_id
    assert RunOutput.from_dict(anew).regenerated_from == run.run_id


def test_the_default_stream_of_a_run_that_goes_on_can_be_printed() -> None:
    agent = agent_of(*CALLS[:1], db=InMemoryDb())
    (paused,) = agent.run("Go on.", stream=True)
    paused.active_requirements[0].confirm()
    events = agent.continue_run(run_id=paused.run_id, requirements=paused.requirements, stream=True)
    assert "".join(map(str, [paused.content, *(each.content for each in events)])) == "Done."
