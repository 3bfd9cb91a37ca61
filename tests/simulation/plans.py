"""What runs do: a plan is a run's input, so any process can execute it, and its answer is known."""

from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias, TypedDict

How: TypeAlias = Literal["wait", "call", "poll", "leave"]

AGENTS = (
    *("plain", "plain", "plain", "scarce", "scarce", "patient", "patient", "frugal", "brief"),
    "curious",
)

_TOOLS = (
    *("work", "work", "work", "work", "work", "work", "stepped", "stepped", "risky", "asked"),
    *("grave", "hurried", "final", "filled", "outside", "unsure"),
)

_HOW: tuple[How, ...] = ("wait", "wait", "call", "poll", "leave")


@dataclass(frozen=True, slots=True)
class Habits:
    """What users ask for: a world in which they ask for all of it has little of each.

    Attributes:
        agents: whose runs they and their runs ask for; who is named twice is asked twice as often.
        acts: how often they submit, run, cancel, await, read and retry.
        children: the chance that a step is a child run.
    """

    agents: tuple[str, ...] = AGENTS
    acts: tuple[int, int, int, int, int, int] = (10, 3, 3, 3, 6, 2)
    children: float = 0.25


class Step(TypedDict):
    """A tool call: work that takes time, or a child run, and how its parent deals with it."""

    tool: str
    seconds: float
    child: "Plan | None"
    how: How
    agent: str


class Plan(TypedDict):
    """What a run does.

    Each turn is a list of steps that are made side by side. The model takes ``think`` seconds for
    an answer; the calls of it with these numbers fail.
    """

    id: str
    think: float
    failures: list[int]
    turns: list[list[Step]]


def plan(random: Random, habits: Habits, run_id: str, agent_id: str, depth: int = 3) -> Plan:
    """Return a plan for a run of an agent, in which children are at most so deep."""
    turns = [
        [
            _step(random, habits, f"{run_id}.{turn}{place}", agent_id, depth)
            for place in range(random.randint(1, 3))
        ]
        for turn in range(random.randint(0, 3))
    ]
    # Who fails, and is retried, may have been followed meanwhile.
    has_started = any(step["tool"] == "started" for turn in turns for step in turn)
    often = 0.9 if agent_id == "patient" else 0.4 if has_started else 0.1
    failures = sorted(random.sample(range(1, 7), 3)) if random.random() < often else []
    return Plan(id=run_id, think=random.uniform(0.01, 2), failures=failures, turns=turns)


def _step(random: Random, habits: Habits, run_id: str, parent: str, depth: int) -> Step:
    has_child = depth > 1 and random.random() < habits.children
    agent_id, how = random.choice(habits.agents), random.choice(_HOW)
    if parent == "scarce" and how == "poll":
        how = "wait"  # Who polls holds its place under the limit, and its child may need it.
    helpers = {"plain": "helper", "helper": "second"}
    is_helped = has_child and parent in helpers and random.random() < 0.5
    if is_helped:
        agent_id = helpers[parent]
    helped = "started" if is_helped and random.random() < 0.5 else "helped"
    return Step(
        tool=helped if is_helped else "delegate" if has_child else random.choice(_TOOLS),
        seconds=random.uniform(0.01, 4),
        child=plan(random, habits, run_id, agent_id, depth - 1) if has_child else None,
        how=how,
        agent=agent_id,
    )


def length(plan: Plan) -> float:
    """Return how long a run takes where its steps are made one after the other, in seconds."""
    calls = (len(plan["turns"]) + 3 + len(plan["failures"])) * plan["think"]
    return calls + sum(
        _longest(step) if step["child"] is None else 1 + length(step["child"])
        for turn in plan["turns"]
        for step in turn
    )


def _longest(step: Step) -> float:
    """Return how long a call takes; one in steps sleeps twice, and its run is claimed again."""
    return 5 * step["seconds"] + 4 if step["tool"] == "stepped" else step["seconds"]
