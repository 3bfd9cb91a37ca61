"""What a model is told is made smaller before it is asked: a step that later attempts go by."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from functools import partial

from kern.aio.tasks import together
from kern.compression.rules import Compacting, Compression, Shortening
from kern.errors import BudgetExceededError, ModelError, UsageLimitError
from kern.execution.attempt import Attempt
from kern.execution.blobs import is_kept_text, whole
from kern.execution.compacted import Conversation, size_of
from kern.execution.finishing import ask_secondary
from kern.models.base import ModelResponse
from kern.run.beside import is_incompressible
from kern.run.beside_steps import ConversationCompacted, ResultsCompressed
from kern.run.content import FilePart, TextPart, text_of
from kern.run.message import Message, Metrics
from kern.run.printable import in_log, one_line
from kern.run.tags import shortened, tagged, transcript
from kern.run.turn import Turn

logger = logging.getLogger("kern")

_SHORT = 200
"""Results of so many characters stay as they are: nothing is gained."""

# How many characters of a result are shown to who shortens it: its beginning and its end.
_MOST = 400_000

# How many characters of one message are told to who sums up, and of what a tool was called for.
_LONGEST = 20_000

# How many results are shortened side by side.
_AT_ONCE = 4

# How many characters a token has, about.
_CHARACTERS = 4

# What is summed up has to be this part of the conversation, or too little is gained.
_SHARE = 0.25


async def compress(attempt: Attempt, how: Compression) -> None:
    """Make what the model is told next smaller, where that is due. A failure is a warning.

    Args:
        attempt: the attempt, which is about to ask its model.
        how: what its agent says.

    Raises:
        StaleAttemptError: the run has a later attempt.
    """
    try:
        if how.results is not None:
            await _shorten(attempt, how.results)
        is_tried = attempt.is_uncompacted or is_incompressible(attempt.state.beside)
        if how.conversation is not None and not is_tried:
            await _compact(attempt, how.conversation)
    except (UsageLimitError, BudgetExceededError):
        return  # The run's own model is refused for the same reason.


async def _shorten(attempt: Attempt, how: Shortening) -> None:
    """Have the results of tools shortened that are whole, if they are too many or too long."""
    found = [*_whole_results(attempt)]
    if not found:
        return
    is_due = how.results is not None and len(found) >= how.results
    if not is_due and (how.tokens is None or _tokens(attempt) < how.tokens):
        found = _left_over(attempt, found)
    if found:
        room = asyncio.Semaphore(_AT_ONCE)
        await _all([_shorten_one(attempt, how, room, *each) for each in found])
        attempt.tell_again()


def _whole_results(attempt: Attempt) -> list[tuple[Turn, int]]:
    """Return the results that are told as they are, and are long texts."""
    return [
        (turn, place)
        for turn in attempt.state.turns
        for place in sorted(turn.contents)
        if place not in (turn.compressed or {}) and _is_long_text(turn, place)
    ]


def _left_over(attempt: Attempt, found: list[tuple[Turn, int]]) -> list[tuple[Turn, int]]:
    """Return those results that an earlier attempt has begun to shorten, with others."""
    steps = [each for each in attempt.state.beside if isinstance(each, ResultsCompressed)]
    begun = max((each.turns for each in steps), default=0)
    return [(turn, place) for turn, place in found if turn.number <= begun]


def _is_long_text(turn: Turn, place: int) -> bool:
    content = turn.contents[place]
    if isinstance(content, str):
        return len(content) > _SHORT
    # A text that is too long for a row is a part that refers to it.
    is_kept = any(isinstance(each, FilePart) for each in content)
    is_text = all(isinstance(each, TextPart) or is_kept_text(each) for each in content)
    return is_text and (is_kept or len(text_of(content)) > _SHORT)


async def _all(works: Sequence[Coroutine[None, None, None]]) -> None:
    async with together() as group:
        for each in works:
            group.create_task(each)


async def _shorten_one(
    attempt: Attempt, how: Shortening, room: asyncio.Semaphore, turn: Turn, place: int
) -> None:
    call, content = turn.message.tool_calls[place], turn.contents[place]
    [message] = await whole(
        attempt.store, [Message("tool", content)], attempt.blobs, attempt.loaded
    )
    result = message.text
    question, called = _question(attempt), f"{call.name} {call.arguments}"
    asked = [
        tagged("asked", shortened(question, _LONGEST), "The assistant was asked:"),
        tagged("call", shortened(called, _LONGEST), "It has called a tool:"),
        tagged("result", shortened(result, _MOST), "This is the result:"),
    ]
    messages = [Message("system", how.prompt), Message("user", "\n\n".join(asked))]
    keep = partial(_keep_result, attempt, how, turn, place, len(result))
    async with room:
        try:
            response = await ask_secondary(attempt, how.model or attempt.spec.model, messages, None)
        except (UsageLimitError, BudgetExceededError):
            return  # So is the run's own model; others that are being asked go on.
        except ModelError as error:
            run_id, name = attempt.output.run_id, one_line(call.name, 60)
            told = in_log(str(error))
            logger.warning("run %s: a result of %s stays as it is: %s", run_id, name, told)
            keep(None)
        else:
            keep(response)
        await attempt.journal.commit()  # From now on it is not asked for again.


def _keep_result(
    attempt: Attempt,
    how: Shortening,
    turn: Turn,
    place: int,
    before: int,
    response: ModelResponse | None,
) -> None:
    """Have it written down what the model is told in place of a result: nothing, if not shorter."""
    text = "" if response is None or response.message.refusal else response.message.text.strip()
    is_shorter = 0 < len(text) < before
    step = ResultsCompressed(
        ((turn.number, place, text if is_shorter else None),),
        len(attempt.state.turns),
        before if is_shorter else 0,
        metrics=Metrics() if response is None else response.metrics,
        model=None if response is None else response.model,
    )
    attempt.journal.keep(step)
    if is_shorter:
        counted = {
            "tool_results_compressed": 1,
            "original_size": before,
            "compressed_size": len(text),
        }
        for name, number in counted.items():
            how.stats[name] = how.stats.get(name, 0) + number


def _question(attempt: Attempt) -> str:
    asked = [each.text for each in attempt.asked if each.role == "user" and each.text]
    return asked[-1] if asked else "(nothing)"


async def _compact(attempt: Attempt, how: Compacting) -> None:
    """Have the oldest messages summed up, if the conversation is too long."""
    conversation, last = attempt.whole_conversation, attempt.compacted
    told, tokens = conversation.told(last), _tokens(attempt)
    turns = sum(each.role == "assistant" for each in told)
    is_long = how.tokens is not None and tokens >= how.tokens
    if not is_long and (how.turns is None or turns < how.turns):
        return
    cut = _cut(conversation, how, conversation.place_of(last))
    if cut is None:
        return
    begin, (place, run_id, count) = conversation.place_of(last), cut
    replaced = conversation.body[begin:place]
    if attempt.blobs:
        replaced = await whole(attempt.store, replaced, attempt.blobs, attempt.loaded)
    if is_long and size_of(replaced) < _SHARE * size_of(told):
        return
    before = [] if last is None else [tagged("earlier_summary", last.summary)]
    messages = [
        Message("system", how.prompt),
        Message("user", "\n".join([*before, transcript(replaced, _LONGEST)])),
    ]
    model = how.model or attempt.spec.model
    try:
        response = await ask_secondary(attempt, model, messages, None)
    except ModelError as error:
        attempt.is_uncompacted = True
        return _warn(attempt, str(error))
    summary = "" if response.message.refusal else response.message.text.strip()
    saved = size_of(replaced) + (0 if last is None else len(last.summary)) - len(summary)
    if not summary:
        _warn(attempt, "the model has summed nothing up")
    elif is_long and saved <= 0 and not any(map(_has_media, replaced)):
        summary = ""
        _warn(attempt, "what sums it up is no shorter")
    step = ConversationCompacted(
        summary,
        run_id,
        count,
        turns=len(attempt.state.turns),
        replaced=len(replaced),
        tokens_before=tokens,
        tokens_after=max(0, tokens - saved // _CHARACTERS),
        metrics=response.metrics,
        model=response.model,
        history=attempt.history,
    )
    attempt.journal.keep(step)
    await attempt.journal.commit()  # From now on it is not asked for again.


def _has_media(message: Message) -> bool:
    return any(not isinstance(part, TextPart) for part in message.parts)


def _warn(attempt: Attempt, why: str) -> None:
    run_id, told = attempt.output.run_id, in_log(why)
    logger.warning("run %s: its conversation stays as it is: %s", run_id, told)


def _cut(
    conversation: Conversation, how: Compacting, begin: int
) -> tuple[int, str, int | None] | None:
    """Return the last place at which enough answers are left; None where there is none."""
    body = conversation.body
    for found in reversed([*conversation.places()]):
        place = found[0]
        left = sum(each.role == "assistant" for each in body[place:])
        if left >= how.kept or place <= begin:
            return found if place > begin else None
    return None


def _tokens(attempt: Attempt) -> int:
    """Return how many tokens the model is told next, about."""
    state, told = attempt.state, attempt.conversation
    last, compacted = (state.turns[-1] if state.turns else None), attempt.compacted
    if last is None or last.answered is None:
        return size_of(told) // _CHARACTERS
    if compacted is not None and compacted.turns >= last.number:
        return size_of(told) // _CHARACTERS
    used = last.answered.metrics
    known = used.input_tokens + used.output_tokens
    if not known:
        return size_of(told) // _CHARACTERS
    return known + size_of(last.messages[1:]) // _CHARACTERS
