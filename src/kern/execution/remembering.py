"""The memories of a run's user: told to its model, and drawn from what was said.

What a model has answered that draws them is a step, and what follows from it is written in the
step's own transaction: so it is done once, wherever the process dies.
"""

import logging
from typing import Any

from kern.aio.retry import until_available
from kern.errors import described
from kern.execution.attempt import Attempt
from kern.execution.child import UNASKED
from kern.execution.finishing import ask_secondary
from kern.execution.journal import StaleAttemptError
from kern.execution.memory_rules import MemoryRules
from kern.memory.capture import (
    SHOWN,
    Capture,
    asked,
    changes_in,
    line_of,
    said_between,
    task_of,
    told_of,
)
from kern.memory.changes import MemoryChanges, MemoryFilter
from kern.memory.user_memory import storable, user_of
from kern.run.base import RunContext
from kern.run.codec import decode_object, dump
from kern.run.message import Message
from kern.run.printable import in_log
from kern.run.steps import MEMORY_MODEL, SecondaryAnswered
from kern.tools.function import FunctionTool, tool

logger = logging.getLogger("kern")

_NOTHING_KEPT = "This run is not stored, so nothing of it is remembered."


async def memories_of(attempt: Attempt) -> tuple[str, ...]:
    """Return what is remembered of a run's user, a line each, the last changed last."""
    store = attempt.store
    if store is None:
        return ()
    wanted = MemoryFilter(user_of(attempt.output.user_id))
    found = await until_available(lambda: store.memories.find(wanted, SHOWN))
    return tuple(line_of(each.memory) for each in reversed(found))


async def remember(attempt: Attempt, rules: MemoryRules) -> None:
    """Have memories drawn from a run that has its answer, once; where that fails, it has none.

    Args:
        attempt: the attempt, whose model has answered.
        rules: what its agent says.

    Raises:
        StaleAttemptError: the run has a later attempt.
    """
    if not rules.on_run or attempt.store is None or attempt.unstored:
        return
    if UNASKED in attempt.options:  # Another run has begun it by its end, and no user.
        return
    said = [each for each in attempt.asked if each.role == "user" and not each.from_history]
    text = "\n\n".join(each.text for each in said if each.text)
    if not text:  # It was given results of calls, or media, alone.
        return
    answer = Message("assistant", attempt.state.answer_text or "")
    transcript = said_between([*said, answer])
    try:
        await _changed(attempt, rules.capture, transcript, text)
    except StaleAttemptError:
        raise
    except Exception as error:
        run_id, told = attempt.output.run_id, in_log(described(error))
        logger.warning("run %s: nothing of it is remembered: %s", run_id, told)


def offer(attempt: Attempt, rules: MemoryRules) -> None:
    """Offer the tool that changes memories, after the user's own; one of its name goes before.

    Args:
        attempt: the attempt, whose other tools are known.
        rules: what its agent says.
    """
    update: FunctionTool[..., Any] = _Updates(attempt, rules.capture).update
    if update.name not in attempt.tools:
        attempt.tools = {**attempt.tools, update.name: update}


class _Updates:
    """The changes of an attempt, as a tool that a model can have called."""

    def __init__(self, attempt: Attempt, capture: Capture) -> None:
        self._attempt = attempt
        self._capture = capture

    @tool(name="update_user_memory")
    async def update(self, task: str, run_context: RunContext) -> str:
        """Remember something of the user for later conversations, change it, or forget it.

        Args:
            task: what to remember, change or forget, with all that has to be known for it.
            run_context: the call.
        """
        attempt = self._attempt
        if attempt.store is None or attempt.unstored:
            return _NOTHING_KEPT
        key = run_context.idempotency_key
        return await _changed(attempt, self._capture, task_of(task), task, key)


async def _changed(attempt: Attempt, capture: Capture, what: str, said: str, call: str = "") -> str:
    """Have the memories of the run's user changed, once, and say what has changed.

    Args:
        attempt: the attempt.
        capture: how.
        what: what was said, or what is to be done, within tags.
        said: what the user said.
        call: the idempotency key of the tool call that it is, if it is one.
    """
    output, store = attempt.output, attempt.store
    assert store is not None, "else there are no memories"
    key = call or output.run_id
    for each in attempt.state.answers_of(MEMORY_MODEL):
        told = decode_object(each.message.text)
        if told.get("key") == key:  # A run that was branched off has those of the other one too.
            return str(told.get("told"))
    user_id = user_of(output.user_id)
    known = await until_available(lambda: store.memories.find(MemoryFilter(user_id), SHOWN))
    response = await ask_secondary(
        attempt,
        capture.model or attempt.spec.model,
        asked(capture, known, what),
        None,
        capture.tools,
    )
    changes = changes_in(response.message.tool_calls, capture, known, key)
    told = {
        "key": key,
        "told": told_of(changes),
        "changes": [each.to_dict() for each in changes],
    }
    step = SecondaryAnswered(
        MEMORY_MODEL, Message("assistant", dump(told)), response.metrics, response.model
    )
    made = MemoryChanges(user_id, changes, output.agent_id, output.run_id, storable(said))
    attempt.journal.keep_with(step, made)
    await attempt.journal.commit()
    return told_of(changes)
