"""Places for a model to think in before it acts."""

from collections.abc import Callable
from typing import Any, Literal

from kern.tools.toolkit import Toolkit

INSTRUCTIONS = """\
You have two tools for thinking. What you write there is seen by nobody else.
- `think` before you act: what is asked, what you know, what is missing, what you do next.
- `analyze` after results have come: whether they answer the question, and whether to `continue`, \
to `validate` them, or to give the `final_answer`.
Calls that do not need each other's results belong into one turn. Do not repeat your thoughts in \
the answer."""

EXAMPLES = """\
Example: "How far apart are the two largest cities of Peru?"
think(title="Which cities", thought="Lima and Arequipa, if I remember rightly.", \
action="look both up", confidence=0.7)
analyze(title="Cities found", result="Lima, Arequipa; 765 km apart", \
analysis="Two sources agree, and nothing is open.", next_action="final_answer", confidence=0.95)"""


class ReasoningTools(Toolkit):
    """Tools in which a model thinks step by step; they do nothing but note it.

    The notes are in the conversation, so the model has all of them before it; they are the run's
    ``reasoning_steps``.

    Example:
        >>> [*ReasoningTools().functions]
        ['think', 'analyze']
    """

    def __init__(
        self,
        enable_think: bool = True,
        enable_analyze: bool = True,
        all: bool = False,
        instructions: str | None = None,
        add_instructions: bool = False,
        add_few_shot: bool = False,
        few_shot_examples: str | None = None,
        **options: Any,
    ) -> None:
        """Choose the tools.

        Args:
            enable_think: offer ``think``.
            enable_analyze: offer ``analyze``.
            all: offer both.
            instructions: how the model is to use them; by default :data:`INSTRUCTIONS`.
            add_instructions: whether the model is told the instructions.
            add_few_shot: whether examples belong to the default instructions.
            few_shot_examples: these; by default :data:`EXAMPLES`.
            **options: those of :class:`Toolkit`.
        """
        if instructions is None:
            instructions = INSTRUCTIONS
            if add_few_shot:
                instructions += f"\n\n{few_shot_examples or EXAMPLES}"
        tools: list[Callable[..., object]] = []
        if all or enable_think:
            tools.append(self.think)
        if all or enable_analyze:
            tools.append(self.analyze)
        super().__init__(
            name="reasoning_tools",
            tools=tools,
            instructions=instructions,
            add_instructions=add_instructions,
            **options,
        )
        for tool in self.functions.values():
            tool.is_thought = True

    def think(
        self, title: str, thought: str, action: str | None = None, confidence: float = 0.8
    ) -> str:
        """Think about a problem, one step at a time; nobody else sees it.

        Args:
            title: what this step is about, in a few words.
            thought: the thought.
            action: what is to be done next.
            confidence: how sure it is, from 0 to 1.

        Returns:
            The step, as it was noted.
        """
        return _noted(title, Reasoning=thought, Action=action, Confidence=confidence)

    def analyze(
        self,
        title: str,
        result: str,
        analysis: str,
        next_action: Literal["continue", "validate", "final_answer"] = "continue",
        confidence: float = 0.8,
    ) -> str:
        """Judge what has come of a step, and decide how to go on; nobody else sees it.

        Args:
            title: what this step is about, in a few words.
            result: what has come of it.
            analysis: what that means.
            next_action: go on thinking, have it validated, or answer.
            confidence: how sure it is, from 0 to 1.

        Returns:
            The step, as it was noted.
        """
        noted = {"Result": result, "Reasoning": analysis, "Next action": next_action}
        return _noted(title, **noted, Confidence=confidence)


def _noted(title: str, **parts: object) -> str:
    lines = [f"{name}: {value}" for name, value in parts.items() if value is not None]
    return "\n".join([f"Title: {title}", *lines])
