"""What users do in a world: they submit, run, cancel, await, read and retry runs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

from kern.dispatch.submission import SessionPolicy
from kern.errors import DatabaseUnavailableError, ModelError, RunStateError
from kern.run.event import ENDINGS, RunEvent
from tests.simulation.plans import AGENTS, length, plan
from tests.simulation.promises import Waiter
from tests.simulation.world import Process, World

_POLICIES: tuple[SessionPolicy, ...] = ("queue", "parallel", "interrupt")


class Users:
    """The users of a world.

    Attributes:
        work: how long all runs take that they have asked for, in seconds.
    """

    def __init__(self, world: World) -> None:
        """Have asked for nothing yet."""
        self.work = 0.0
        self._world = world
        self._random = world.random
        self._promises = world.promises
        self._sessions = [f"s{number}" for number in range(self._random.randint(1, 4))]
        self._asked: dict[str, tuple[str, str, str]] = {}

    def act(self) -> None:
        """Have a process do something."""
        acts = [self._submit, self._run, self._cancel, self._wait, self._stream, self._retry]
        self._do(self._random.choices(acts, [10, 3, 3, 3, 2, 1])[0])
        self.decide()

    def decide(self) -> None:
        """Have paused runs go on."""
        if any(row.status == "PAUSED" for row in self._promises.rows.values()):
            self._do(self._continue)

    def _do(self, act: Callable[[Process], Awaitable[None]]) -> None:
        async def do(process: Process) -> None:
            try:
                await act(process)
            except DatabaseUnavailableError as error:
                process.write(f"{act.__name__[1:]} failed: {error}")

        if usable := self._world.usable:
            process = self._random.choice(usable)
            process.loop.create_task(do(process))

    def _new_run(self) -> str:
        """Plan a run, and return its id."""
        run_id = f"r{len(self._asked) + 1}"
        agent_id = self._random.choice(AGENTS)
        planned = plan(self._random, run_id, agent_id)
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
            self._promises.interrupting.add(session_id)
        while True:
            process.write(f"submit {run_id} to {agent_id} in {session_id} ({policy})")
            with suppress(DatabaseUnavailableError):
                await process.agent(agent_id).arun(
                    text,
                    run_id=run_id,
                    session_id=session_id,
                    user_id=random.choice(["u1", "u2"]),
                    session_policy=policy,
                    run_at=run_at,
                    timeout=timeout,
                    background=True,
                )
                process.write(f"{run_id} is accepted")
                return self._promises.accepted(run_id)
            process.write(f"whether {run_id} was accepted is not known")
            if random.random() < 0.3:
                return

    async def _run(self, process: Process) -> None:
        """Run in the foreground; perhaps the caller leaves."""
        run_id = self._new_run()
        agent_id, _, text = self._asked[run_id]
        process.write(f"run {run_id} of {agent_id}")
        process.foreground(run_id)
        running = asyncio.ensure_future(process.agent(agent_id).arun(text, run_id=run_id))
        if self._random.random() < 0.4:
            await asyncio.sleep(self._random.choice([0.001, 0.01, 1.0]) * self._random.random())
            process.write(f"the caller of {run_id} leaves")
            running.cancel()
        try:
            output = await running
            self._promises.ended(run_id, output.status, "arun")
        except ModelError:
            self._promises.ended(run_id, "ERROR", "arun")
        except asyncio.CancelledError:
            if cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                raise
            self._promises.left(process, run_id)

    async def _cancel(self, process: Process) -> None:
        """Cancel a run, perhaps before it is submitted."""
        if self._random.random() < 0.2 or not (runs := self._known):
            run_id = f"r{len(self._asked) + 1}"
            self._world.later(self._random.uniform(0, 2), lambda: self._do(self._submit))
        else:
            run_id = self._random.choice(runs)
        process.write(f"cancel {run_id}")
        self._promises.of(run_id).may_be_cancelled = True
        result = await process.agent("plain").acancel_run(run_id)
        process.write(f"the cancel of {run_id} is answered by {result}")
        self._promises.cancelled(run_id, result)

    @property
    def _known(self) -> list[str]:
        return list(dict.fromkeys([*self._asked, *self._promises.rows]))

    async def _wait(self, process: Process) -> None:
        if runs := self._known:
            run_id = self._random.choice(runs)
            await self._waiting(process, run_id, "await_run", self._await_run(process, run_id))

    async def _await_run(self, process: Process, run_id: str) -> None:
        was_known = run_id in self._promises.rows
        output = await process.agent("plain").await_run(run_id)
        if output is not None:
            self._promises.ended(run_id, output.status, "await_run")
        elif was_known:
            self._promises.breach(f"await_run said that {run_id} is not known")

    async def _stream(self, process: Process) -> None:
        if runs := list(self._promises.rows):
            run_id = self._random.choice(runs)
            await self._waiting(process, run_id, "astream_run", self._read(process, run_id))

    async def _read(self, process: Process, run_id: str) -> None:
        last, event = 0, None
        async for event in process.agent("plain").astream_run(run_id):
            if event.seq <= last:
                self._promises.breach(f"event {event.seq} of {run_id} came after {last}")
            last = event.seq
        statuses = {kind: status for status, kind in ENDINGS.items()}
        if event is not None and event.event is RunEvent.run_paused:
            process.write(f"the stream of {run_id} pauses")
        elif event is None or event.event not in statuses:
            self._promises.breach(f"the stream of {run_id} ended with {event}")
        else:
            self._promises.ended(run_id, statuses[event.event], "astream_run")

    async def _waiting(
        self, process: Process, run_id: str, kind: str, wait: Awaitable[None]
    ) -> None:
        """Wait for something whose end is promised."""
        process.write(f"{kind} {run_id}")
        waiter = Waiter(process, run_id, kind, self._world.universe.now)
        was_open = process.is_open
        self._promises.waiters.append(waiter)
        try:
            await wait
        except DatabaseUnavailableError as error:
            if was_open:
                self._promises.breach(f"{kind} of {run_id} raised {error!r}")
        finally:
            self._promises.waiters[:] = [
                each for each in self._promises.waiters if each is not waiter
            ]

    async def _continue(self, process: Process) -> None:
        for row in list(self._promises.rows.values()):
            if row.status == "PAUSED":
                process.write(f"continue {row.run_id}")
                with suppress(RunStateError):
                    await process.agent(row.agent_id).acontinue_run(row.run_id)

    async def _retry(self, process: Process) -> None:
        failed = [row for row in self._promises.rows.values() if row.status == "ERROR"]
        if failed:
            row = self._random.choice(failed)
            process.write(f"retry {row.run_id}")
            with suppress(RunStateError):
                await process.agent(row.agent_id).aretry_run(row.run_id)
