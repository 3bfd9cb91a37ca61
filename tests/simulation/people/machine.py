"""What persons, processes and time do to runs that wait, in a simulated world."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import NamedTuple, TypeAlias, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from kern.errors import RunStateError
from kern.run.input import RunInput
from kern.run.requirement import RunRequirement, requirements_from_json
from tests.simulation.people.expected import UNDONE, Answer, Decision, Expected
from tests.simulation.plans import Plan, Step
from tests.simulation.promises.counted import Counted
from tests.simulation.surroundings import virtual
from tests.simulation.weather import Weather
from tests.simulation.world import Process, World

Result = TypeVar("Result")
Act: TypeAlias = Callable[[Process], Coroutine[object, object, Result]]

# How long everything may take until it stands still again, in seconds.
_PATIENCE = 120.0

_HOUR = 3600.0

# What a call says of a run that has failed, or was cancelled.
_WHY = re.compile(r"The run of \w+ (was cancelled|failed: .*?asked again\.)")


class Crash(NamedTuple):
    """A process that dies: which, and after how many of its steps."""

    process: int
    steps: int


numbers = st.integers(0, 9)
crashes = st.one_of(
    st.none(),
    st.builds(Crash, st.integers(0, 3), st.integers(1, 250)),
)


tools = st.sampled_from(["work", "asked", "hurried", "final", "filled", "outside", "unsure"])


def step_of(tool: str, child: list[list[Step]] | None = None) -> Step:
    """Return a call of a tool, or one that is a run of another agent.

    Args:
        tool: the tool.
        child: what that run does.
    """
    plan = None if child is None else _plan("", child)
    return Step(tool=tool, seconds=0.5, child=plan, how="wait", agent="plain")


def _plan(run_id: str, turns: list[list[Step]]) -> Plan:
    return Plan(id=run_id, think=0.3, failures=[], turns=turns)


def _turns(steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[list[Step]]]:
    return st.lists(st.lists(steps, min_size=1, max_size=3), min_size=1, max_size=2)


leaves = tools.map(step_of)
families = leaves
for _ in range(2):
    families = leaves | _turns(families).map(partial(step_of, "helped"))
decisions: st.SearchStrategy[Decision] = st.sampled_from(
    ["confirm", "confirm", "edit", "reject", "give"]
)


class People(RuleBasedStateMachine):
    """Two workers and two processes of users, which die and begin again, and the runs in them."""

    def __init__(self) -> None:
        """Begin with an empty world."""
        super().__init__()
        self.world = World(0, Weather())
        self.world.upgraded, self.world.expires_in = 0.0, _HOUR / 2
        self.runs: dict[str, Expected] = {}
        self._ids: dict[str, str] = {}
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

    @rule(planned=_turns(families), crash=crashes)
    def submit(self, planned: list[list[Step]], crash: Crash | None) -> None:
        run_id = f"r{len(self.runs) + 1}"
        plan = _plan(run_id, planned)
        _name(plan)
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
        """Answer the first things that a run waits for: of its own, or of what is below it."""
        run = self.waiting[number % len(self.waiting)]
        answers = self._answers(run, said)
        self.play(crash, partial(self._decide, run, answers))
        self._go_on(answers)

    @precondition(lambda self: self.waiting)
    @rule(number=numbers, said=decisions, other=decisions)
    def decide_at_once(self, number: int, said: Decision, other: Decision) -> None:
        """Have two processes answer the same: one is heard, and the other is told so."""
        run = self.waiting[number % len(self.waiting)]
        both = [self._answers(run, [said]), self._answers(run, [other])]
        heard = self.play(None, *(partial(self._decide, run, answers) for answers in both))
        assert sorted(heard) == [False, True], f"{sum(heard)} of two answers to {run} were heard"
        self._go_on(both[heard.index(True)])

    @precondition(lambda self: self.runs)
    @rule(number=numbers, crash=crashes)
    def cancel(self, number: int, crash: Crash | None) -> None:
        """Cancel a run, with all that is below it; those above go on without it."""
        runs = [*self._all()]
        run = runs[number % len(runs)]
        run_id = self._ids[run.name]

        async def act(process: Process) -> None:
            self.world.seen.known[run_id].may_be_cancelled = True
            await process.agents["plain"].acancel_run(run_id)

        self.play(crash, act)
        run.cancel()
        self._go_on({})

    @rule()
    def an_hour_passes(self) -> None:
        self.world.universe.now += _HOUR
        for run in self.runs.values():
            run.expire()
        self._go_on({})

    @property
    def waiting(self) -> list[Expected]:
        """The runs that wait for a person, and those below them."""
        return [run for run in self._all() if run.waits]

    def _all(self) -> Iterator[Expected]:
        for run in self.runs.values():
            yield from run.family

    def _go_on(self, answers: Mapping[str, Answer]) -> None:
        """Have the runs that wait go on as they must, and see that they do."""
        for run in [*self._all()]:
            if run.status == "PAUSED":
                run.go_on(answers)
        self.check()

    def _answers(self, run: Expected, said: list[Decision]) -> dict[str, Answer]:
        """Return answers to the first things that a run waits for."""
        found: dict[str, Answer] = {}
        for (key, tool), decision in zip(run.waits.items(), said, strict=False):
            if tool == "outside" and decision != "reject":
                decision = "give"
            elif tool == "filled" and decision != "reject":
                decision = "edit"
            texts = {"confirm": "", "reject": "No."}
            text = texts.get(decision, f"{decision} {next(self._numbers)}")
            found[key] = Answer(decision, text)
        return found

    async def _decide(self, run: Expected, answers: Mapping[str, Answer], process: Process) -> bool:
        """Answer what a run waits for; say whether that was heard."""
        run_id = self._ids[run.name]
        agent = process.agents[self.world.seen.rows[run_id].agent_id]
        output = await agent.aget_run_output(run_id)
        assert output is not None
        asked = {self._key(each.id): each for each in output.requirements}
        if not asked.keys() & answers.keys():
            return False
        for key, said in answers.items():
            _say(asked[key], said)
        counted = Counted(self.world.seen, self.world.calls, output.requirements)
        try:
            await agent.acontinue_run(run_id, requirements=output.requirements)
        except RunStateError:
            counted.refused()
            return False
        return True

    def _key(self, requirement_id: str) -> str:
        """Return the run's name, turn and place of the call that a requirement is about."""
        for name, run_id in self._ids.items():
            if requirement_id.startswith(f"{run_id}/"):
                turn, place, *_ = requirement_id.removeprefix(f"{run_id}/").split("/")
                return f"{name}/{turn}/{place}"
        raise AssertionError(f"{requirement_id} is about no run")

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
        self._find_children()
        found = [difference for run in self._all() for difference in self._of(run)]
        rows, runs = len(self.world.seen.rows), len([*self._all()])
        return found if rows == runs else [*found, f"there are {rows} runs, not {runs}"]

    def _find_children(self) -> None:
        """Learn the ids of the runs that calls are."""
        self._ids |= {run_id: run_id for run_id in self.runs}
        inputs = self.world.rows("SELECT run_id, parent_run_id, input FROM kern_sessions_runs")
        plans = {
            (each["parent_run_id"], _plan_id(each["input"])): each["run_id"] for each in inputs
        }
        for run in self._all():
            for child in run.children.values():
                parent = self._ids.get(run.name)
                if (run_id := plans.get((parent, child.plan["id"]))) is not None:
                    self._ids[child.name] = run_id

    def _of(self, run: Expected) -> Iterator[str]:
        row = self.world.seen.rows.get(self._ids.get(run.name, ""))
        if row is None or row.status != run.status:
            yield f"{run.name} is {row and row.status}, not {run.status}"
            return
        waiting = requirements_from_json(row.requirements or "[]")
        waits = {self._key(each.id) for each in waiting}
        if row.status == "PAUSED" and waits != run.waits.keys():
            yield f"{run.name} waits for {waits}, not for {[*run.waits]}"
        results = {
            at.removeprefix(f"{row.run_id}/"): self._named(result)
            for at, result in self.world.calls.journaled(row.run_id).items()
        }
        if results != run.results:
            yield f"the results of {run.name} are {results}, not {run.results}"

    def _named(self, text: str) -> str:
        """Return a text with the names of runs in place of their ids, and no reasons."""
        for name, run_id in self._ids.items():
            text = text.replace(run_id, name)
        return _WHY.sub(UNDONE, text)


def _name(plan: Plan) -> None:
    """Name the plans within a plan after it."""
    for turn, steps in enumerate(plan["turns"], 1):
        for place, step in enumerate(steps):
            if (child := step["child"]) is not None:
                child["id"] = f"{plan['id']}.{turn}{place}"
                _name(child)


def _plan_id(input: str) -> str:
    """Return the id of the plan that is a run's input."""
    return cast(Plan, json.loads(RunInput.from_json(input).messages[-1].text))["id"]


def _say(requirement: RunRequirement, answer: Answer) -> None:
    match answer:
        case Answer("confirm"):
            requirement.confirm()
        case Answer("edit", note) if requirement.kind == "user_input":
            requirement.provide_user_input({"note": note})
        case Answer("edit", note):
            requirement.confirm(tool_args={"seconds": 0.5, "note": note})
        case Answer("reject", note):
            requirement.reject(note)
        case Answer("give", text):
            requirement.set_external_execution_result(text)
