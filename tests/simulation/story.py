"""What happens in a world: runs are submitted, awaited and cancelled, and things go wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from tests.simulation.agents import How, Plan, Step
from tests.simulation.promises import Waiter
from tests.simulation.weather import Weather
from tests.simulation.world import HEARTBEAT, Process, World

from kern.agent.serving import serve
from kern.db.base import Kind, Signal
from kern.errors import DatabaseError, DatabaseUnavailableError, KernError, ModelError, RunStateError
from kern.run.agent import ENDINGS

_AGENTS = ("plain", "plain", "scarce", "patient")
_HOW: tuple[How, ...] = ("wait", "wait", "call", "poll", "leave")

# How long after the storm all runs may take to end, beyond what they do, in seconds.
_SLACK = 600.0


class Story:
    """One course of events in one world."""

    def __init__(self, world: World) -> None:
        """Choose how large it is."""
        self._world = world
        self._random = world.random
        self._runs: list[str] = []
        self._sessions = [f"s{number}" for number in range(self._random.randint(1, 4))]
        self._plans: dict[str, tuple[str, str]] = {}
        self._expected = 0.0

    async def tell(self) -> None:
        """Go through a storm of faults, and through the calm in which all runs have to end."""
        for _ in range(self._random.randint(1, 3)):
            self._world.process(True, work_until_stopped)
        for _ in range(self._random.randint(1, 2)):
            self._world.process(False, wait_until_stopped)
        faults = [asyncio.create_task(each) for each in self._faults()]
        for _ in range(self._random.randint(3, 25)):
            await self._pause(1.0)
            self._act()
        await asyncio.sleep(self._random.uniform(1, 20))
        for fault in faults:
            fault.cancel()
        await asyncio.gather(*faults, return_exceptions=True)
        self._calm_down()
        await self._drain()
        await self._end()

    def _calm_down(self) -> None:
        world = self._world
        world.write("— the storm is over —", "")
        world.weather = Weather()
        self._come_back()
        for process in list(world.processes):
            process.burn(0, lambda: None)
            process.thaw()
            self._reconnect(process)
        if not any(process.is_worker and process.is_usable for process in world.processes):
            world.process(True, work_until_stopped)

    async def _drain(self) -> None:
        """Wait until all runs have ended and all waits with them.

        Raises:
            BreachError: one does not.
        """
        world = self._world
        deadline = world.universe.now + _SLACK + 3 * self._expected
        while (unfinished := world.promises.unfinished()) or world.promises.waiters:
            await asyncio.sleep(1.0)
            if unfinished and world.universe.now > deadline:
                lost = ", ".join(f"{row.run_id} ({row.status})" for row in unfinished)
                world.promises.breach(f"runs that do not end: {lost}")

    async def _end(self) -> None:
        """Ask all processes to end, and wait until they have."""
        world = self._world
        world.write("— all shall end —", "")
        for process in list(world.processes):
            process.stopping.set()
        deadline = world.universe.now + 60
        while world.processes:
            await asyncio.sleep(1.0)
            if world.universe.now > deadline:
                world.promises.breach(f"{world.processes} do not end")

    async def _pause(self, mean: float) -> None:
        await asyncio.sleep(self._random.expovariate(1 / mean))

    # Faults.

    def _faults(self) -> "list[Awaitable[None]]":
        weather, random = self._world.weather, self._random
        kinds: list[tuple[float, Callable[[], None]]] = [
            (weather.deaths, self._kill),
            (weather.freezes, lambda: self._stop("freezes", 20)),
            (weather.blocks, lambda: self._stop("is blocked", 35)),
            (weather.jumps, lambda: self._with(lambda p: p.jump(random.uniform(-600, 600)))),
            (weather.shutdowns, self._shut_down),
            (weather.outages, self._go_away),
            (weather.cuts, self._cut),
        ]
        return [self._repeat(rate, fault) for rate, fault in kinds if rate]

    async def _repeat(self, rate: float, fault: Callable[[], None]) -> None:
        while True:
            await self._pause(60 / rate)
            fault()

    def _with(self, do: Callable[[Process], None]) -> None:
        if usable := [process for process in self._world.processes if process.is_usable]:
            do(self._random.choice(usable))

    def _kill(self) -> None:
        def burn(process: Process) -> None:
            process.burn(self._random.randint(1, 150), lambda: self._die(process))

        self._with(burn)

    def _die(self, process: Process) -> None:
        process.die()
        self._start_later(process)

    def _start_later(self, process: Process) -> None:
        main = work_until_stopped if process.is_worker else wait_until_stopped
        later = self._random.uniform(0.1, 10)
        self._world.later(later, lambda: _start(self._world, process.is_worker, main))

    def _stop(self, what: str, longest: float) -> None:
        seconds = self._random.uniform(0.1, longest)
        steps = self._random.randint(1, 150)
        self._with(lambda process: process.burn(steps, lambda: process.freeze(seconds, what)))

    def _shut_down(self) -> None:
        def stop(process: Process) -> None:
            process.write("is asked to end")
            process.stopping.set()
            self._start_later(process)

        self._with(stop)

    def _go_away(self) -> None:
        world = self._world
        if not world.is_away:
            seconds = self._random.uniform(0.5, 40)
            world.write(f"the store is away for {seconds:.1f} s", "")
            world.is_away = True
            for process in world.processes:
                process.notify_of_gap(Signal(Kind.away))
            world.later(seconds, self._come_back)

    def _come_back(self) -> None:
        world = self._world
        if world.is_away:
            world.write("the store is back", "")
            world.is_away = False
            world.troubled_until = world.universe.now
            for process in world.processes:
                process.notify_of_gap(Signal(Kind.resync))

    def _cut(self) -> None:
        def cut(process: Process) -> None:
            seconds = self._random.uniform(0.5, 30)
            process.write(f"is cut off the store for {seconds:.1f} s")
            process.is_cut = True
            process.notify_of_gap(Signal(Kind.away))
            self._world.later(seconds, lambda: self._reconnect(process))

        self._with(cut)

    def _reconnect(self, process: Process) -> None:
        if process.is_cut:
            process.is_cut = False
            process.troubled_until = self._world.universe.now
            process.notify_of_gap(Signal(Kind.resync))

    # What users do.

    def _act(self) -> None:
        """Have a process do something."""
        usable = [process for process in self._world.processes if process.is_usable]
        if not usable:
            return
        process = self._random.choice(usable)
        acts: list[tuple[int, Callable[[Process], Awaitable[None]]]] = [
            (10, self._submit),
            (3, self._run),
            (3, self._cancel),
            (3, self._wait),
            (2, self._stream),
            (1, self._retry),
        ]
        act = self._random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        process.do(self._safely(process, act))

    async def _safely(self, process: Process, act: Callable[[Process], Awaitable[None]]) -> None:
        try:
            await act(process)
        except DatabaseUnavailableError as error:
            process.write(f"{act.__name__} failed: {error}")

    def _new_run(self) -> tuple[str, str, str]:
        """Plan a run; return its id, its agent, and its plan as text."""
        run_id = f"r{len(self._runs) + 1}"
        self._runs.append(run_id)
        plan = self._plan(run_id, 3)
        text = json.dumps(plan)
        agent_id = self._random.choice(_AGENTS)
        self._plans[run_id] = agent_id, text
        self._expected += _length(plan)
        return run_id, agent_id, text

    def _plan(self, run_id: str, depth: int) -> Plan:
        random = self._random
        failures = random.randint(1, 3) if random.random() < 0.1 else 0
        turns = [
            [
                self._step(f"{run_id}.{turn}{place}", depth)
                for place in range(random.randint(1, 3))
            ]
            for turn in range(random.randint(0, 3))
        ]
        return Plan(id=run_id, think=random.uniform(0.01, 2), failures=failures, turns=turns)

    def _step(self, run_id: str, depth: int) -> Step:
        random = self._random
        child = None
        if depth > 1 and random.random() < 0.25:
            child = self._plan(run_id, depth - 1)
            child["failures"] = 0
        return Step(
            seconds=random.uniform(0.01, 4),
            child=child,
            how=random.choice(_HOW),
            agent=random.choice(_AGENTS),
        )

    async def _submit(self, process: Process) -> None:
        """Submit a background run; where the answer is lost, perhaps again."""
        random = self._random
        if self._plans and random.random() < 0.1:
            run_id = random.choice(list(self._plans))
            agent_id, text = self._plans[run_id]
        else:
            run_id, agent_id, text = self._new_run()
        known = self._world.promises.of(run_id)
        session_id = random.choice(self._sessions)
        policy = random.choices(["queue", "parallel", "interrupt"], [8, 2, 1])[0]
        delay = random.uniform(0.1, 10) if random.random() < 0.1 else None
        run_at = None if delay is None else datetime.fromtimestamp(
            self._world.wall() + delay, UTC
        )
        if policy == "interrupt":
            self._world.promises.interrupting.add(session_id)
        while True:
            process.write(f"submit {run_id} to {agent_id} in {session_id} ({policy})")
            try:
                await process.agent(agent_id).arun(
                    text,
                    run_id=run_id,
                    session_id=session_id,
                    user_id=random.choice(["u1", "u2"]),
                    session_policy=policy,  # type: ignore[arg-type] # one of the three
                    run_at=run_at,
                    background=True,
                )
            except DatabaseUnavailableError:
                if random.random() < 0.3:
                    raise
            else:
                process.write(f"{run_id} is accepted")
                if not known.foreground:
                    self._world.promises.accepted(run_id)
                return

    async def _run(self, process: Process) -> None:
        """Run in the foreground; perhaps the caller leaves."""
        run_id, agent_id, text = self._new_run()
        process.write(f"run {run_id} of {agent_id}")
        process.foreground(run_id)
        running = asyncio.create_task(process.agent(agent_id).arun(text, run_id=run_id))
        if self._random.random() < 0.4:
            await asyncio.sleep(self._random.choice([0.001, 0.01, 1.0]) * self._random.random())
            process.write(f"the caller of {run_id} leaves")
            running.cancel()
        try:
            output = await running
            self._world.promises.ended(run_id, output.status, "arun")
        except ModelError:
            self._world.promises.ended(run_id, "ERROR", "arun")
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr] # in a task
                raise

    async def _cancel(self, process: Process) -> None:
        """Cancel a run, perhaps before it is submitted."""
        runs = self._known_runs()
        if self._random.random() < 0.2 or not runs:
            run_id = f"r{len(self._runs) + 1}"
            self._world.later(self._random.uniform(0, 2), self._submit_somewhere)
        else:
            run_id = self._random.choice(runs)
        process.write(f"cancel {run_id}")
        self._world.promises.of(run_id).may_be_cancelled = True
        result = await process.agent("plain").acancel_run(run_id)
        process.write(f"the cancel of {run_id} is answered by {result}")
        self._world.promises.cancelled(run_id, result)

    def _submit_somewhere(self) -> None:
        self._with(lambda process: _do(process, self._safely(process, self._submit)))

    def _known_runs(self) -> list[str]:
        return list(dict.fromkeys([*self._runs, *self._world.promises.rows]))

    async def _wait(self, process: Process) -> None:
        if not (runs := self._known_runs()):
            return
        run_id = self._random.choice(runs)
        with suppress(TimeoutError):
            await self._waiting(process, run_id, "await_run", self._await_run(process, run_id))

    async def _await_run(self, process: Process, run_id: str) -> None:
        was_known = run_id in self._world.promises.rows
        output = await process.agent("plain").await_run(run_id)
        if output is not None:
            self._world.promises.ended(run_id, output.status, "await_run")
        elif was_known:
            self._world.promises.breach(f"await_run said that {run_id} is not known")

    async def _stream(self, process: Process) -> None:
        if runs := list(self._world.promises.rows):
            run_id = self._random.choice(runs)
            await self._waiting(process, run_id, "astream_run", self._read(process, run_id))

    async def _read(self, process: Process, run_id: str) -> None:
        last, event = 0, None
        async for event in process.agent("plain").astream_run(run_id):
            if event.seq <= last:
                self._world.promises.breach(f"event {event.seq} of {run_id} came after {last}")
            last = event.seq
        kinds = {kind: status for status, kind in ENDINGS.items()}
        if event is None or event.event not in kinds:
            self._world.promises.breach(f"the stream of {run_id} ended with {event}")
        else:
            self._world.promises.ended(run_id, kinds[event.event], "astream_run")

    async def _waiting(
        self, process: Process, run_id: str, kind: str, wait: Awaitable[None]
    ) -> None:
        """Wait for something whose end is promised."""
        process.write(f"{kind} {run_id}")
        waiter = Waiter(process, run_id, kind)
        was_open = process.is_open
        self._world.promises.waiters.append(waiter)
        try:
            await wait
        except DatabaseUnavailableError as error:
            if was_open:
                self._world.promises.breach(f"{kind} of {run_id} raised {error!r}")
        finally:
            self._world.promises.waiters.remove(waiter)

    async def _retry(self, process: Process) -> None:
        failed = [row for row in self._world.promises.rows.values() if row.status == "ERROR"]
        if failed:
            row = self._random.choice(failed)
            process.write(f"retry {row.run_id}")
            with suppress(RunStateError):
                await process.agent(row.agent_id).aretry_run(row.run_id)


def _do(process: Process, work: object) -> None:
    process.do(work)  # type: ignore[arg-type] # a coroutine


def _start(world: World, is_worker: bool, main: Callable[[Process], Awaitable[None]]) -> None:
    if not world.is_over:
        world.process(is_worker, main)


def _length(plan: Plan) -> float:
    """Return how long a run takes where all its steps are made one after the other, in seconds."""
    calls = (len(plan["turns"]) + 1 + plan["failures"]) * plan["think"]
    return calls + sum(
        step["seconds"] if step["child"] is None else 1 + _length(step["child"])
        for turn in plan["turns"]
        for step in turn
    )


async def work_until_stopped(process: Process) -> None:
    """Be a process that serves all agents; where it cannot begin, it is started again."""
    while not process.stopping.is_set():
        try:
            return await serve(process.agents, grace=3.0, stopping=process.stopping)
        except DatabaseUnavailableError as error:
            process.write(f"cannot begin: {error}")
            await asyncio.sleep(1.0)


async def wait_until_stopped(process: Process) -> None:
    """Be a process that does what it is asked."""
    await process.stopping.wait()


__all__ = ["HEARTBEAT", "KernError", "DatabaseError", "Story", "timedelta"]
