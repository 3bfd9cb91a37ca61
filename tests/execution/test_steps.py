"""Steps and sleeps inside a tool call: done once, written down, and said where they cannot be."""

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import InvalidInputError, KernError, StepError, StopAgentRun
from kern.execution import steps
from kern.execution.attempt import Attempt
from kern.execution.journal import Journal
from kern.execution.steps import CallSteps
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.entry import read_row
from kern.run.tool_steps import SleepBegun, StepEnded
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

WAIT = 20.0


class Runner:
    """Runs a tool, in the foreground or in the background, and shows what it came to."""

    def __init__(
        self, db: Database | None, model: OpenAIResponses, server: ResponsesServer
    ) -> None:
        self.db, self.model, self.server = db, model, server

    async def __call__(self, *tools: Callable[..., Any], **options: Any) -> RunOutput:
        names = [getattr(each, "name", None) or each.__name__ for each in tools]
        self.server.script += [Reply.tool_calls(*((name, {}) for name in names)), Reply.text("Ok.")]
        agent = Agent("Tester", self.model, db=self.db, tools=tools)
        if self.db is None:
            ran: RunOutput = await agent.arun("Go", run_id="run", **options)
            return ran
        await agent.arun("Go", run_id="run", background=True, **options)
        run = await agent.await_run("run", timeout=WAIT)
        assert run is not None
        return run

    async def result(self, work: Callable[..., Any], **options: Any) -> str:
        """Return what the model was told of a tool."""
        run = await self(work, **options)
        assert run.status is RunStatus.completed, run.error
        return str(run.tools[0].result)

    async def journaled(self) -> list[StepEnded | SleepBegun]:
        assert self.db is not None
        rows = await (await self.db.store()).events("run", 0)
        found = [read_row(row).step for row in rows]
        return [each for each in found if isinstance(each, StepEnded | SleepBegun)]


@pytest.fixture(params=["background", "foreground"])
def run(request: pytest.FixtureRequest, model: OpenAIResponses, server: ResponsesServer) -> Runner:
    """Run a tool, in both ways in turn."""
    return Runner(InMemoryDb() if request.param == "background" else None, model, server)


@pytest.fixture
def kept(model: OpenAIResponses, server: ResponsesServer) -> Runner:
    """Run a tool in the background."""
    return Runner(InMemoryDb(), model, server)


@pytest.fixture
def stored(db: Database, model: OpenAIResponses, server: ResponsesServer) -> Runner:
    """Run a tool in the background, on each kind of database in turn."""
    return Runner(db, model, server)


async def test_a_step_returns_what_its_function_returned(run: Runner) -> None:
    async def twice(number: int) -> int:
        return 2 * number

    async def work(run_context: RunContext) -> list[int]:
        return [
            await run_context.step("async", twice, 4),
            await run_context.step("sync", lambda number: number + 1, 4),
            await run_context.step("awaitable", lambda: twice(6)),
        ]

    assert json.loads(await run.result(work)) == [8, 5, 12]


async def test_a_synchronous_tool_has_its_functions_called_in_its_own_thread(run: Runner) -> None:
    async def later() -> str:
        return "later"

    def work(run_context: RunContext) -> list[object]:
        connection = sqlite3.connect(":memory:")  # Another thread may not use it.
        one = run_context.step_sync("sql", lambda: connection.execute("SELECT 1").fetchone()[0])
        connection.close()
        there = run_context.step_sync("there", threading.get_ident, timeout=WAIT)
        here = run_context.step_sync("here", threading.get_ident)
        assert here == threading.get_ident() != there
        run_context.sleep_sync(0.01)
        return [one, run_context.step_sync("later", later)]

    assert json.loads(await run.result(work)) == [1, "later"]


async def test_results_come_back_as_json_gives_them_the_first_time_already(run: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        found = await run_context.step("get", lambda: {1: (2, 3), "text": "\ud800\x00"})
        assert found == {"1": [2, 3], "text": "\ud800\x00"}
        large = await run_context.step("large", lambda: 2**70)
        assert large == 2**70
        return "same"

    assert await run.result(work) == "same"


async def test_each_step_is_committed_by_name_and_occurrence(stored: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        for number in range(2):
            await run_context.step("a", lambda number=number: number)
        await run_context.step("b", lambda: None)
        assert [each.content for each in await stored.journaled()] == ["0", "1", "null"]  # type: ignore[union-attr]
        return "done"

    assert await stored.result(work) == "done"
    assert await stored.journaled() == [
        StepEnded(0, "a", 0, "0"),
        StepEnded(0, "a", 1, "1"),
        StepEnded(0, "b", 0, "null"),
    ]


async def test_a_step_is_tried_again_as_often_as_it_says(run: Runner) -> None:
    tried = Counter[str]()

    async def flaky() -> str:
        tried["flaky"] += 1
        if tried["flaky"] < 3:
            raise ConnectionError("reset")
        return "sent"

    async def slow() -> None:
        tried["slow"] += 1
        await asyncio.sleep(WAIT)

    async def work(run_context: RunContext) -> str:
        sent = await run_context.step("send", flaky, retries=2, delay=0.001)
        with pytest.raises(StepError, match=r"TimeoutError: it did not return within 0.01 s"):
            await run_context.step("slow", slow, retries=1, delay=0, timeout=0.01)
        return sent

    assert await run.result(work) == "sent"
    assert tried == {"flaky": 3, "slow": 2}


async def test_a_failure_is_kept_once_no_retries_are_left(stored: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        def fail() -> None:
            raise ConnectionError("refused")

        with pytest.raises(StepError, match="'charge' failed: ConnectionError: refused") as caught:
            await run_context.step("charge", fail)
        assert caught.value.kind == "ConnectionError"
        assert isinstance(caught.value.__cause__, ConnectionError)
        return "another way"

    assert await stored.result(work) == "another way"
    [ended] = await stored.journaled()
    assert isinstance(ended, StepEnded)
    assert (ended.name, ended.error) == ("charge", "ConnectionError")


async def test_what_has_no_json_form_fails_the_step_and_is_not_done_again(kept: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        for value in (object(), float("nan"), b"bytes", {"a": {1}}):
            with pytest.raises(StepError, match=r"was done, but .* has no JSON form") as caught:
                await run_context.step("charge", lambda value=value: value)
            assert caught.value.kind == "InvalidInputError"
        return "told"

    assert await kept.result(work) == "told"
    assert [each.error for each in await kept.journaled()] == ["InvalidInputError"] * 4  # type: ignore[union-attr]


async def test_what_a_step_raises_to_end_the_run_ends_it(run: Runner) -> None:
    async def work(run_context: RunContext) -> None:
        def stop() -> None:
            raise StopAgentRun("That is all.")

        await run_context.step("stop", stop, retries=3)

    ended = await run(work)
    assert ended.status is RunStatus.completed
    assert ended.content == "That is all."


async def test_two_steps_of_one_name_at_the_same_time_raise(run: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        both = [run_context.step("a", asyncio.sleep, 0.01) for _ in range(2)]
        first, second = await asyncio.gather(*both, return_exceptions=True)
        assert first is None
        assert isinstance(second, StepError)
        assert "The step 'a' is under way" in str(second)
        await asyncio.gather(*(run_context.step(name, asyncio.sleep, 0.01) for name in "bc"))
        return "done"

    assert await run.result(work) == "done"


async def test_there_is_no_step_and_no_sleep_within_a_step(run: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        async def outer() -> str:
            for inner in (run_context.step("inner", lambda: 1), run_context.sleep(0)):
                with pytest.raises(StepError, match="no steps and sleeps within a step"):
                    await inner
            return "refused"

        def outer_sync() -> str:
            with pytest.raises(StepError, match="no steps and sleeps within a step"):
                run_context.step_sync("inner", lambda: 1)
            return "refused"

        first = await run_context.step("outer", outer)
        second = await asyncio.to_thread(run_context.step_sync, "outer_sync", outer_sync)
        return f"{first}, {second}, {await run_context.step('after', lambda: 'fine')}"

    assert await run.result(work) == "refused, refused, fine"


async def test_the_tools_of_a_run_that_a_step_begins_have_steps_of_their_own(run: Runner) -> None:
    async def inner(run_context: RunContext) -> str:
        return await run_context.step("inner", lambda: "done inside")

    child = Agent("Child", run.model, tools=[inner])

    async def ask() -> str:
        run.server.script += [Reply.tool_calls(("inner", {})), Reply.text("Inside.")]
        asked = await child.arun("Go")
        return str(asked.tools[0].result)

    async def work(run_context: RunContext) -> str:
        return await run_context.step("outer", ask)

    run.server.script += [Reply.tool_calls(("work", {}))]
    agent = Agent("Tester", run.model, db=run.db, tools=[work])
    task = asyncio.create_task(agent.arun("Go", run_id="run"))
    await run.server.wait_for_requests(3, timeout=WAIT)
    run.server.script += [Reply.text("Ok.")]
    assert (await task).tools[0].result == "done inside"


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "x" * 256},
        {"name": 5},
        {"retries": -1},
        {"retries": 1.5},
        {"delay": float("nan")},
        {"timeout": 0},
    ],
)
async def test_bad_options_of_a_step_are_refused(kept: Runner, options: dict[str, Any]) -> None:
    async def work(run_context: RunContext) -> str:
        name = options.pop("name", "a")
        with pytest.raises(InvalidInputError):
            await run_context.step(name, lambda: pytest.fail("It was called."), **options)
        return "refused"

    assert await kept.result(work) == "refused"
    assert await kept.journaled() == []


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), "1", True, 1e15])
async def test_bad_seconds_of_a_sleep_are_refused(kept: Runner, seconds: float) -> None:
    async def work(run_context: RunContext) -> str:
        with pytest.raises(InvalidInputError):
            await run_context.sleep(seconds)
        return "refused"

    assert await kept.result(work) == "refused"


async def test_hostile_names_are_names(stored: Runner) -> None:
    names = ["a\x00b", "\ud800", "💣" * 255, "'; DROP TABLE", "../..", "null"]

    async def work(run_context: RunContext) -> list[str]:
        return [await run_context.step(name, lambda: "fine") for name in names]

    assert json.loads(await stored.result(work)) == ["fine"] * len(names)
    assert await stored.journaled() == [StepEnded(0, name, 0, '"fine"') for name in names]


async def test_the_synchronous_twins_do_not_block_the_event_loop(run: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        with pytest.raises(StepError, match=r"await run_context.step\(\.\.\.\)"):
            run_context.step_sync("a", lambda: 1)
        with pytest.raises(StepError, match=r"await run_context.sleep\(\.\.\.\)"):
            run_context.sleep_sync(1)
        return "refused"

    assert await run.result(work) == "refused"


async def test_another_event_loop_is_told_to_use_the_twin(run: Runner) -> None:
    def work(run_context: RunContext) -> str:
        async def inner() -> str:
            with pytest.raises(StepError, match="step_sync"):
                await run_context.step("a", lambda: 1)
            return run_context.step_sync("b", lambda: "fine")

        return asyncio.run(inner())

    assert await run.result(work) == "fine"


async def test_what_a_call_leaves_behind_can_do_no_steps(run: Runner) -> None:
    left: list[RunContext] = []

    async def work(run_context: RunContext) -> str:
        left.append(run_context)
        return "done"

    assert await run.result(work) == "done"
    with pytest.raises(StepError, match="The tool call has ended"):
        await left[0].step("a", lambda: 1)
    with pytest.raises(StepError, match="The tool call has ended"):
        await asyncio.to_thread(left[0].step_sync, "a", lambda: 1)


async def test_a_step_that_ends_after_its_call_is_not_written_into_the_next(kept: Runner) -> None:
    behind: list[asyncio.Task[Any]] = []
    go_on = asyncio.Event()

    async def work(run_context: RunContext) -> str:
        behind.append(asyncio.create_task(run_context.step("late", go_on.wait)))
        await asyncio.sleep(0)
        return "done"

    assert await kept.result(work) == "done"
    go_on.set()
    with pytest.raises(StepError, match="The tool call has ended"):
        await behind[0]
    assert await kept.journaled() == []


async def test_only_a_tools_context_has_steps() -> None:
    context: RunContext = RunContext("run", "session")
    with pytest.raises(KernError, match="Only the context of a tool call has steps"):
        await context.step("a", lambda: 1)


async def test_results_of_megabytes_are_kept_beside_the_journal(stored: Runner) -> None:
    large = "é\n" * 1_500_000

    async def work(run_context: RunContext) -> int:
        return len(await run_context.step("fetch", lambda: large))

    assert await stored.result(work) == str(len(large))
    [ended] = await stored.journaled()
    assert isinstance(ended, StepEnded)
    assert not isinstance(ended.content, str)


async def test_a_step_counts_towards_no_limit(kept: Runner) -> None:
    async def work(run_context: RunContext) -> str:
        for _ in range(5):
            await run_context.step("a", lambda: None)
        return "done"

    kept.server.script += [Reply.tool_calls(("work", {})), Reply.text("Ok.")]
    agent = Agent("Tester", kept.model, tools=[work], tool_call_limit=1, max_turns=2)
    assert (await agent.arun("Go")).status is RunStatus.completed


async def test_a_short_sleep_is_written_down_and_keeps_the_attempt(kept: Runner) -> None:
    async def work(run_context: RunContext) -> int:
        await run_context.sleep(0.01)
        return run_context.attempt

    before = time.time()
    assert await kept.result(work) == "1"
    [begun] = await kept.journaled()
    assert isinstance(begun, SleepBegun)
    assert not begun.suspended
    assert before < begun.until < time.time()


async def test_a_sleep_does_not_count_towards_the_timeout_of_its_tool(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    sleep, time_of = CallSteps._sleep_here, loop.time

    async def sleep_here(self: CallSteps, seconds: float) -> None:
        """Sleep; meanwhile the clock of the loop goes on by more than that."""
        loop.call_soon(monkeypatch.setattr, loop, "time", lambda: time_of() + 5)
        await sleep(self, seconds)

    @tool(timeout=3)
    async def work(run_context: RunContext) -> str:
        await run_context.sleep(4)
        await asyncio.sleep(0.01)
        return "in time"

    monkeypatch.setattr(CallSteps, "_sleep_here", sleep_here)
    assert await run.result(work) == "in time"


async def test_the_timeout_of_a_tool_goes_on_after_a_sleep(run: Runner) -> None:
    @tool(timeout=0.1)
    async def work(run_context: RunContext) -> None:
        await run_context.sleep(0.01)
        await asyncio.sleep(WAIT)

    assert "did not return within 0.1 s" in await run.result(work)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every sleep of more than a moment be a long one, however slowly it begins."""
    moments: dict[tuple[str, int], float] = {}
    now = Attempt.now

    def first_now(self: Attempt) -> float:
        return moments.setdefault((self.output.run_id, self.number), now(self))

    monkeypatch.setattr(steps, "IN_PLACE", 0.05)
    monkeypatch.setattr(Attempt, "now", first_now)


@pytest.mark.usefixtures("short")
class TestLongSleeps:
    """They give the run back, and have the tool begin again from its top."""

    async def test_the_tool_begins_again_from_its_top_with_its_steps_replayed(
        self, stored: Runner
    ) -> None:
        done = Counter[str]()

        @tool(on_interrupt="fail")
        async def work(run_context: RunContext) -> list[int]:
            done["begun"] += 1
            first: object = await run_context.step("first", lambda: done.update(["first"]))
            await run_context.sleep(0.1)
            await run_context.step("second", lambda: done.update(["second"]))
            assert first is None
            return [run_context.attempt, done["begun"]]

        began = time.monotonic()
        assert json.loads(await stored.result(work)) == [2, 2]
        assert time.monotonic() - began >= 0.1
        assert done == {"begun": 2, "first": 1, "second": 1}

    async def test_a_synchronous_tool_does_so_too(self, kept: Runner) -> None:
        unwound: list[bool] = []

        def work(run_context: RunContext) -> int:
            try:
                run_context.sleep_sync(0.1)
            except BaseException:
                unwound.append(run_context.cancelled)
                raise
            return run_context.attempt

        assert await kept.result(work) == "2"
        assert unwound == [True]

    async def test_the_run_is_pending_meanwhile_and_no_failure_is_counted(
        self, kept: Runner
    ) -> None:
        asleep = asyncio.Event()

        async def work(run_context: RunContext) -> str:
            asleep.set()
            await run_context.sleep(3600)
            return "never"

        running = asyncio.create_task(kept(work, max_attempts=1))
        await asyncio.wait_for(asleep.wait(), WAIT)
        assert kept.db is not None
        store = await kept.db.store()
        async with asyncio.timeout(WAIT):
            while (found := await store.get("run")) is None or found.status != "PENDING":  # noqa: ASYNC110 # nobody waits for it
                await asyncio.sleep(0.01)
        assert found.failures == 0
        assert found.run_at is not None
        assert 3500 < found.run_at.timestamp() - time.time() <= 3600
        agent = Agent("Tester", kept.model, db=kept.db)
        assert await agent.acancel_run("run")
        assert (await running).status is RunStatus.cancelled

    async def test_other_calls_of_the_turn_end_before_the_run_is_given_back(
        self, kept: Runner
    ) -> None:
        done = Counter[str]()
        slept = asyncio.Event()

        @tool(on_interrupt="fail")
        async def sleeper(run_context: RunContext) -> str:
            done["sleeper"] += 1
            slept.set()
            await run_context.sleep(0.1)
            return "awake"

        @tool(on_interrupt="fail")
        async def worker(run_context: RunContext) -> str:
            done["worker"] += 1
            await slept.wait()
            await asyncio.sleep(0.3)
            return "worked"

        run = await kept(sleeper, worker)
        assert [each.result for each in run.tools] == ["awake", "worked"]
        assert done == {"sleeper": 2, "worker": 1}

    async def test_calls_that_come_after_it_wait_for_the_one_that_sleeps(
        self, kept: Runner
    ) -> None:
        order: list[str] = []

        @tool(sequential=True)
        async def first(run_context: RunContext) -> str:
            await run_context.sleep(0.1)
            order.append("first")
            return "first"

        @tool(sequential=True)
        async def second() -> str:
            order.append("second")
            return "second"

        run = await kept(first, second)
        assert [each.result for each in run.tools] == ["first", "second"]
        assert order == ["first", "second"]

    async def test_the_tool_begins_again_with_the_state_from_before_it(self, kept: Runner) -> None:
        def count(run_context: RunContext) -> int:
            state = run_context.session_state
            assert state is not None
            state["count"] += 1
            run_context.step_sync("look", lambda: None)
            run_context.sleep_sync(0.1)
            return int(state["count"])

        kept.server.script += [Reply.tool_calls(("count", {})), Reply.text("Ok.")]
        agent = Agent("Tester", kept.model, db=kept.db, tools=[count], session_state={"count": 0})
        await agent.arun("Go", run_id="run", session_id="session", background=True)
        run = await agent.await_run("run", timeout=WAIT)
        assert run is not None
        assert (run.attempt, run.tools[0].result) == (2, "1")
        assert (await agent.aget_session_state("session"))["count"] == 1

    async def test_a_step_under_way_ends_before_its_call_is_stopped(self, kept: Runner) -> None:
        done = Counter[str]()

        async def charge() -> str:
            done["begun"] += 1
            await asyncio.sleep(0.3)
            done["charged"] += 1
            return "charged"

        async def work(run_context: RunContext) -> str:
            charged, _ = await asyncio.gather(
                run_context.step("charge", charge), run_context.sleep(0.1)
            )
            return charged

        assert await kept.result(work) == "charged"
        assert done == {"begun": 1, "charged": 1}

    async def test_a_task_group_around_a_sleep_does_not_go_on_without_it(
        self, kept: Runner
    ) -> None:
        went_on: list[int] = []

        async def work(run_context: RunContext) -> str:
            async with asyncio.TaskGroup() as group:
                group.create_task(run_context.sleep(0.1))
            went_on.append(run_context.attempt)
            return "done"

        assert await kept.result(work) == "done"
        assert went_on == [2]

    async def test_two_long_sleeps_at_the_same_time_end_at_theirs(self, kept: Runner) -> None:
        async def work(run_context: RunContext) -> int:
            await asyncio.gather(run_context.sleep(0.1), run_context.sleep(0.3))
            return run_context.attempt

        began = time.monotonic()
        # Where the first takes so long to wake up, both are over.
        assert await kept.result(work) in ("2", "3")
        assert time.monotonic() - began >= 0.3
        first, second = (each for each in await kept.journaled() if not each.suspended)  # type: ignore[union-attr]
        assert second.until - first.until == pytest.approx(0.2, abs=0.01)  # type: ignore[union-attr]

    async def test_a_sleep_that_is_cut_off_while_it_stops_its_tool_stops_it_all_the_same(
        self, kept: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit, stops = Journal.commit, asyncio.Event()

        async def slow(self: Journal) -> None:
            await commit(self)
            if isinstance(step := self.entries[-1].step, SleepBegun) and step.suspended:
                stops.set()
                await asyncio.sleep(0.05)

        async def work(run_context: RunContext) -> int:
            sleeping = asyncio.ensure_future(run_context.sleep(0.1))
            if run_context.attempt == 1:
                await stops.wait()
                sleeping.cancel()
            await asyncio.wait({sleeping})
            await run_context.step("after", lambda: None)
            return run_context.attempt

        monkeypatch.setattr(Journal, "commit", slow)
        assert await kept.result(work) == "2"

    async def test_a_tool_that_catches_the_stop_and_returns_has_its_result_kept(
        self, kept: Runner
    ) -> None:
        async def work(run_context: RunContext) -> str:
            try:
                await run_context.sleep(3600)
            except asyncio.CancelledError:
                with pytest.raises(asyncio.CancelledError):
                    await run_context.step("more", lambda: pytest.fail("It was called."))
            return "I do not sleep"

        assert await kept.result(work) == "I do not sleep"

    async def test_a_run_does_not_sleep_beyond_its_timeout(self, kept: Runner) -> None:
        async def work(run_context: RunContext) -> None:
            await run_context.sleep(3600)

        run = await kept(work, timeout=3)
        assert (run.status, run.attempt) == (RunStatus.error, 2)
        assert "was not done within its timeout" in str(run.error)

    async def test_foreground_runs_sleep_in_place(
        self, model: OpenAIResponses, server: ResponsesServer
    ) -> None:
        async def work(run_context: RunContext) -> int:
            await run_context.sleep(0.1)
            return run_context.attempt

        server.script += [Reply.tool_calls(("work", {})), Reply.text("Ok.")]
        agent = Agent("Tester", model, db=InMemoryDb(), tools=[work])
        assert (await agent.arun("Go")).tools[0].result == "1"

    async def test_a_run_that_waits_for_a_person_pauses_first_and_sleeps_on_after(
        self, kept: Runner
    ) -> None:
        @tool(requires_confirmation=True)
        async def sign() -> str:
            return "signed"

        async def nap(run_context: RunContext) -> str:
            await run_context.sleep(0.1)
            return "awake"

        run = await kept(nap, sign)
        assert run.is_paused
        [requirement] = run.requirements
        requirement.confirm()
        agent = Agent("Tester", kept.model, db=kept.db, tools=[nap, sign])
        await agent.acontinue_run("run", requirements=[requirement])
        ended = await agent.await_run("run", timeout=WAIT)
        assert ended is not None
        assert {each.tool_name: each.result for each in ended.tools} == {
            "nap": "awake",
            "sign": "signed",
        }
