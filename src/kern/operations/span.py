"""Something that a run has done or is doing, as a span of time, and what is kept of its text."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from kern.run.metrics import Metrics

SpanKind: TypeAlias = (
    Literal["attempt", "model", "tool", "agent", "member", "step", "sleep", "event", "content"]
    | Literal["hook", "told", "pause", "continued", "damage"]
)

MOST = 2000
"""How many characters of a text a span keeps; the journal has them all."""


@dataclass(slots=True)
class Text:
    """A text as far as a span keeps it.

    Attributes:
        beginning: how it begins.
        size: how many characters it has.
    """

    beginning: str = ""
    size: int = 0

    @classmethod
    def of(cls, text: str) -> "Text":
        """Keep a text."""
        return cls(text[:MOST], len(text))

    def add(self, more: str) -> None:
        """Have it go on."""
        self.beginning += more[: MOST - len(self.beginning)]
        self.size += len(more)

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is missing."""
        return len(self.beginning) == self.size


class Progress(NamedTuple):
    """How far a load has come.

    Attributes:
        done: how many contents are done.
        total: of how many.
        name: the content that was worked at last.
    """

    done: int
    total: int
    name: str


@dataclass(slots=True)
class Span:
    """Something that a run has done, or is doing. Moments are seconds since 1970.

    Attributes:
        kind: what it is; a tool call that is a run is ``"agent"``, or ``"member"`` of a team.
        title: the model, where it is known, the tool, the member, the step or the hook, or what
            happened.
        began: when it began; None where it has not, or that is not known.
        ended: when it ended; None where it has not.
        failed: whether something went wrong.
        note: what else there is to say about it.
        arguments: those of a tool call, as the model wrote them, or as a person has changed them.
        text: what came of it: an answer, a result, an error.
        metrics: what a model call, or a child, has used.
        progress: how far a tool call has come that loads a knowledge base.
        calls: how many tool calls an answer asks for.
        run_id: the child run that a tool call is.
        row: the number of the journal's row that holds it whole.
        asked_in: of a tool call, the row of the answer that asks for it, and its place there.
        fork_from: the number of the event after which a fork begins that keeps it and what was
            before it; None where none begins there.
        inside: what a tool call has done.
    """

    kind: SpanKind
    title: str
    began: float | None = None
    ended: float | None = None
    failed: bool = False
    note: str = ""
    arguments: Text = field(default_factory=Text)
    text: Text = field(default_factory=Text)
    metrics: Metrics | None = None
    progress: Progress | None = None
    calls: int = 0
    run_id: str | None = None
    row: int | None = None
    asked_in: tuple[int, int] | None = None
    fork_from: int | None = None
    inside: "list[Span]" = field(default_factory=list)

    @property
    def took(self) -> float | None:
        """How many seconds it took; None where it has not ended, or that is not known."""
        if self.began is None or self.ended is None:
            return None
        return max(0.0, self.ended - self.began)

    @property
    def shown_inside(self) -> "list[Span]":
        """What is inside that people understand: of a load the contents, and what has failed."""
        if self.progress is None:
            return self.inside
        return [each for each in self.inside if each.kind != "step" or each.failed]
