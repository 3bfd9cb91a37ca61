"""The steps in which a model thinks."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec


class NextAction(StrEnum):
    """What is next after a step.

    Example:
        >>> NextAction("final_answer") is NextAction.FINAL_ANSWER
        True
    """

    CONTINUE = "continue"
    VALIDATE = "validate"
    FINAL_ANSWER = "final_answer"
    RESET = "reset"


class ReasoningStep(msgspec.Struct):
    """A step in which a model has thought.

    Attributes:
        title: what it is about, in a few words.
        action: what is done.
        result: what has come of it.
        reasoning: the thought.
        next_action: what is next.
        confidence: how sure the model is, from 0 to 1.

    Example:
        >>> ReasoningStep("Add", reasoning="2 and 3 are 5.", confidence=1.0).text
        'Add: 2 and 3 are 5.'
    """

    title: str | None = None
    action: str | None = None
    result: str | None = None
    reasoning: str | None = None
    next_action: NextAction | None = None
    confidence: float | None = None

    @property
    def text(self) -> str:
        """The step as a text."""
        said = [each for each in (self.action, self.reasoning, self.result) if each]
        return ": ".join([*([self.title] if self.title else []), " ".join(said)])


class ReasoningSteps(msgspec.Struct):
    """What a model has thought, as it is kept.

    Attributes:
        steps: the steps.
        content: what the model has said of its thoughts beside them, as reasoning models do.

    Example:
        >>> thoughts = ReasoningSteps([ReasoningStep("Add"), ReasoningStep("Check")])
        >>> len(thoughts.steps), thoughts.is_empty
        (2, False)
    """

    steps: list[ReasoningStep] = []
    content: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was thought."""
        return not (self.steps or self.content)

    @property
    def text(self) -> str:
        """All of it as a text."""
        return "\n\n".join([*([self.content] if self.content else []), *listed(self.steps)])

    @property
    def lasting(self) -> str:
        """What holds in the end, as a text: what was begun anew is left out."""
        resets = [at for at, each in enumerate(self.steps) if each.next_action is NextAction.RESET]
        last = self.steps[resets[-1] + 1 :] if resets else self.steps
        return "\n".join(listed(last)) or self.content or ""


def step_of(noted: Mapping[str, Any]) -> ReasoningStep | None:
    """Return the step that a model has noted by a tool for thinking, if it is one.

    Args:
        noted: the arguments of the call; see :class:`kern.tools.reasoning.ReasoningTools`.
    """
    values = {
        "reasoning": noted.get("thought") or noted.get("analysis"),
        **{name: noted[name] for name in _NOTED if name in noted},
    }
    try:
        return msgspec.convert(values, ReasoningStep)
    except msgspec.ValidationError:
        return None


_NOTED = ("title", "action", "result", "next_action", "confidence")


def listed(steps: Sequence[ReasoningStep]) -> list[str]:
    """Return steps as texts, each with its number."""
    return [f"{number}. {each.text}" for number, each in enumerate(steps, 1)]
