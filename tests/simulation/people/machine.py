"""What persons, processes and time do to runs that wait, in a simulated world."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import NamedTuple, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from kern.errors import RunStateError
from kern.run.requirement import RunRequirement, requirements_from_json
from tests.simulation.people.expected import Answer, Decision, Expected
from tests.simulation.plans import Plan, Step
from tests.simulation.surroundings import virtual
from tests.simulation.weather import Weather
from tests.simulation.world import Process, World

Result = TypeVar("Result")
Act: TypeAlias = Callable[[Process], Coroutine[object, object, Result]]

TOOLS = ("work", "asked")

# How long everything may take until it stands still again, in seconds.
_PATIENCE = 120.0

_HOUR = 3600.0


class Crash(NamedTuple):
    """A process that dies: which, and after how many of its steps."""

    process: int
    steps: int


numbers = st.integers(0, 9)
crashes = st.one_of(
    st.none(),
    st.builds(Crash, st.integers(0, 3), st.integers(1, 250)),
)


def _step(tool: str) -> Step:
    return Step(tool=tool, seconds=0.5, child=None, how="wait", agent="plain")


turns = st.lists(
    st.lists(st.sampled_from(TOOLS).map(_step), min_size=1, max_size=3), min_size=1, max_size=3
)
decisions: st.SearchStrategy[Decision] = st.sampled_from(["confirm", "confirm", "reject", "give"])


class People(RuleBasedStateMachine):
    """Two workers and two processes of users, which die and begin again, and the runs in them."""

    def __init__(self) -> None:
        """Begin with an empty world."""
        super().__init__()
        self.world = World(0, Weather())
        self.world.upgraded = 0.0
        self.runs: dict[str, Expected] = {}
        self._surroundings = ExitStack()
        self._surroundings.enter_context(virtual(self.world, 0))
        self._numbers = count()
        for number in range(4):
            self.world.start(is_worker=number < 2)
        self.world.run(asyncio.sleep(5))

    def teardown(self) -> None:
        """Clear the world away."""
        try:
            self.world.close()
        finally:
            self._surroundings.close()

    @rule(planned=turns, crash=crashes)
    def submit(self, planned: list[list[Step]], crash: Crash | None) -> None:
        run_id = f"r{len(self.runs) + 1}"
        plan = Plan(id=run_id, think=0.3, failures=[], turns=planned)
        self.runs[run_id] = Expected(run_id, plan)
        self.runs[run_id].go_on()

        async def act(process: Process) -> None:
            agent, text = process.agents["plain"], json.dumps(plan)
            await agent.arun(text, run_id=run_id, session_id=run_id, background=True)

        self.play(crash, act)
        self.check()

    @precondition(lambda self: self.waiting)
    @rule(number=numbers, said=st.lists(decisions, min_size=1, max_size=3), crash=crashes)
    def decide(self, number: int, said: list[Decision], crash: Crash | None) -> None:
        """Answer the first things that a run waits for."""
        run = self.waiting[number % len(self.waiting)]
        answers = self._answers(run, said)
        self.play(crash, partial(self._decide, run, answers))
        run.go_on(answers)
        self.check()

    @precondition(lambda self: self.waiting)
    @rule(number=numbers, said=decisions, other=decisions)
    def decide_at_once(self, number: int, said: Decision, other: Decision) -> None:
        """Have two processes answer the same: one is heard, and the other is told so."""
        run = self.waiting[number % len(self.waiting)]
        both = [self._answers(run, [said]), self._answers(run, [other])]
        heard = self.play(None, *(partial(self._decide, run, answers) for answers in both))
        assert sorted(heard) == [False, True], f"{sum(heard)} of two answers to {run} were heard"
        run.go_on(both[heard.index(True)])
        self.check()

    @precondition(lambda self: self.runs)
    @rule(number=numbers, crash=crashes)
    def cancel(self, number: int, crash: Crash | None) -> None:
        run = [*self.runs.values()][number % len(self.runs)]

        async def act(process: Process) -> None:
            self.world.seen.known[run.run_id].may_be_cancelled = True
            await process.agents["plain"].acancel_run(run.run_id)

        self.play(crash, act)
        run.cancel()
        self.check()

    @rule()
    def an_hour_passes(self) -> None:
        self.world.universe.now += _HOUR
        for run in self.runs.values():
            run.expire()
        self.check()

    @property
    def waiting(self) -> list[Expected]:
        """The runs that wait for a person."""
        return [run for run in self.runs.values() if run.status == "PAUSED"]

    def _answers(self, run: Expected, said: list[Decision]) -> dict[str, Answer]:
        texts = {"reject": "No.", "give": f"given {next(self._numbers)}"}
        return {
            at: Answer(each, texts.get(each, "")) for at, each in zip(run.waits, said, strict=False)
        }

    async def _decide(self, run: Expected, answers: Mapping[str, Answer], process: Process) -> bool:
        """Answer what a run waits for; say whether that was heard."""
        agent, known = process.agents["plain"], self.world.seen.known[run.run_id]
        output = await agent.aget_run_output(run.run_id)
        assert output is not None
        asked = {each.id.partition("/")[2]: each for each in output.requirements}
        if not asked.keys() & answers.keys():
            return False
        for at, answer in answers.items():
            _say(asked[at], answer)
            known.results[asked[at].id].add(answer.text)
        allowed = [each.id for each in asked.values() if each.confirmation]
        known.allowed.update(allowed)
        try:
            await agent.acontinue_run(run.run_id, requirements=output.requirements)
        except RunStateError:
            known.allowed.subtract(allowed)
            return False
        return True

    def play(self, crash: Crash | None, *acts: Act[Result]) -> list[Result]:
        """Have processes of users do something, while one process may die."""
        results: list[Result] = []

        async def story() -> None:
            if crash is not None:
                process = self.world.processes[crash.process]
                process.burn(crash.steps, partial(self._kill, process))
            results.extend(await asyncio.gather(*map(self._insist, acts)))

        self.world.run(story())
        return results

    def _kill(self, process: Process) -> None:
        process.die()
        self.world.start(process.is_worker)

    async def _insist(self, act: Act[Result]) -> Result:
        """Do something in a process of users, and once more where that dies."""
        while True:
            users = [each for each in self.world.usable if not each.is_worker]
            process = users[next(self._numbers) % len(users)]
            task = process.loop.create_task(act(process))
            while not task.done() and process.is_alive:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            if task.done():
                return task.result()

    def check(self) -> None:
        """See that everything comes to stand as it must, and that nobody begins anything then."""
        self.world.run(self._come_to_stand())
        for process in self.world.processes:
            process.burn(0, lambda: None)
        self.world.run(asyncio.sleep(2))
        assert not (found := self._differences()), "\n".join(found)

    async def _come_to_stand(self) -> None:
        deadline = self.world.universe.now + _PATIENCE
        while self._differences() and self.world.universe.now < deadline:  # noqa: ASYNC110
            await asyncio.sleep(1.0)

    def _differences(self) -> list[str]:
        """Return in what the runs are not what they must be."""
        return [found for run in self.runs.values() for found in self._of(run)]

    def _of(self, run: Expected) -> Iterator[str]:
        row = self.world.seen.rows.get(run.run_id)
        if row is None or row.status != run.status:
            yield f"{run.run_id} is {row and row.status}, not {run.status}"
            return
        waits = {
            each.id.partition("/")[2] for each in requirements_from_json(row.requirements or "[]")
        }
        if row.status == "PAUSED" and waits != run.waits.keys():
            yield f"{run.run_id} waits for {waits}, not for {run.waits.keys()}"
        found = self.world.calls.journaled(run.run_id)
        results = {at.partition("/")[2]: result for at, result in found.items()}
        if results != run.results:
            yield f"the results of {run.run_id} are {results}, not {run.results}"


def _say(requirement: RunRequirement, answer: Answer) -> None:
    match answer:
        case Answer("confirm"):
            requirement.confirm()
        case Answer("reject", note):
            requirement.reject(note)
        case Answer("give", text):
            requirement.set_external_execution_result(text)
