"""What models were asked for beside a run's turns, as spans: their answers as people read them."""

from kern.operations.span import Span, Text
from kern.run.beside_steps import (
    Beside,
    ConversationCompacted,
    ResultsCompressed,
    TextsEmbedded,
    Thought,
)
from kern.run.codec import decode_object
from kern.run.steps import (
    FOLLOWUPS,
    MEMORY_MODEL,
    SESSION_SUMMARY,
    SecondaryAnswered,
)

_TITLES = {
    FOLLOWUPS: "follow-up questions",
    MEMORY_MODEL: "memory",
    Thought.name: "reasoning",
    ResultsCompressed.name: "shorter results",
    ConversationCompacted.name: "summary of the conversation",
    TextsEmbedded.name: "embedding",
}


def secondary_span(step: SecondaryAnswered, began: float, ended: float) -> Span:
    """Return the answer of a model that was asked beside the agent's own.

    Args:
        step: the answer.
        began: when the model was asked, in seconds since 1970.
        ended: when it had answered.
    """
    return _span(step, began, ended, answer_for_people(step))


def beside_span(step: Beside, began: float, ended: float) -> Span:
    """Return what a model was asked for the run's own; see :func:`secondary_span`."""
    match step:
        case Thought(thoughts):
            return _span(step, began, ended, thoughts.text)
        case ResultsCompressed(results, before=before):
            shorter = [text for _, _, text in results if text is not None]
            span = _span(step, began, ended, "\n\n".join(shorter))
            after = sum(map(len, shorter))
            span.note += f", {before:,} characters to {after:,}" if shorter else ", none is shorter"
        case ConversationCompacted() as step:
            span = _span(step, began, ended, step.summary)
            span.note += f", {step.replaced:,} messages"
            if step.tokens_after:
                span.note += f", about {step.tokens_before:,} tokens to {step.tokens_after:,}"
        case _:
            span = _span(step, began, ended, "")
    span.note = span.note.removeprefix(", ")
    return span


def _span(step: SecondaryAnswered | Beside, began: float, ended: float, text: str) -> Span:
    span = Span("model", _TITLES.get(step.name, step.name.replace("_", " ")), began, ended)
    span.text, span.metrics, span.note = Text.of(text), step.metrics, step.model or ""
    return span


def answer_for_people(step: SecondaryAnswered) -> str:
    """Return an answer as a text for people, where it is JSON for kern; others as they are.

    Args:
        step: the answer.
    """
    text = step.message.text
    if step.name not in (SESSION_SUMMARY, MEMORY_MODEL, FOLLOWUPS):
        return text
    try:
        told = decode_object(text)
    except ValueError:
        return text
    match told:
        case {"summary": str(said)} | {"told": str(said)}:
            return said
        case {"followups": [*suggested]}:
            return "\n".join(map(str, suggested))
    return text
