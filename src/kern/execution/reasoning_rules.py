"""What an agent says of the thoughts that come before its answers."""

from dataclasses import dataclass

from kern.models.base import Model
from kern.models.form import Form
from kern.reasoning.step import NextAction

_PROMPT = (
    "Think the last message of the user over before it is answered; another gives the answer, and "
    "is shown your thoughts. Think step by step, in {least} to {most} steps: what is asked, what "
    "is known and what is missing, how it is done, whether the result holds. Each step has a "
    "title, what is done (action), what comes of it (result), why (reasoning), how sure you are "
    "(confidence, from 0 to 1), and what is next (next_action): continue, validate, reset to begin "
    "anew, or final_answer once the answer is clear."
)


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a model thinks before the first answer of a run.

    Attributes:
        model: which; None for the agent's model.
        prompt: what it is told beside the conversation.
        form: what it answers.
        most: how many of its steps are told.
    """

    model: Model | None
    prompt: str
    form: Form
    most: int

    @classmethod
    def of(
        cls, model: Model | None, least: int, most: int, instructions: str | None = None
    ) -> "Thinking":
        """Return how a user has asked for it.

        Args:
            model: who thinks; None for the agent's model.
            least: in how many steps at least.
            most: in how many at most.
            instructions: what else it is told.
        """
        prompt = _PROMPT.format(least=least, most=most)
        told = prompt if not instructions else f"{instructions}\n\n{prompt}"
        return cls(model, told, _form(least, most), most)


def _form(least: int, most: int) -> Form:
    text, nothing = {"type": "string"}, {"type": "null"}
    properties: dict[str, object] = {
        "title": text,
        "action": {"anyOf": [text, nothing]},
        "result": {"anyOf": [text, nothing]},
        "reasoning": text,
        "next_action": {"type": "string", "enum": [each.value for each in NextAction]},
        "confidence": {"type": "number"},
    }
    step = {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
    return Form(
        {
            "title": "thoughts",
            "type": "object",
            "properties": {
                "steps": {"type": "array", "items": step, "minItems": least, "maxItems": most}
            },
            "required": ["steps"],
            "additionalProperties": False,
        }
    )
