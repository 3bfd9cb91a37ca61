"""The steps in which models were asked for the run's own, beside its turns."""

from dataclasses import dataclass, field
from typing import ClassVar

from kern.reasoning.step import ReasoningSteps
from kern.run.message import Metrics
from kern.run.step import Step


@dataclass(frozen=True, slots=True)
class Beside(Step):
    """A model was asked for the run's own: to think, to make a context smaller, or to embed texts.

    Attributes:
        name: what it was asked for.
        metrics: what the call used.
        model: the model that answered, as its provider names it, where it said so.
        history: the earlier runs that the model is shown, where it has not answered yet.
    """

    skippable: ClassVar[bool] = True
    name: ClassVar[str] = ""

    metrics: Metrics = field(default_factory=Metrics, kw_only=True)
    model: str | None = field(default=None, kw_only=True)
    history: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Thought(Beside):
    """What was thought before the first answer.

    Attributes:
        thoughts: the thoughts.
    """

    name: ClassVar[str] = "reasoning_model"

    thoughts: ReasoningSteps


@dataclass(frozen=True, slots=True)
class ResultsCompressed(Beside):
    """Results of tools were shortened: from now on the model is told these texts in their place.

    Attributes:
        results: the number of the answer, the call's place in it and the text; None for one that
            stays as it is.
        turns: how many times the model had answered: all results by then are shortened.
        before: how many characters they had.
    """

    name: ClassVar[str] = "compression_model"

    results: tuple[tuple[int, int, str | None], ...]
    turns: int = 0
    before: int = 0


@dataclass(frozen=True, slots=True)
class ConversationCompacted(Beside):
    """The oldest messages were summed up: from now on the model is told the summary instead.

    Attributes:
        summary: what it is told; empty where the answer was of no use: nothing changes then.
        run_id: the earlier run of the session up to which messages go; empty for this one, or for
            one that has begun with its steps.
        count: how many of the run's own messages; None for all of them.
        turns: how many times the model had answered.
        replaced: how many messages it is not told any more.
        tokens_before: how many tokens the conversation had, about.
        tokens_after: how many it has now.
    """

    name: ClassVar[str] = "compaction_model"

    summary: str
    run_id: str
    count: int | None = None
    turns: int = 0
    replaced: int = 0
    tokens_before: int = 0
    tokens_after: int = 0


@dataclass(frozen=True, slots=True)
class TextsEmbedded(Beside):
    """Texts were embedded, to be found or to look for them.

    Attributes:
        provider: who serves the model.
    """

    name: ClassVar[str] = "embedder_model"

    provider: str | None = None
