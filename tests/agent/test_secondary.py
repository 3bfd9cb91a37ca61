"""Models that are asked after the first one: parser, output model, follow-ups."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from locally import LOCALLY_OR_NONE
from media import holds, png, rows_of
from pydantic import BaseModel, Field
from typing_extensions import override

from kern import Agent, Middleware, RunInfo, UsageLimits
from kern.agent import FollowupConfig
from kern.agent.serving import serve
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import MissingKeyError, OutputSchemaError, UsageLimitError
from kern.execution.middleware import AskModel
from kern.models.anthropic import Claude
from kern.models.base import ModelRequest, ModelResponse
from kern.models.openai import OpenAIResponses
from kern.models.prices import Price
from kern.run.agent import FollowupsCompletedEvent, RunCompletedEvent
from kern.run.base import RunStatus
from kern.run.budget import Budget
from kern.run.content import ImagePart, Inline, TextPart
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer, ScriptedModel
from kern.testing.reply import Usage


class City(BaseModel):
    name: str
    people: int = Field(gt=0)


BONN = '{"name": "Bonn", "people": 336465}'
IT = City(name="Bonn", people=336465)
SUGGESTED = '{"followups": ["Why?", "Where?"]}'


def counting(text: str, tokens: int) -> Reply:
    return Reply.text(text).counting(Usage(tokens, tokens))


def scripted(*answers: Any) -> ScriptedModel:
    return ScriptedModel(answers)


@LOCALLY_OR_NONE
async def test_a_parser_puts_the_text_into_the_schema(any_db: Database | None) -> None:
    model, parser = scripted(counting("Bonn has 336465.", 1)), scripted(counting(BONN, 10))
    agent = Agent("G", model, output_schema=City, parser_model=parser, db=any_db)
    run = await agent.arun("Bonn?")
    assert run.content == IT
    assert model.requests[0].output_schema is None
    asked = parser.requests[0]
    assert asked.output_schema is not None
    assert asked.messages[-1].text == "Bonn has 336465."
    assert (run.metrics.input_tokens, run.metrics.model_calls) == (11, 2)
    assert [each.text for each in run.messages] == ["Bonn?", "Bonn has 336465."]


@LOCALLY_OR_NONE
async def test_a_parser_is_asked_again_where_it_does_not_fit(any_db: Database | None) -> None:
    model, parser = scripted("Bonn."), scripted('{"name": "Bonn", "people": 0}', BONN)
    agent = Agent(
        "G", model, output_schema=City, parser_model=parser, parser_model_prompt="Parse.", db=any_db
    )
    run = await agent.arun("Bonn?")
    assert run.content == IT
    assert len(model.requests) == 1
    told = parser.requests[1].messages
    assert [each.role for each in told] == ["system", "user", "assistant", "user"]
    assert told[0].text == "Parse."
    assert "greater than 0" in told[-1].text
    parser.script += ["No.", "No."]
    model.script.append("Bonn.")
    with pytest.raises(OutputSchemaError, match="asked 2 times"):
        await agent.arun("Bonn?")


@LOCALLY_OR_NONE
async def test_an_output_model_writes_the_answer(any_db: Database | None) -> None:
    model, writer = scripted("Draft."), scripted("The final answer.")
    agent = Agent("G", model, output_model=writer, output_model_prompt="Write.", db=any_db)
    events = [each async for each in agent.arun("Bonn?", stream=True, stream_events=True)]
    assert [each.event.value for each in events][-6:] == [
        "OutputModelResponseStarted",
        "RunContentVoided",
        "RunContent",
        "OutputModelResponseCompleted",
        "RunContentCompleted",
        "RunCompleted",
    ]
    text = ""
    for event in events:
        match event.event:
            case "RunContent":
                text += event.content or ""
            case "RunContentVoided":
                text = text.removesuffix(event.content or "")
    assert text == events[-1].content == "The final answer."
    assert writer.requests[0].messages[0].text == "Write."
    assert "Draft." in writer.requests[0].messages[-1].text


@LOCALLY_OR_NONE
async def test_an_output_model_may_have_the_schema(any_db: Database | None) -> None:
    model, writer = scripted("Draft."), scripted("Nothing.", BONN)
    agent = Agent("G", model, output_schema=City, output_model=writer, db=any_db)
    run = await agent.arun("Bonn?")
    assert run.content == IT
    assert run.messages[-1].text == BONN
    told = [each.text for each in writer.requests[1].messages]
    assert "Draft." in told[1]
    assert told[2] == "Nothing."
    assert [each.output_schema is None for each in (*model.requests, *writer.requests)] == [
        True,
        False,
        False,
    ]


@LOCALLY_OR_NONE
async def test_all_of_them_in_their_order(any_db: Database | None) -> None:
    model, writer = scripted("Draft."), scripted("Final: Bonn, 336465.")
    parser, more = scripted(BONN), scripted(SUGGESTED)
    agent = Agent(
        "G",
        model,
        output_schema=City,
        output_model=writer,
        parser_model=parser,
        followups=True,
        num_followups=2,
        followup_model=more,
        db=any_db,
    )
    events = [each async for each in agent.arun("Bonn?", stream=True, stream_events=True)]
    assert isinstance(events[-1], RunCompletedEvent)
    assert events[-1].content == IT
    [suggested] = [each for each in events if isinstance(each, FollowupsCompletedEvent)]
    assert suggested.followups == ("Why?", "Where?")
    assert "Final: Bonn" in parser.requests[0].messages[-1].text
    assert [each.seq for each in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("any_db", ["postgres", "sqlite", "memory"], indirect=True)
async def test_follow_ups_are_kept_with_the_run(any_db: Database) -> None:
    model, more = scripted("It is Bonn."), scripted(counting(f"```\n{SUGGESTED}\n```", 3))
    config = FollowupConfig(model=more, num_followups=2, instructions="Be brief.")
    agent = Agent("G", model, followups=config, db=any_db)
    accepted = await agent.arun("Which city?", background=True)
    run = await agent.await_run(accepted.run_id, timeout=30)
    assert run is not None
    assert (run.content, run.followups) == ("It is Bonn.", ["Why?", "Where?"])
    found = await agent.aget_run_output(accepted.run_id)
    assert found is not None
    assert found.followups == ["Why?", "Where?"]
    assert found.to_dict()["followups"] == ["Why?", "Where?"]
    assert found.metrics.model_calls == 2
    assert "Suggest 2" in more.requests[0].messages[0].text
    assert "Be brief." in more.requests[0].messages[0].text
    events = [each async for each in agent.astream_run(accepted.run_id)]
    assert [each.followups for each in events if isinstance(each, FollowupsCompletedEvent)] == [
        ("Why?", "Where?")
    ]


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({}, (3, 3)),
        ({"num_followups": 5}, (5, 5)),
        ({"min_followups": 1}, (1, 3)),
        ({"min_followups": 4}, (4, 4)),
        ({"max_followups": 2}, (2, 2)),
        ({"max_followups": 5}, (3, 5)),
        ({"min_followups": 2, "max_followups": 5}, (2, 5)),
    ],
)
def test_how_many_there_are(given: dict[str, int], bounds: tuple[int, int]) -> None:
    config = FollowupConfig(**given)  # type: ignore[arg-type] # numbers
    assert (config.least, config.most) == bounds


@LOCALLY_OR_NONE
@pytest.mark.parametrize("answer", ["None.", Reply.http_error(500), Reply.failed()])
async def test_without_follow_ups_the_answer_stands(
    answer: Any, any_db: Database | None, caplog: pytest.LogCaptureFixture
) -> None:
    model = scripted("It is Bonn.", answer)
    agent = Agent("G", model, followups=True, db=any_db)
    run = await agent.arun("Which city?")
    assert (run.content, run.followups) == ("It is Bonn.", [])
    [record] = [each for each in caplog.records if "no follow-ups" in each.getMessage()]
    assert record.levelno == logging.WARNING


async def test_what_they_use_is_limited() -> None:
    model, parser = scripted("Bonn."), scripted(BONN)
    agent = Agent(
        "G",
        model,
        output_schema=City,
        parser_model=parser,
        usage_limits=UsageLimits(requests=1),
    )
    with pytest.raises(UsageLimitError, match="requests=1"):
        await agent.arun("Bonn?")
    assert parser.requests == []


async def test_middleware_is_around_them() -> None:
    class Counting(Middleware):
        calls = 0

        async def model_call(
            self, run: RunInfo, request: ModelRequest, ask: AskModel
        ) -> ModelResponse:
            self.calls += 1
            return await ask(request)

    counted = Counting()
    agent = Agent(
        "G",
        scripted("Bonn."),
        output_schema=City,
        parser_model=scripted(BONN),
        middleware=[counted],
    )
    assert (await agent.arun("Bonn?")).content == IT
    assert counted.calls == 2


async def test_later_runs_are_shown_the_final_answer(sqlite_db: Database) -> None:
    model, writer = scripted("Draft.", "Second."), scripted("Final.", "Also final.")
    agent = Agent("G", model, output_model=writer, db=sqlite_db, add_history_to_context=True)
    await agent.arun("First?", session_id="s")
    await agent.arun("Second?", session_id="s")
    assert [each.text for each in model.requests[1].messages] == ["First?", "Final.", "Second?"]


class Painter(ScriptedModel):
    """A model that draws beside its text."""

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        response = await super().respond(request)
        drawn = ImagePart(Inline(png(9)), "image/png")
        message = Message("assistant", (TextPart(response.message.text), drawn))
        return replace(response, message=message)


async def test_what_a_secondary_model_draws_is_in_no_row(sqlite_db: Database) -> None:
    agent = Agent("G", scripted("Draft."), output_model=Painter(["Final."]), db=sqlite_db)
    assert (await agent.arun("Draw.")).content == "Final."
    assert not holds(await rows_of(await sqlite_db.store()), png(9))


@LOCALLY_OR_NONE
async def test_what_the_draft_has_drawn_is_the_runs(any_db: Database | None) -> None:
    agent = Agent("G", Painter(["Draft."]), output_model=scripted("Final."), db=any_db)
    run = await agent.arun("Draw.")
    assert run.messages[-1].text == run.content == "Final."
    assert [each.content for each in run.images] == [png(9)]


async def test_a_budget_that_is_used_up_leaves_the_answer_without_follow_ups() -> None:
    db = InMemoryDb()
    await db.aset_budget(Budget("alice", tokens=2))
    model = scripted(counting("It is Bonn.", 1), SUGGESTED)
    agent = Agent("G", model, followups=True, db=db)
    run = await agent.arun("Which city?", user_id="alice")
    assert (run.content, run.followups, len(model.requests)) == ("It is Bonn.", [], 1)


@LOCALLY_OR_NONE
async def test_each_answer_costs_what_its_own_model_costs(any_db: Database | None) -> None:
    def priced(price: float, *answers: Any) -> ScriptedModel:
        model = scripted(*answers)
        model.price = Price(price, 0)
        return model

    agent = Agent(
        "G",
        priced(1, Reply.http_error(500)),
        fallback_models=[priced(10, counting("Bonn.", 1000))],
        output_schema=City,
        parser_model=priced(100, counting("No.", 1000), counting(BONN, 1000)),
        followups=True,
        followup_model=priced(1000, counting(SUGGESTED, 1000)),
        db=any_db,
    )
    run = await agent.arun("Bonn?", run_id="run")
    assert (run.metrics.cost, run.metrics.model_calls) == (1.21, 4)
    if any_db is not None:
        stored = await agent.aget_run_output("run")
        assert stored is not None
        assert (stored.metrics.cost, stored.metrics.unpriced_calls) == (1.21, 0)


async def test_a_cancel_closes_the_connection_to_a_secondary_model(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.text("Bonn."), Reply.hang()]
    agent = Agent("G", model, output_schema=City, parser_model=model, db=InMemoryDb())
    run = await agent.arun("Bonn?", background=True)
    await server.wait_for_requests(2)
    assert await agent.acancel_run(run.run_id)
    await server.wait_for_disconnects(1)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert (ended.status, ended.metrics.model_calls) == (RunStatus.cancelled, 1)


async def test_they_are_ready_before_runs_are_executed(model: OpenAIResponses) -> None:
    parser = Claude("parser")
    agent = Agent("G", model, output_schema=City, parser_model=parser, db=InMemoryDb())
    with pytest.raises(MissingKeyError, match="There is no API key for parser"):
        await serve([agent])
