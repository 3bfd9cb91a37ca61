"""What users do in a world: they submit, run, cancel, await, read and retry runs."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

from kern.dispatch.submission import SessionPolicy
from kern.errors import (
    DatabaseUnavailableError,
    ModelError,
    RequirementExpiredError,
    RunStateError,
    RunTimeoutError,
    UsageLimitError,
)
from kern.run.agent import RunOutput
from kern.run.event import RunOutputEvent
from kern.run.requirement import RunRequirement
from tests.simulation.plans import Habits, length, plan
from tests.simulation.promises.counted import Counted
from tests.simulation.promises.seen import Row, Waiter
from tests.simulation.world import Process, World

Result = TypeVar("Result")

_FAILURES = (ModelError, UsageLimitError, RequirementExpiredError, RunTimeoutError)
"""What runs fail of, which is raised to those who ask for them."""

_POLICIES: tuple[SessionPolicy, ...] = ("queue", "parallel", "interrupt")


class Users:
    """The users of a world.

    Attributes:
        work: how long all runs take that they have asked for, in seconds.
        unread: the runs whose streams are yet to be read to the end.
    """

    def __init__(self, world: World, habits: Habits) -> None:
        """Have asked for nothing yet."""
        self.work = 0.0
        self.unread: list[str] = []
        self._world = world
        self._habits = habits
        self._random = world.random
        self._seen = world.seen
        self._told = world.told
        self._calls = world.calls
        self._sessions = [f"s{number}" for number in range(self._random.randint(1, 4))]
        self._asked: dict[str, tuple[str, str, str]] = {}

    def act(self) -> None:
        """Have a process do something."""
        acts = [self._submit, self._run, self._cancel, self._wait, self._stream, self._retry]
        self._do(self._random.choices(acts, self._habits.acts)[0])
        self.decide()

    def decide(self) -> None:
        """Have paused runs go on."""
        if any(row.status == "PAUSED" for row in self._seen.rows.values()):
            self._do(self._continue)

    def _do(self, act: Callable[[Process], Awaitable[None]]) -> None:
        async def do(process: Process) -> None:
            try:
                await act(process)
            except DatabaseUnavailableError as error:
                process.write(f"a user is told: {error}")

        if usable := self._world.usable:
            process = self._random.choice(usable)
            process.loop.create_task(do(process))

    def _new_run(self) -> str:
        """Plan a run, and return its id."""
        run_id = f"r{len(self._asked) + 1}"
        agent_id = self._random.choice(self._habits.agents)
        planned = plan(self._random, self._habits, run_id, agent_id)
        self.work += length(planned)
        session_id = self._random.choice(self._sessions)
        self._asked[run_id] = agent_id, session_id, json.dumps(planned)
        return run_id

    async def _submit(self, process: Process) -> None:
        """Submit a run, perhaps one that was submitted before; perhaps again, if that failed."""
        random, world = self._random, self._world
        is_new = not self._asked or random.random() < 0.9
        run_id = self._new_run() if is_new else random.choice(list(self._asked))
        agent_id, session_id, text = self._asked[run_id]
        policy = random.choices(_POLICIES, [8, 2, 1])[0]
        run_at = None
        if random.random() < 0.1:
            run_at = datetime.fromtimestamp(world.wall() + random.uniform(0.1, 10), UTC)
        timeout = random.uniform(1, 20) if random.random() < 0.1 else None
        if policy == "interrupt":
            self._seen.interrupting.add(session_id)
        while True:
            process.write(f"submit {run_id} to {agent_id} in {session_id} ({policy})")
            options: dict[str, Any] = {
                "run_id": run_id,
                "session_id": session_id,
                # What another user names so is another run, in another session.
                "user_id": "u1" if session_id in self._sessions[::2] else "u2",
                "session_policy": policy,
                "run_at": run_at,
                "timeout": timeout,
                "background": True,
            }
            agent = process.agents[agent_id]
            with suppress(DatabaseUnavailableError):
                if random.random() < 0.5:
                    events = agent.arun(text, stream=True, stream_events=True, **options)
                    return await self._read_new(process, run_id, events)
                await agent.arun(text, **options)
                process.write(f"{run_id} is accepted")
                return self._told.accepted(run_id)
            process.write(f"whether {run_id} was accepted is not known")
            if random.random() < 0.3:
                return

    async def _run(self, process: Process) -> None:
        """Run in the foreground; perhaps the caller leaves."""
        run_id = self._new_run()
        agent_id, _, text = self._asked[run_id]
        process.write(f"run {run_id} of {agent_id}")
        self._seen.known[run_id].foreground = True
        agent = process.agents[agent_id]
        executing: Coroutine[object, object, RunOutput | None]
        if self._random.random() < 0.5:
            events = agent.arun(text, run_id=run_id, stream=True, stream_events=True)
            executing = self._read_own(run_id, events)
        else:
            executing = agent.arun(text, run_id=run_id)
        running = asyncio.ensure_future(executing)
        if self._random.random() < 0.4:
            await asyncio.sleep(self._random.choice([0.001, 0.01, 1.0]) * self._random.random())
            process.write(f"the caller of {run_id} leaves")
            running.cancel()
        try:
            output = await running
            if isinstance(output, RunOutput):
                self._told.end(run_id, output.status, "arun")
        except _FAILURES:
            self._told.end(run_id, "ERROR", "arun")
        except asyncio.CancelledError:
            if cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                raise
            self._told.left(run_id)

    async def _cancel(self, process: Process) -> None:
        """Cancel a run, perhaps before it is submitted."""
        if self._random.random() < 0.2 or not (runs := self._known):
            run_id = f"r{len(self._asked) + 1}"
            self._world.later(self._random.uniform(0, 2), lambda: self._do(self._submit))
        else:
            run_id = self._random.choice(runs)
        process.write(f"cancel {run_id}")
        known = self._seen.known[run_id]
        known.may_be_cancelled, resumed = True, known.resumed
        result = await process.agents["plain"].acancel_run(run_id)
        process.write(f"the cancel of {run_id} is answered by {result}")
        self._told.cancelled(run_id, result, had_ended=known.resumed > resumed)

    @property
    def _known(self) -> list[str]:
        return list(dict.fromkeys([*self._asked, *self._seen.rows]))

    async def _wait(self, process: Process) -> None:
        if runs := self._known:
            run_id = self._random.choice(runs)
            await self._waiting(process, run_id, "await_run", self._await_run(process, run_id))

    async def _await_run(self, process: Process, run_id: str) -> None:
        was_known = run_id in self._seen.rows
        output = await process.agents["plain"].await_run(run_id)
        if output is not None:
            self._told.end(run_id, output.status, "await_run")
        elif was_known:
            self._seen.breach(f"await_run said that {run_id} is not known")

    async def _stream(self, process: Process) -> None:
        if runs := list(self._seen.rows):
            after = self._random.choice([0, 0, self._random.randint(0, 20)])
            await self._follow(process, self._random.choice(runs), after)

    async def _follow(self, process: Process, run_id: str, after: int) -> None:
        """Read a stream; perhaps the reader leaves, and comes back in any process."""
        most = self._random.choice([None, None, self._random.randint(1, 12)])
        what = f"astream_run after {after} of"
        events = process.agents["plain"].astream_run(run_id, after)
        reading = self._read(process, run_id, events, after, most)
        last = await self._waiting(process, run_id, what, reading)
        if last is not None:
            pause = self._random.uniform(0, 4)
            back = partial(self._follow, run_id=run_id, after=last)
            self._world.later(pause, lambda: self._do(back))

    async def _read_own(self, run_id: str, reading: AsyncGenerator[RunOutputEvent]) -> None:
        """Read the stream of a run in the foreground, which is told before it is committed."""
        async with aclosing(reading) as events:
            # What is told of runs below it has numbers of its own.
            told = [event async for event in events if event.run_id == run_id]
        self._told.end_of_stream(run_id, told[-1] if told else None)

    async def _read_new(
        self, process: Process, run_id: str, events: AsyncGenerator[RunOutputEvent]
    ) -> None:
        """Submit a run and read its stream."""
        with suppress(*_FAILURES):
            await self._read(process, run_id, events)

    async def _read(
        self,
        process: Process,
        run_id: str,
        reading: AsyncGenerator[RunOutputEvent],
        after: int = 0,
        most: int | None = None,
    ) -> int | None:
        """Read a stream to its end, or leave with the number of the last event."""
        last, event = after, None
        async with aclosing(reading) as events:
            async for each in events:
                if each.run_id != run_id:
                    continue  # It is told of a run below, with numbers of its own.
                event = each
                self._told.event(run_id, event, last)
                last = event.seq
                if most is not None and last - after >= most:
                    process.write(f"a reader leaves {run_id} after event {last}")
                    return last
        if event is not None or after == 0:
            self._told.end_of_stream(run_id, event)
        return None

    def read_all(self) -> None:
        """Have the streams of all runs be read once more."""
        self.unread = list(self._seen.rows)
        for run_id in self.unread:
            self._do(partial(self._read_again, run_id=run_id))

    async def _read_again(self, process: Process, run_id: str) -> None:
        reading = self._read(process, run_id, process.agents["plain"].astream_run(run_id))
        await self._waiting(process, run_id, "astream_run of", reading)
        self._told.whole_stream(run_id)
        self.unread.remove(run_id)

    async def _waiting(
        self, process: Process, run_id: str, kind: str, wait: Awaitable[Result]
    ) -> Result | None:
        """Wait for something whose end is promised."""
        process.write(f"{kind} {run_id}")
        waiter = Waiter(process, run_id, kind, self._world.universe.now)
        was_open = process.is_open
        self._seen.waiters.append(waiter)
        try:
            return await wait
        except DatabaseUnavailableError as error:
            if was_open:
                self._seen.breach(f"{kind} {run_id} raised {error!r}")
            return None
        finally:
            if waiter in self._seen.waiters:
                self._seen.waiters.remove(waiter)

    async def _continue(self, process: Process) -> None:
        for row in list(self._seen.rows.values()):
            if row.status == "PAUSED":
                await self._decide(process, row)

    async def _decide(self, process: Process, row: Row) -> None:
        """Answer what a paused run waits for, or some of it."""
        if row.journal_version > process.version:
            return  # It could not be read there.
        agent = process.agents[row.agent_id]
        output = await agent.aget_run_output(row.run_id)
        requirements = [] if output is None else output.requirements
        answers: list[RunRequirement] | None = requirements
        if self._random.random() < 0.2:
            # What has an unknown outcome is made again where nobody says anything else.
            answers = None
            unknown = [each for each in requirements if each.kind == "unknown_outcome"]
            counted = self._counted(replace(each, confirmation=True) for each in unknown)
        else:
            for each in requirements:
                self._answer(each)
            counted = self._counted(requirements)
        process.write(f"continue {row.run_id}: {counted}")
        try:
            ended = await agent.acontinue_run(row.run_id, requirements=answers)
            if ended.is_terminal:
                self._told.end(row.run_id, ended.status, "acontinue_run")
        except RunStateError:
            return counted.refused()
        except _FAILURES as error:
            if error.run_output is None:  # By this clock it has expired; the run has not gone on.
                return counted.refused()
            self._told.end(row.run_id, "ERROR", "acontinue_run")
        if answers is not None:
            counted.heard(row.run_id, row.attempt)

    def _counted(self, answers: Iterable[RunRequirement]) -> Counted:
        return Counted(self._seen, self._calls, answers)

    def _answer(self, requirement: RunRequirement) -> None:
        """Decide, or leave it open."""
        note = f"note {self._random.randrange(10**6)}"
        match self._random.randrange(6):
            case 0 | 1 if requirement.kind in ("confirmation", "unknown_outcome"):
                requirement.confirm()
            case 2 if requirement.kind == "confirmation":
                requirement.confirm(tool_args={"seconds": 0.5, "note": note})
            case 0 | 1 | 2 if requirement.kind == "user_input":
                requirement.provide_user_input({"note": note})
            case 3:
                requirement.reject("No.")
            case 0 | 4:
                requirement.set_external_execution_result(f"elsewhere[{note}]")

    async def _retry(self, process: Process) -> None:
        failed = [row for row in self._seen.rows.values() if row.status == "ERROR"]
        if failed:
            row = self._random.choice(failed)
            process.write(f"retry {row.run_id}")
            with suppress(RunStateError):
                await process.agents[row.agent_id].aretry_run(row.run_id)
