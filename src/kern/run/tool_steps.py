"""The steps of tool calls."""

from dataclasses import dataclass
from typing import ClassVar

from kern.run.content import Content
from kern.run.message import Message, Metrics
from kern.run.state import StatePatch
from kern.run.step import Step


@dataclass(frozen=True, slots=True)
class ToolStep(Step):
    """What became of the tool calls in the model's last answer."""


@dataclass(frozen=True, slots=True)
class ToolEnded(ToolStep):
    """A tool call has a result.

    Attributes:
        place: the call's place in the model's last answer.
        content: what the model is told.
        error: whether the call failed.
        state: what it has changed in the state of the session.
    """

    place: int
    content: Content
    error: bool = False
    state: StatePatch | None = None


@dataclass(frozen=True, slots=True)
class StepEnded(ToolStep):
    """A step inside a tool call was done, or has failed; it is not done again.

    Attributes:
        place: the call's place in the model's last answer.
        name: what the tool calls it.
        occurrence: how many steps of this name the call had made before.
        content: the result as JSON text, or what the error said; where that is long, its blob.
        error: the class of what was raised at its last try.
    """

    place: int
    name: str
    occurrence: int
    content: Content
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SleepBegun(ToolStep):
    """A tool call sleeps.

    Attributes:
        place: the call's place in the model's last answer.
        occurrence: how many times the call had slept before.
        until: when it goes on, by the clock of the database, in seconds since 1970.
        suspended: whether the tool's code was stopped for it, to begin again from its top: then
            nothing of the call is under way.
    """

    place: int
    occurrence: int
    until: float
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class ToolConcluded(ToolEnded):
    """A tool call has a result that does more than go to the model.

    Attributes:
        ends: whether the run ends with the calls of this answer.
        shown: whether the result is a part of the run's answer.
        messages: what the model is told after the results.
        rejected: what a person has said with a refusal; None where the call was not refused.
    """

    ends: bool = False
    shown: bool = False
    messages: tuple[Message, ...] = ()
    rejected: str | None = None


@dataclass(frozen=True, slots=True)
class ToolsBegun(ToolStep):
    """Tool calls that had to wait for others of their answer have begun.

    Attributes:
        starts: the calls, by their place in the answer.
    """

    starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChildBegun(ToolStep):
    """A tool call is a run of another agent, or starts one in the background.

    Attributes:
        place: the call's place in the model's last answer.
        run_id: that run.
        background: whether the call does not wait for it.
    """

    skippable: ClassVar[bool] = True

    place: int
    run_id: str
    background: bool = False


@dataclass(frozen=True, slots=True)
class ChildEnded(ToolStep):
    """The run that a tool call is has ended.

    Attributes:
        place: the call's place in the model's last answer.
        used: what it used, with its own children.
    """

    skippable: ClassVar[bool] = True

    place: int
    used: Metrics


@dataclass(frozen=True, slots=True)
class ToolSlice(ToolStep):
    """A tool has yielded a piece of its result, while somebody reads the run.

    Attributes:
        place: the call's place in the model's last answer.
        text: the piece.
        shown: whether it is a part of the run's answer.
    """

    skippable: ClassVar[bool] = True

    place: int
    text: str
    shown: bool = False


@dataclass(frozen=True, slots=True)
class CustomHappened(ToolStep):
    """A tool has told the readers of the run something of its own.

    Attributes:
        place: the call's place in the model's last answer.
        kind: the class of the event, as ``module:name``.
        values: what it holds.
    """

    skippable: ClassVar[bool] = True

    place: int
    kind: str
    values: dict[str, object]
