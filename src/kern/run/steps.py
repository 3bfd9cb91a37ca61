"""The steps of a run: what the rows of its journal hold, one class a kind.

How a row holds one is said in :mod:`kern.run.entry`, and what steps mean in :mod:`kern.run.fold`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from kern.run.beside_steps import ConversationCompacted, ResultsCompressed, TextsEmbedded, Thought
from kern.run.message import Message, Metrics
from kern.run.references import MessageReferences
from kern.run.requirement import RunRequirement
from kern.run.state import StatePatch
from kern.run.step import Step
from kern.run.tool_steps import (
    ChildBegun,
    ChildEnded,
    CustomHappened,
    SleepBegun,
    StepEnded,
    ToolConcluded,
    ToolEnded,
    ToolsBegun,
    ToolSlice,
)

VERSION = 6
"""The version of the journal that this kern writes, and the newest that it reads.

It counts up when older versions of kern could not execute a run by what a newer one writes. A run
that has a limit of cost of its own needs version 2.
"""

TOLD_VERSION = 6
"""The version from which on a model may be told something between its turns."""

OVERRIDES_VERSION = 5
"""The version from which on a run may have something otherwise than its agent says."""

PAUSE_VERSION = 4
"""The version from which on a run may wait for more than a confirmation."""

OPTIONS_VERSION = 3
"""The version from which on a run's input may hold options."""

TYPED_VERSION = 2
"""The version from which on a run's answer may have a form, and secondary models."""

OUTPUT_MODEL, PARSER_MODEL, FOLLOWUPS = "output_model", "parser_model", "followups"
SESSION_SUMMARY = "session_summary"
MEMORY_MODEL = "memory_model"
"""The names of the secondary models."""


@dataclass(frozen=True, slots=True)
class AttemptBegun(Step):
    """The second attempt, or a later one, has begun.

    Attributes:
        attempt: which one.
        starts: the open tool calls that begin with it, by their place in the model's answer.
    """

    attempt: int
    starts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Traced(Step):
    """The first attempt was observed; later ones refer to it.

    Attributes:
        traceparent: in which trace, as W3C Trace Context writes it.
    """

    skippable: ClassVar[bool] = True

    traceparent: str


@dataclass(frozen=True, slots=True)
class CallBegun(Step):
    """A model was asked, while somebody reads the run."""

    skippable: ClassVar[bool] = True
    piece: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TextSlice(Step):
    """A model went on with its text, while somebody reads the run."""

    skippable: ClassVar[bool] = True
    piece: ClassVar[bool] = True

    text: str


@dataclass(frozen=True, slots=True)
class AnswerKept(Step):
    """A model was asked, and its provider keeps the answer under this handle.

    Attributes:
        handle: what the answer is picked up with.
        origin: whom it means something to, where that was known.
    """

    handle: str
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswered(Step):
    """A model has answered.

    Attributes:
        message: the answer.
        metrics: what the call used.
        slices: in how many characters each the text was handed to readers; what is left of it
            after them is one more piece.
        starts: the tool calls that begin with it, by their place in the message.
        history: with the first answer, the runs that the model was shown before this one.
        model: the model that answered, as its provider names it, where it said so.
        response_id: the provider's id of the answer.
        fallback: provider and id of the model that was asked, where it was not the agent's own.
    """

    message: Message
    metrics: Metrics
    slices: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    history: tuple[str, ...] = ()
    model: str | None = None
    response_id: str | None = None
    fallback: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class AnswerRefused(Step):
    """The last answer does not have the form that it must have: its model is asked again.

    Attributes:
        reason: what does not fit, for the model.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class SecondaryAnswered(Step):
    """A model that is asked beside the agent's own has answered.

    Attributes:
        name: what it was asked for, such as ``"parser_model"``.
        message: the answer.
        metrics: what the call used.
        model: the model that answered, as its provider names it, where it said so.
    """

    name: str
    message: Message
    metrics: Metrics
    model: str | None = None


@dataclass(frozen=True, slots=True)
class CallBroken(Step):
    """A model call ended without its answer; if the run goes on, the call is made again.

    Attributes:
        text: what there was of the answer.
        slices: see :class:`ModelAnswered`.
    """

    text: str
    slices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Paused(Step):
    """The run waits for a person.

    Attributes:
        requirements: what for.
    """

    requirements: tuple[RunRequirement, ...]


@dataclass(frozen=True, slots=True)
class Continued(Step):
    """A person has decided, or has asked for a retry.

    Attributes:
        allowed: the open tool calls that may begin, by their place in the model's answer.
        arguments: those with which calls are made instead of the model's, as JSON text, by place.
        by: who has decided, where that is known.
        messages: what the model is told after the results of the calls.
        passed: the answers that calls are given, which are made again to take them, by place.
    """

    allowed: tuple[int, ...] = ()
    arguments: tuple[tuple[int, str], ...] = ()
    by: str | None = None
    messages: tuple[Message, ...] = ()
    passed: tuple[tuple[int, tuple[RunRequirement, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptFailed(Step):
    """An attempt failed, and a later one goes on.

    Attributes:
        message: what it failed of.
        kind: the class of what it failed of, such as ``"ModelError"``.
        details: what a check has said beside its message.
    """

    message: str | None = None
    kind: str | None = None
    details: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ContextBuilt(Step):
    """What the model is told of this run beside its messages: later attempts tell it the same.

    Attributes:
        system: the system message.
        dependencies: what was added to the user's message of the run's dependencies, as text.
        references: what was found for it and added, too.
    """

    skippable: ClassVar[bool] = True

    system: Message | None = None
    dependencies: str | None = None
    references: MessageReferences | None = None


@dataclass(frozen=True, slots=True)
class KnowledgeSearched(Step):
    """The model has searched the agent's knowledge; what it was told is the tool's result.

    Attributes:
        found: what it found.
    """

    skippable: ClassVar[bool] = True

    found: MessageReferences


@dataclass(frozen=True, slots=True)
class StateChanged(Step):
    """The state of the session has changed beside the steps: as the run begins with its own, say.

    Attributes:
        state: what has changed.
    """

    state: StatePatch


@dataclass(frozen=True, slots=True)
class HookEnded(Step):
    """A hook has been called; it is not called again in this run.

    Attributes:
        kind: whether it was called before the first model call, or after the answer.
        place: its place in the agent's list of these.
        name: what it is called.
        content: what it has put in the place of the answer, with the type of that; of a pre-hook
            the messages that it has put in the place of the input, which are then the input in the
            run's row too. None where it has changed nothing.
        state: what it has changed in the state of the session.
    """

    kind: Literal["pre", "post"]
    place: int
    name: str
    content: tuple[object, str] | None = None
    state: StatePatch | None = None


@dataclass(frozen=True, slots=True)
class MessagesAdded(Step):
    """The model is told something between its turns: how runs have ended that it has started.

    Attributes:
        messages: what it is told, after the results of its last answer.
        ends: the ends that it is told of, each as the id of its delivery, or that others tell of.
    """

    messages: tuple[Message, ...]
    ends: tuple[str, ...] = ()


AnyStep: TypeAlias = (
    AttemptBegun
    | CallBegun
    | TextSlice
    | AnswerKept
    | ModelAnswered
    | AnswerRefused
    | SecondaryAnswered
    | CallBroken
    | ToolEnded
    | Paused
    | Continued
    | AttemptFailed
    | ContextBuilt
    | KnowledgeSearched
    | StateChanged
    | StepEnded
    | SleepBegun
    | HookEnded
    | ToolConcluded
    | ToolsBegun
    | ChildBegun
    | ChildEnded
    | MessagesAdded
    | ToolSlice
    | CustomHappened
    | Traced
    | Thought
    | ResultsCompressed
    | ConversationCompacted
    | TextsEmbedded
)

PIECE_KINDS = tuple(kind.__name__ for kind in (CallBegun, TextSlice))
"""The kinds of the steps that a later one holds too."""
