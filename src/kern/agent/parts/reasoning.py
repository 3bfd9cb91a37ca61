"""Who thinks before an agent answers."""

from typing import TYPE_CHECKING

from kern.agent.checks import check_flag
from kern.agent.parts.part import Part
from kern.errors import ConfigurationError
from kern.keywords import shown
from kern.models.base import Model
from kern.models.utils import get_model
from kern.run.numbers import check_count

if TYPE_CHECKING:
    from kern.agent.as_tool import SubAgent
    from kern.execution.reasoning_rules import Thinking


class ReasoningPart(Part):
    """Who thinks before the first answer of a run.

    Attributes:
        reasoning_model: a model, or ``"provider:id"``, whose thoughts are given to the agent's.
        reasoning_agent: an agent without tools that thinks instead: its model, told what it is
            told.
        reasoning: True to have the agent's own model think first, in steps.
        reasoning_min_steps: in how many at least.
        reasoning_max_steps: in how many at most.
    """

    reasoning_model: Model | str | None = None
    reasoning_agent: "SubAgent | None" = None
    reasoning: bool = False
    reasoning_min_steps: int = 1
    reasoning_max_steps: int = 10

    thinking: "Thinking | None" = None

    def _build(self) -> None:
        check_flag("reasoning", self.reasoning)
        least, most = self.reasoning_min_steps, self.reasoning_max_steps
        check_count("reasoning_min_steps", least, ConfigurationError)
        check_count("reasoning_max_steps", most, ConfigurationError)
        if least > most:
            raise ConfigurationError(
                f"reasoning_min_steps={least} is above reasoning_max_steps={most}."
            )
        self.__dict__["thinking"] = None
        model, agent = self.reasoning_model, self.reasoning_agent
        if model is not None and agent is not None:
            raise ConfigurationError(
                "reasoning_model and reasoning_agent exclude each other: one of them thinks."
            )
        if not self.reasoning and model is None and agent is None:
            return
        from kern.execution.reasoning_rules import Thinking

        thinks, told = None if model is None else get_model(model), None
        if agent is not None:
            thinks, told = _checked(agent).model, agent.told_text
        self.__dict__["thinking"] = Thinking.of(thinks, least, most, told)


def _checked(agent: "SubAgent") -> "SubAgent":
    if isinstance(agent, type) or not hasattr(agent, "told_text"):
        raise ConfigurationError(f"reasoning_agent must be an agent, not {shown(agent)}.")
    if agent.tools or agent.toolsets or agent.call_rules is not None:
        raise ConfigurationError(
            f"The reasoning_agent {agent.name!r} has tools, which it could not call: it thinks in "
            "one model call. Give the agent reasoning_agent.as_tool() as a tool instead."
        )
    return agent
