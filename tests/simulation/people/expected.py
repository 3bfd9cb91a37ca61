"""A model of runs that wait for persons: what each must be by its plan and by what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from tests.simulation.agents import ASKS, answer, result_of_work
from tests.simulation.plans import Plan, Step

Decision: TypeAlias = Literal["confirm", "reject", "give"]


class Answer(NamedTuple):
    """What a person says of a call: to make it, not to make it, or what it has returned."""

    decision: Decision
    text: str = ""


@dataclass
class Expected:
    """What a run must be.

    Attributes:
        run_id: the run.
        plan: what it does.
        status: as it stands still.
        results: what its calls have returned, by turn and place.
        waits: the calls for which it waits, by turn and place.
        content: its answer.
    """

    run_id: str
    plan: Plan
    status: str = "PENDING"
    results: dict[str, str] = field(default_factory=dict)
    waits: dict[str, Step] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """Its answer, once it has one."""
        return answer(self.results[at] for at, _ in self._calls())

    def _calls(self) -> list[tuple[str, Step]]:
        return [
            (f"{turn}/{place}", step)
            for turn, steps in enumerate(self.plan["turns"], 1)
            for place, step in enumerate(steps)
        ]

    def go_on(self, answers: Mapping[str, Answer] | None = None) -> None:
        """Make the calls that may be made, turn by turn, until one waits for a person."""
        self.waits = {}
        for turn, steps in enumerate(self.plan["turns"], 1):
            for place, step in enumerate(steps):
                at = f"{turn}/{place}"
                if at not in self.results:
                    self._make(at, step, (answers or {}).get(at))
            if self.waits:
                self.status = "PAUSED"
                return
        self.status = "COMPLETED"

    def _make(self, at: str, step: Step, said: Answer | None) -> None:
        key = f"{self.run_id}/{at}"
        match said:
            case None if step["tool"] in ASKS:
                self.waits[at] = step
            case None | Answer("confirm"):
                self.results[at] = result_of_work(key)
            case Answer("reject", note):
                self.results[at] = f"Not called: a person has rejected this call. {note}"
            case Answer("give", text):
                self.results[at] = text

    def cancel(self) -> None:
        """End, unless it has."""
        if self.status == "PAUSED":
            self.status, self.waits = "CANCELLED", {}

    def expire(self) -> None:
        """Have the time pass until which something could be answered."""

    def fork(self, run_id: str) -> "Expected":
        """Return a run that begins with its steps."""
        return Expected(run_id, self.plan, results=dict(self.results))
