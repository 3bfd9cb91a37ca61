"""What an agent says of making smaller what its model is told."""

from dataclasses import dataclass, field

from kern.models.base import Model


@dataclass(frozen=True, slots=True)
class Shortening:
    """How long results of tools are shortened.

    Attributes:
        model: who does it; None for the agent's model.
        prompt: what it is told.
        results: from how many whole results on; None for no matter how many.
        tokens: from how many tokens of the conversation on; None for no matter how many.
        stats: what was done in this process, counted.
    """

    model: Model | None
    prompt: str
    results: int | None
    tokens: int | None
    stats: dict[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Compacting:
    """How the oldest messages of a conversation are summed up.

    Attributes:
        model: who does it; None for the agent's model.
        prompt: what it is told.
        tokens: from how many tokens of the conversation on; None for no matter how many.
        turns: from how many answers in it on; None for no matter how many.
        kept: how many answers stay, the last ones, with what belongs to them.
        is_whole: whether the answer of a run stands for all that was said until then.
    """

    model: Model | None
    prompt: str
    tokens: int | None
    turns: int | None
    kept: int
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Compression:
    """How what a model is told is made smaller.

    Attributes:
        results: how long results of tools are, or None for not at all.
        conversation: how long conversations are, or None for not at all.
    """

    results: Shortening | None = None
    conversation: Compacting | None = None
