"""A model of runs that wait for persons: what each must be by its plan and by what was decided."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from tests.simulation.agents import answer
from tests.simulation.plans import Plan, Step
from tests.simulation.tools import ASKS, result_of_work

Decision: TypeAlias = Literal["confirm", "edit", "reject", "give"]

EXPIRES = ("hurried", "final")
"""The tools that can be answered for a time only."""

UNDONE = "[not done]"
"""What a call has returned whose run has failed, or was cancelled."""

_REJECTED = "Not called: a person has rejected this call."


class Answer(NamedTuple):
    """What a person says of a call.

    Attributes:
        decision: to make it, to make it with a note, not to make it, or what it has returned.
        text: the note, why not, or what it has returned.
    """

    decision: Decision
    text: str = ""


@dataclass
class Expected:
    """What a run must be.

    Attributes:
        name: its id; for a child, one that follows from its parent's.
        plan: what it does.
        status: as it stands still.
        results: what its calls have returned, by turn and place.
        children: the runs that calls of it are, by turn and place.
    """

    name: str
    plan: Plan
    status: str = "PENDING"
    results: dict[str, str] = field(default_factory=dict)
    children: dict[str, "Expected"] = field(default_factory=dict)
    _open: dict[str, Step] = field(default_factory=dict)

    @property
    def waits(self) -> dict[str, str]:
        """The tools whose calls it waits for, by the run's name, turn and place."""
        own = {f"{self.name}/{at}": step["tool"] for at, step in self._open.items()}
        for child in self.children.values():
            own |= child.waits
        return own if self.status == "PAUSED" else {}

    @property
    def family(self) -> Iterator["Expected"]:
        """The run, and those below it."""
        yield self
        for child in self.children.values():
            yield from child.family

    @property
    def content(self) -> str:
        """Its answer."""
        return answer(
            self.results[f"{turn}/{place}"]
            for turn, steps in enumerate(self.plan["turns"], 1)
            for place in range(len(steps))
        )

    def go_on(self, answers: Mapping[str, Answer] | None = None) -> None:
        """Make the calls that may be made, turn by turn, until one waits for a person."""
        if self.status not in ("PENDING", "PAUSED"):
            return
        self._open, waits = {}, False
        for turn, steps in enumerate(self.plan["turns"], 1):
            for place, step in enumerate(steps):
                at = f"{turn}/{place}"
                if at not in self.results and not self._is_made(at, step, answers or {}):
                    waits = True
            if waits:
                self.status = "PAUSED"
                return
        self.status = "COMPLETED"

    def _is_made(self, at: str, step: Step, answers: Mapping[str, Answer]) -> bool:
        """Make a call, unless it waits for a person."""
        key = f"{self.name}/{at}"
        if step["child"] is not None:
            return self._is_carried_out(at, step["child"], answers)
        match answers.get(key):
            case None if step["tool"] in ASKS:
                self._open[at] = step
                return False
            case None | Answer("confirm"):
                self.results[at] = result_of_work(key)
            case Answer("edit", note):
                self.results[at] = result_of_work(key, note)
            case Answer("reject", note):
                self.results[at] = f"{_REJECTED} {note}"
            case Answer("give", text):
                self.results[at] = text
        return True

    def _is_carried_out(self, at: str, plan: Plan, answers: Mapping[str, Answer]) -> bool:
        child = self.children.setdefault(at, Expected(f"{self.name}>{at}", plan))
        child.go_on(answers)
        match child.status:
            case "PAUSED":
                return False
            case "COMPLETED":
                self.results[at] = child.content
            case _:
                self.results[at] = UNDONE
        return True

    def cancel(self) -> None:
        """End, with what is below, unless it has."""
        if self.status == "PAUSED":
            for run in self.family:
                if run.status == "PAUSED":
                    run.status = "CANCELLED"

    def expire(self) -> None:
        """Have the time pass until which something could be answered."""
        tools = {f"{self.name}/{at}": step["tool"] for at, step in self._open.items()}
        for child in self.children.values():
            child.expire()
        if self.status != "PAUSED":
            return
        if "final" in tools.values():
            self.status = "ERROR"
        else:
            late = Answer("reject", "Nobody has answered in time.")
            self.go_on({key: late for key, tool in tools.items() if tool == "hurried"})

    def fork(self, name: str) -> "Expected":
        """Return a run that begins with its steps."""
        return Expected(name, self.plan, results=dict(self.results))
