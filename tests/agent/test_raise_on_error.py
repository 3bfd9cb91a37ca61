"""What a foreground run fails of is raised with its output, or returned where that is asked for."""

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, InputCheckError, ModelError, RunTimeoutError
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.testing import FunctionModel, Reply, ScriptedModel

REFUSED = Reply.http_error(400, "No such model.")
BUSY = Reply.http_error(503, "Busy.")


@pytest.fixture(params=["none", "memory"])
def any_db(request: pytest.FixtureRequest) -> Database | None:
    """A database, or none."""
    return InMemoryDb() if request.param == "memory" else None


class OddError(Exception):
    """An error of a user's with a place for nothing."""

    __slots__ = ()


def refuse() -> None:
    """Refuse it."""
    raise InputCheckError("No.")


async def test_the_very_error_is_raised_with_the_output(any_db: Database | None) -> None:
    agent = Agent("Tester", ScriptedModel([REFUSED]), db=any_db)
    with pytest.raises(ModelError) as raised:
        await agent.arun("Hi", run_id="run")
    run = raised.value.run_output
    assert isinstance(run, RunOutput)
    assert (run.run_id, run.status, run.error_kind) == ("run", RunStatus.error, "ModelError")
    assert run.error == str(raised.value)
    assert run.content is None
    assert [each.text for each in run.messages] == ["Hi"]


async def test_the_run_or_the_agent_can_have_it_returned(any_db: Database | None) -> None:
    agent = Agent("Tester", ScriptedModel([REFUSED] * 3), db=any_db)
    run = await agent.arun("Hi", raise_on_error=False)
    assert run.status is RunStatus.error
    assert run.content == run.error is not None
    agent.raise_on_error = False
    assert (await agent.arun("Hi")).status is RunStatus.error
    with pytest.raises(ModelError):
        await agent.arun("Hi", raise_on_error=True)


async def test_text_that_there_was_stays_the_content() -> None:
    broken = Reply.failed("server_error", "Broken.", "Half ")
    run = await Agent("Tester", ScriptedModel([broken])).arun("Hi", raise_on_error=False)
    assert (run.status, run.content) == (RunStatus.error, "Half ")


async def test_a_run_that_has_failed_before_is_raised_again_by_its_id() -> None:
    agent = Agent("Tester", ScriptedModel([REFUSED]), db=InMemoryDb())
    for _ in range(2):
        with pytest.raises(ModelError) as raised:
            await agent.arun("Hi", run_id="run")
        assert raised.value.run_output.run_id == "run"
    again = await agent.arun("Hi", run_id="run", raise_on_error=False)
    assert again.status is RunStatus.error
    with pytest.raises(ModelError):
        assert [each async for each in agent.arun("Hi", run_id="run", stream=True)]


async def test_the_stored_run_has_no_text_that_nobody_wrote() -> None:
    agent = Agent("Tester", ScriptedModel([REFUSED]), db=InMemoryDb(), raise_on_error=False)
    run = await agent.arun("Hi")
    stored = await agent.aget_run_output(run.run_id)
    assert stored is not None
    assert (stored.content, stored.error) == (None, run.error)


@pytest.mark.parametrize("background", [False, True])
async def test_a_stream_ends_with_the_event_of_the_error(background: bool) -> None:
    agent = Agent("Tester", ScriptedModel([REFUSED]), db=InMemoryDb(), raise_on_error=False)
    told = [each async for each in agent.arun("Hi", stream=True, background=background)]
    assert [each.event for each in told] == [RunEvent.run_error]
    assert "No such model." in str(told[0].content)


def test_synchronous_methods_do_the_same() -> None:
    agent = Agent("Tester", ScriptedModel([REFUSED] * 2), raise_on_error=False)
    assert agent.run("Hi").status is RunStatus.error
    assert [each.event for each in agent.run("Hi", stream=True)] == [RunEvent.run_error]


async def test_what_keeps_a_run_from_beginning_is_raised_all_the_same() -> None:
    agent = Agent("Tester", ScriptedModel(), raise_on_error=False)
    with pytest.raises(ConfigurationError):
        await agent.arun("Hi", background=True)


async def test_an_error_that_holds_nothing_is_raised_as_it_is() -> None:
    def fail(_: object) -> str:
        raise OddError("no")

    with pytest.raises(OddError):
        await Agent("Tester", FunctionModel(fail)).arun("Hi")


async def test_a_check_and_a_time_limit_are_returned_too() -> None:
    agent = Agent("Tester", ScriptedModel(), pre_hooks=[refuse], raise_on_error=False)
    run = await agent.arun("Hi")
    assert (run.content, run.error_kind) == ("No.", "InputCheckError")
    late = Agent("Late", ScriptedModel([Reply.hang()]), raise_on_error=False)
    assert (await late.arun("Hi", timeout=0.05)).error_kind == RunTimeoutError.__name__


async def test_a_foreground_run_is_retried_as_often_as_the_agent_says(
    any_db: Database | None,
) -> None:
    model = ScriptedModel([BUSY, BUSY, "Hello."])
    agent = Agent("Tester", model, db=any_db, retries=2, delay_between_retries=0.01)
    run = await agent.arun("Hi")
    assert (run.status, run.content, len(model.requests)) == (RunStatus.completed, "Hello.", 3)
    model = ScriptedModel([BUSY, BUSY, "Hello."])
    agent = Agent("Tester", model, db=any_db, retries=1, delay_between_retries=0.01)
    with pytest.raises(ModelError):
        await agent.arun("Hi")
    assert len(model.requests) == 2


async def test_what_will_not_pass_is_not_retried() -> None:
    model = ScriptedModel([REFUSED, "Hello."])
    with pytest.raises(ModelError):
        await Agent("Tester", model, retries=3, delay_between_retries=0).arun("Hi")
    assert len(model.requests) == 1


async def test_a_retry_does_nothing_again_and_voids_what_was_told() -> None:
    calls = []

    def work() -> str:
        """Do it."""
        calls.append(1)
        return "done"

    def once() -> None:
        calls.append(0)

    half = Reply.text("Ha", "lf").dropping(1)
    script = [Reply.tool_calls(("work", {})), half, Reply.text("Whole.")]
    agent = Agent(
        "Tester",
        ScriptedModel(script),
        tools=[work],
        pre_hooks=[once],
        retries=1,
        delay_between_retries=0.01,
    )
    told = [each async for each in agent.arun("Hi", stream=True)]
    assert calls == [0, 1]
    assert [(each.event, each.content) for each in told] == [
        (RunEvent.run_content, "Ha"),
        (RunEvent.run_content_voided, "Ha"),
        (RunEvent.run_content, "Whole."),
        (RunEvent.run_completed, ""),
    ]


async def test_retries_are_attempts_in_the_background() -> None:
    model = ScriptedModel([BUSY, "Hello."])
    agent = Agent("Tester", model, db=InMemoryDb(), retries=1, delay_between_retries=0.01)
    accepted = await agent.arun("Hi", background=True)
    run = await agent.await_run(accepted.run_id, timeout=20)
    assert run is not None
    assert (run.status, run.content, run.attempt) == (RunStatus.completed, "Hello.", 2)


@pytest.mark.parametrize(
    "options",
    [{"retries": -1}, {"retries": "2"}, {"delay_between_retries": -1}, {"raise_on_error": 1}],
)
def test_options_that_are_none_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Agent("Tester", ScriptedModel(), **options)  # type: ignore[call-overload] # on purpose
