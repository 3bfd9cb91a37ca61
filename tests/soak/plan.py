"""What a run shall do, as its input says."""

import json
from dataclasses import dataclass
from random import Random
from typing import Self

TABLE = "soak"

# A run that shares its worker with others loses attempts with each kill, and is no poison.
ATTEMPTS = 1000
POISON_ATTEMPTS = 3

# The tool calls of each of the model's answers but the last: one to six steps in all.
_SHAPES = ((), (1,), (2,), (3,), (1, 1), (1, 2), (2, 1))

UNKNOWN = "The outcome of this call is unknown"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model asks for."""

    tool: str
    seconds: float = 0.0

    @property
    def arguments(self) -> dict[str, object]:
        """What the tool is called with."""
        return {} if self.tool == "poison" else {"seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Plan:
    """The tool calls of a run, turn by turn, and how long its model thinks each time."""

    run_id: str
    think: float
    turns: list[list[Call]]

    @classmethod
    def random(cls, run_id: str, chance: Random) -> Self:
        """Make a plan up."""
        turns = [[_call(chance) for _ in range(calls)] for calls in chance.choice(_SHAPES)]
        return cls(run_id, _seconds(chance), turns)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read it."""
        run_id, think, turns = json.loads(text)
        return cls(run_id, think, [[Call(*call) for call in calls] for calls in turns])

    def to_json(self) -> str:
        """Return it as a run's input."""
        turns = [[(call.tool, call.seconds) for call in calls] for calls in self.turns]
        return json.dumps((self.run_id, self.think, turns))

    @property
    def steps(self) -> int:
        """How many model calls and tool calls it takes."""
        return 1 + sum(1 + len(calls) for calls in self.turns)

    def progress(self, results: list[str]) -> tuple[int, str]:
        """Return the turn that the model is asked for, and what is wrong with what it is told."""
        expected = [
            (f"did {self.run_id}/{turn}/{place}", call)
            for turn, calls in enumerate(self.turns, start=1)
            for place, call in enumerate(calls)
        ]
        for result, (right, call) in zip(results, expected, strict=False):
            unknown = call.tool == "once" and result.startswith(UNKNOWN)
            if result != right and not unknown:
                return 1, f"{result}!={right}".replace(" ", "_")
        done = 0
        for turn, calls in enumerate(self.turns, start=1):
            if done == len(results):
                return turn, ""
            done += len(calls)
        last = len(self.turns) + 1
        return last, "" if done == len(results) else f"{len(results)}_results,_not_{done}"


def answer_of(run_id: str) -> str:
    """Return what the model says at the end."""
    return f"All of {run_id} is done."


def _call(chance: Random) -> Call:
    return Call(chance.choices(("work", "block", "once"), (6, 2, 2))[0], _seconds(chance))


def _seconds(chance: Random) -> float:
    """Return a short time; now and then a long one, so that a kill meets something."""
    return round(chance.uniform(0.5, 2.5) if chance.random() < 0.03 else chance.random() * 0.06, 3)
