"""Answers that have a type: asked for, read, repaired, kept, and read back."""

import json
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

import pytest
from locally import ANY_LOCALLY, LOCALLY_OR_NONE
from pydantic import BaseModel, Field

from kern import Agent, UsageLimits
from kern.agent import FollowupConfig
from kern.db.database import Database
from kern.errors import ConfigurationError, InvalidInputError, ModelError, OutputSchemaError
from kern.run.agent import RunCompletedEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.steps import TYPED_VERSION
from kern.testing import Reply, ScriptedModel


class City(BaseModel):
    name: str
    people: int = Field(gt=0)


class Country(BaseModel):
    name: str
    capital: City


BONN = '{"name": "Bonn", "people": 336465}'
PARIS = '{"name": "France", "capital": {"name": "Paris", "people": 2102650}}'


def scripted(*answers: Any) -> ScriptedModel:
    return ScriptedModel(answers)


@LOCALLY_OR_NONE
async def test_the_content_is_an_instance(any_db: Database | None) -> None:
    agent = Agent("Geographer", scripted(BONN), output_schema=City, db=any_db)
    run = await agent.arun("Bonn?")
    assert run.content == City(name="Bonn", people=336465)
    assert run.content_type == "City"
    assert run.to_dict()["content"] == {"name": "Bonn", "people": 336465}
    again: RunOutput[Any] = RunOutput.from_dict(run.to_dict())
    assert again.content == {"name": "Bonn", "people": 336465}
    assert run.get_content_as_string() == '{"name":"Bonn","people":336465}'
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert model.requests[0].output_schema is not None
    assert model.requests[0].output_schema.name == "City"


@pytest.mark.parametrize("any_db", ["postgres", "sqlite", "memory"], indirect=True)
@pytest.mark.parametrize("is_own", [True, False])
async def test_it_is_read_back_as_the_same_type(any_db: Database, is_own: bool) -> None:
    schema = None if is_own else City
    agent = Agent[Any, City]("Geographer", scripted(BONN), output_schema=schema, db=any_db)
    given: dict[str, Any] = {"output_schema": City} if is_own else {}
    accepted = await agent.arun("Bonn?", background=True, **given)
    ended = await agent.await_run(accepted.run_id, timeout=30)
    bonn = City(name="Bonn", people=336465)
    assert ended is not None
    assert ended.content == bonn
    found = await agent.aget_run_output(accepted.run_id)
    assert found is not None
    assert (found.content, found.content_type) == (bonn, "City")
    [listed] = await agent.alist_runs()
    assert listed.content is None
    last = [event async for event in agent.astream_run(accepted.run_id)][-1]
    assert isinstance(last, RunCompletedEvent)
    assert (last.content, last.content_type) == (bonn, "City")
    again = Agent[Any, Any]("Geographer", scripted(), db=any_db)
    seen = await again.aget_run_output(accepted.run_id)
    assert seen is not None
    assert seen.content == (bonn if is_own else {"name": "Bonn", "people": 336465})


@LOCALLY_OR_NONE
@pytest.mark.parametrize(
    ("schema", "answer", "content"),
    [
        (City | Country, PARIS, Country.model_validate_json(PARIS)),
        (list[City], f'{{"result": [{BONN}]}}', [City.model_validate_json(BONN)]),
        (Literal["yes", "no"], '{"result": "no"}', "no"),
        (int, '{"result": 7}', 7),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1}', {"a": 1}),
    ],
)
async def test_a_run_may_have_a_schema_of_its_own(
    schema: Any, answer: str, content: object, any_db: Database | None
) -> None:
    agent = Agent("Geographer", scripted(answer, BONN), output_schema=City, db=any_db)
    run: RunOutput[Any] = await agent.arun("Where?", output_schema=schema)
    assert run.content == content
    assert (await agent.arun("And Bonn?")).content == City.model_validate_json(BONN)


@LOCALLY_OR_NONE
async def test_an_answer_that_does_not_fit_is_asked_for_again(any_db: Database | None) -> None:
    model = scripted('{"name": "Bonn", "people": 0}', f"```json\n{BONN}\n```")
    agent = Agent("Geographer", model, output_schema=City, db=any_db)
    events = [event async for event in agent.arun("Bonn?", stream=True, stream_events=True)]
    assert isinstance(events[-1], RunCompletedEvent)
    assert events[-1].content == City.model_validate_json(BONN)
    told = model.requests[1].messages
    assert [each.role for each in told] == ["user", "assistant", "user"]
    assert "people: Input should be greater than 0" in told[-1].text
    text = ""
    for event in events:
        if event.event == "RunContent":
            text += event.content or ""
        elif event.event == "RunContentVoided":
            text = text.removesuffix(event.content or "")
    assert text == f"```json\n{BONN}\n```"


@LOCALLY_OR_NONE
async def test_it_is_asked_for_so_often_and_no_more(any_db: Database | None) -> None:
    model = scripted("I do not know.", "Still not.", "Never.", BONN)
    agent = Agent("Geographer", model, output_schema=City, output_retries=2, db=any_db)
    with pytest.raises(OutputSchemaError, match=r"no City.*holds no JSON.*asked 3 times") as raised:
        await agent.arun("Bonn?", run_id="run")
    assert raised.value.content == "Never."
    assert len(model.requests) == 3
    if any_db is not None:
        found: RunOutput[Any] | None = await agent.aget_run_output("run")
        assert found is not None
        assert (found.status, found.error_kind) == (RunStatus.error, "OutputSchemaError")
        assert (found.content, found.content_type) == ("Never.", "str")
        assert found.metrics.model_calls == 3


async def test_a_refusal_and_a_cut_are_not_repaired() -> None:
    model = scripted(Reply.refusal("No."), Reply.incomplete('{"name": "Bo'))
    agent = Agent("Geographer", model, output_schema=City)
    with pytest.raises(ModelError, match="declined to answer: No") as refused:
        await agent.arun("Bonn?")
    assert (refused.value.kind, refused.value.content) == ("refused", "No.")
    with pytest.raises(ModelError) as cut:
        await agent.arun("Bonn?")
    assert cut.value.kind == "output_limit"
    assert len(model.requests) == 2


@LOCALLY_OR_NONE
async def test_tools_are_called_before_the_answer(any_db: Database | None) -> None:
    def count(city: str) -> int:
        """Count the people of a city."""
        return 336465

    model = scripted(Reply.tool_calls(("count", {"city": "Bonn"})), BONN)
    agent = Agent("Geographer", model, tools=[count], output_schema=City, db=any_db)
    run = await agent.arun("Bonn?")
    assert run.content == City(name="Bonn", people=336465)
    assert [each.result for each in run.tools] == ["336465"]


@LOCALLY_OR_NONE
async def test_pieces_have_what_there_is_of_the_value(any_db: Database | None) -> None:
    model = scripted(Reply.text('{"name": "Bo', 'nn", "peo', 'ple": 336465}'))
    agent = Agent("Geographer", model, output_schema=City, db=any_db)
    pieces: list[object] = []
    last: object = None
    async for event in agent.arun("Bonn?", stream=True):
        pieces.append(getattr(event, "partial", None))
        last = event.content
    assert pieces[:3] == [
        {"name": "Bo"},
        {"name": "Bonn"},
        {"name": "Bonn", "people": 336465},
    ]
    assert last == City(name="Bonn", people=336465)


async def test_a_tool_may_give_the_answer() -> None:
    def look() -> str:
        """Look."""
        return "Bonn"

    model = scripted(
        Reply.tool_calls(("look", {})), Reply.tool_calls(("final_answer", json.loads(BONN)))
    )
    model.supports_native_structured_outputs = False
    agent = Agent("Geographer", model, tools=[look], output_schema=City)
    assert (await agent.arun("Bonn?")).content == City.model_validate_json(BONN)
    assert [each.name for each in model.requests[0].tools] == ["look", "final_answer"]
    assert model.requests[0].tool_choice == "required"


async def test_json_mode_is_a_choice() -> None:
    model = scripted(BONN, BONN)
    agent = Agent("Geographer", model, output_schema=City, use_json_mode=True)
    assert (await agent.arun("Bonn?")).content == City.model_validate_json(BONN)
    assert "JSON Schema" in model.requests[0].messages[0].text
    agent.use_json_mode = False
    await agent.arun("Bonn?")
    assert len(model.requests[1].messages) == 1


async def test_the_text_may_stay_as_it_is() -> None:
    agent = Agent[Any, str]("G", scripted("No JSON."), output_schema=City, parse_response=False)  # type: ignore[arg-type] # it is not read
    assert (await agent.arun("Bonn?")).content == "No JSON."


async def test_the_schema_can_be_set_between_runs() -> None:
    agent: Agent[Any, Any] = Agent("Geographer", scripted("Bonn.", BONN))
    assert (await agent.arun("Bonn?")).content == "Bonn."
    agent.output_schema = City
    assert (await agent.arun("Bonn?")).content == City.model_validate_json(BONN)
    assert agent.output_schema is City


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Agent("G", output_schema=object()), "output_schema <object"),  # type: ignore[call-overload] # tested
        (lambda: Agent("G", output_schema=print), "output_schema"),  # type: ignore[call-overload] # tested
        (lambda: Agent("G", output_retries=-1), "output_retries"),
        (lambda: Agent("G", parser_model=5), "model"),  # type: ignore[call-overload] # tested
        (lambda: Agent("G", followups="yes"), "followups"),  # type: ignore[call-overload] # tested
        (lambda: Agent("G", followups=True, num_followups=0), "num_followups"),
        (lambda: FollowupConfig(min_followups=4, max_followups=2), "the least not above"),
        (lambda: FollowupConfig(num_followups="3"), "whole numbers"),  # type: ignore[arg-type] # tested
        (lambda: Agent("G", output_model_prompt=5), "output_model_prompt"),  # type: ignore[call-overload] # tested
    ],
)
def test_what_cannot_be_used_is_refused_when_the_agent_is_made(
    made: Callable[[], object], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        made()


async def test_a_run_refuses_a_type_without_a_form() -> None:
    agent = Agent("Geographer", scripted(BONN))
    with pytest.raises(ConfigurationError, match="output_schema"):
        await agent.arun("Bonn?", output_schema=print)  # type: ignore[call-overload] # tested


async def test_repairs_count_against_the_limits() -> None:
    agent = Agent(
        "Geographer",
        scripted("No.", "No.", BONN),
        output_schema=City,
        output_retries=5,
        usage_limits=UsageLimits(requests=2),
    )
    with pytest.raises(Exception, match="requests=2"):
        await agent.arun("Bonn?")


@LOCALLY_OR_NONE
async def test_an_input_may_have_a_type_too(any_db: Database | None) -> None:
    agent = Agent("Geographer", scripted("Yes.", "Yes.", "Yes."), input_schema=City, db=any_db)
    for given in (
        City(name="Bonn", people=3),
        {"name": "Bonn", "people": 3},
        '{"name": "Bonn", "people": 3}',
    ):
        run = await agent.arun(given)
        assert run.messages[0].text == '{"name":"Bonn","people":3}'
    with pytest.raises(InvalidInputError, match="no City: people: Input should be greater than 0"):
        await agent.arun({"name": "Bonn", "people": 0})
    with pytest.raises(InvalidInputError, match="no City"):
        await agent.arun("Bonn?")
    with pytest.raises(ConfigurationError, match="input_schema"):
        Agent("G", input_schema=print)
    if any_db is not None:
        await agent.aschedule("daily", {"name": "Bonn", "people": 3}, cron="0 2 * * *")


@pytest.mark.parametrize("any_db", ["postgres", "sqlite", "memory"], indirect=True)
@pytest.mark.parametrize("retries", [0, 1])
async def test_a_retried_run_asks_again(any_db: Database, retries: int) -> None:
    model = scripted(*["No."] * (retries + 1), BONN)
    agent = Agent("Geographer", model, output_schema=City, output_retries=retries, db=any_db)
    run = await agent.arun("Bonn?", background=True)
    failed = await agent.await_run(run.run_id, timeout=30)
    assert failed is not None
    assert (failed.status, failed.error_kind) == (RunStatus.error, "OutputSchemaError")
    assert len(model.requests) == retries + 1
    await agent.aretry_run(run.run_id)
    done = await agent.await_run(run.run_id, timeout=30)
    assert done is not None
    assert done.content == City.model_validate_json(BONN)
    assert "does not fit" in model.requests[-1].messages[-1].text


@pytest.mark.parametrize("any_db", ["postgres", "sqlite", "memory"], indirect=True)
async def test_a_fork_keeps_the_schema_of_its_origin(any_db: Database) -> None:
    model = scripted(BONN, BONN)
    agent: Agent[Any, Any] = Agent("Geographer", model, db=any_db)
    await agent.arun("Bonn?", run_id="first", output_schema=City)
    await agent.acontinue_run("first", from_seq=1, new_run_id="second")
    second = await agent.await_run("second", timeout=30)
    assert second is not None
    assert second.content == City.model_validate_json(BONN)


async def test_a_run_that_was_given_a_type_is_executed_without_it(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kern.models.form

    agent: Agent[Any, Any] = Agent(
        "Geographer", scripted('{"name": "Bonn", "people": 0}', BONN), db=sqlite_db
    )
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    await agent.arun("Bonn?", background=True, run_id="run", output_schema=City)
    record = await (await sqlite_db.store()).get("run")
    assert record is not None
    assert record.output_schema is not None
    assert record.journal_version == 2
    # As in a process that has never seen the type.
    monkeypatch.setattr(kern.models.form, "_known", OrderedDict())
    monkeypatch.setattr("sys.modules", {**sys.modules, __name__: None})
    form = kern.models.form.Form.from_json(record.output_schema)
    with pytest.raises(kern.models.form.UnfitError, match="people"):
        form.read('{"name": "Bonn", "people": 0}')
    assert form.read(BONN) == {"name": "Bonn", "people": 336465}
    assert form.content_type == "City"


@ANY_LOCALLY
@pytest.mark.parametrize("is_parsed", [False, True])
async def test_a_run_whose_model_has_declined_asks_again_where_it_is_retried(
    any_db: Database, is_parsed: bool
) -> None:
    model, parser = scripted(Reply.refusal("No."), BONN), scripted(BONN)
    agent: Agent[Any, Any] = Agent(
        "Geographer",
        model,
        output_schema=City,
        parser_model=parser if is_parsed else None,
        db=any_db,
    )
    run = await agent.arun("Bonn?", background=True)
    failed = await agent.await_run(run.run_id, timeout=30)
    assert failed is not None
    assert failed.error_kind == "ModelError"
    assert str(failed.content) == "No."
    await agent.aretry_run(run.run_id)
    done = await agent.await_run(run.run_id, timeout=30)
    assert done is not None
    assert done.content == City.model_validate_json(BONN)
    assert (len(model.requests), len(parser.requests)) == (2, int(is_parsed))


async def test_a_fork_by_an_agent_with_a_schema_is_for_those_who_know_of_schemas(
    sqlite_db: Database,
) -> None:
    model = scripted("Text.", BONN)
    await Agent("Geographer", model, db=sqlite_db).arun("Bonn?", run_id="first")
    agent = Agent("Geographer", model, output_schema=City, db=sqlite_db)
    await agent.acontinue_run("first", from_seq=1, new_run_id="second")
    second = await agent.await_run("second", timeout=30)
    assert second is not None
    assert second.content == City.model_validate_json(BONN)
    record = await (await sqlite_db.store()).get("second")
    assert record is not None
    assert record.journal_version >= TYPED_VERSION
