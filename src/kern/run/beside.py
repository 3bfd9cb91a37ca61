"""What models are asked for a run's own: thoughts before an answer, and a context made smaller.

It is a part of the fold: what such steps mean, and the events that they tell.
"""

from collections.abc import Iterator, Sequence

from kern.reasoning.step import ReasoningSteps
from kern.run.beside_steps import Beside, ConversationCompacted, ResultsCompressed, Thought
from kern.run.event import RunEvent
from kern.run.happened import Happened
from kern.run.turn import Turn


def note(turns: Sequence[Turn], step: Beside) -> Iterator[Happened]:
    """Note what a step changes in what the model is told, and yield the events that it tells.

    Args:
        turns: the answers of the run so far.
        step: the step.

    Raises:
        LookupError: it is about a result that there is not.
    """
    match step:
        case ResultsCompressed():
            yield from _compressed(turns, step)
        case ConversationCompacted(summary) if summary:
            yield Happened(RunEvent.compaction_started)
            more: dict[str, object] = {
                "messages_compacted": step.replaced,
                "tokens_before": step.tokens_before,
                "tokens_after": step.tokens_after,
            }
            yield Happened(RunEvent.compaction_completed, more=more)
        case Thought(thoughts):
            yield from _thought(thoughts)


def _compressed(turns: Sequence[Turn], step: ResultsCompressed) -> Iterator[Happened]:
    after = count = 0
    for number, place, text in step.results:
        turn = turns[number - 1]
        turn.compressed = {**(turn.compressed or {}), place: text}
        if text is not None:
            count, after = count + 1, after + len(text)
    if count:
        yield Happened(RunEvent.compression_started)
        more: dict[str, object] = {
            "tool_results_compressed": count,
            "original_size": step.before,
            "compressed_size": after,
        }
        yield Happened(RunEvent.compression_completed, more=more)


def _thought(thoughts: ReasoningSteps) -> Iterator[Happened]:
    yield Happened(RunEvent.reasoning_started)
    if thoughts.content:
        told = {"reasoning_content": thoughts.content}
        yield Happened(RunEvent.reasoning_content_delta, more=told)
    for each in thoughts.steps:
        yield Happened(RunEvent.reasoning_step, each, more={"reasoning_content": each.text})
    more = {"reasoning_content": thoughts.text}
    yield Happened(RunEvent.reasoning_completed, thoughts, more=more)


def thoughts_of(steps: Sequence[Beside]) -> ReasoningSteps | None:
    """Return what was thought before the first answer; None where that was not asked for."""
    return next((each.thoughts for each in steps if isinstance(each, Thought)), None)


def compacted_in(steps: Sequence[Beside]) -> ConversationCompacted | None:
    """Return how the conversation was compacted last, if it was."""
    found = [each for each in steps if isinstance(each, ConversationCompacted) and each.summary]
    return found[-1] if found else None


def is_incompressible(steps: Sequence[Beside]) -> bool:
    """Say whether the conversation was summed up to no use last: it is not tried again then."""
    found = [each for each in steps if isinstance(each, ConversationCompacted)]
    return bool(found) and not found[-1].summary
