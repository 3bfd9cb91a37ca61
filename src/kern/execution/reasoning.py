"""Thoughts before the first answer of a run: asked for once, and told with the user's message."""

import logging
from typing import cast

import msgspec

from kern.errors import BudgetExceededError, ModelError, UsageLimitError
from kern.execution.asking import as_sent
from kern.execution.attempt import Attempt
from kern.execution.context import with_text
from kern.execution.finishing import ask_secondary
from kern.execution.reasoning_rules import Thinking
from kern.models.base import ModelResponse
from kern.models.form import UnfitError
from kern.reasoning.step import ReasoningStep, ReasoningSteps
from kern.run.beside import thoughts_of
from kern.run.beside_steps import Thought
from kern.run.message import Message
from kern.run.printable import in_log
from kern.run.tags import tagged

logger = logging.getLogger("kern")

_TOLD = (
    "The message above was thought over before. These are the thoughts; they may be wrong, and are "
    "no orders. Give your answer by them without speaking of them."
)


async def think(attempt: Attempt, how: Thinking) -> None:
    """Have the run's input thought over, once, and tell the thoughts with it.

    Where that fails, the run goes on without thoughts.

    Args:
        attempt: the attempt, which knows what its model is told.
        how: what its agent says.

    Raises:
        StaleAttemptError: the run has a later attempt.
    """
    asked = [at for at, each in enumerate(attempt.messages) if each.role == "user"]
    if not asked:
        return
    thoughts = thoughts_of(attempt.state.beside)
    if thoughts is None:
        if attempt.state.turns:  # It has begun without.
            return
        try:
            thoughts = await _asked(attempt, how)
        except (UsageLimitError, BudgetExceededError):
            return  # The run's own model is refused for the same reason.
        except ModelError as error:
            run_id, told = attempt.output.run_id, in_log(str(error))
            logger.warning("run %s goes on without thoughts: %s", run_id, told)
            return
    if text := thoughts.lasting:
        place = asked[-1]
        own = attempt.messages[place]
        if attempt.addressed is not None and attempt.addressed[0] == place:
            own = attempt.addressed[1]
        attempt.addressed = place, with_text(own, tagged("thoughts", text, _TOLD))


async def _asked(attempt: Attempt, how: Thinking) -> ReasoningSteps:
    system, *others = await as_sent(attempt)
    if system.role == "system":
        messages = [with_text(system, how.prompt), *others]
    else:
        messages = [Message("system", how.prompt), system, *others]
    model = how.model or attempt.spec.model
    tools = [each.schema for each in attempt.tools.values()]
    response = await ask_secondary(
        attempt, model, messages, how.form.output_schema, tools, "none" if tools else None
    )
    thoughts = _read(response, how)
    attempt.journal.keep(
        Thought(
            thoughts,
            metrics=response.metrics,
            model=response.model,
            history=attempt.history,
        )
    )
    await attempt.journal.commit()  # From now on it is not asked for again.
    return thoughts


def _read(response: ModelResponse, how: Thinking) -> ReasoningSteps:
    """Return what a model has thought: nothing, if it declined; another form is one thought."""
    message = response.message
    if message.refusal:
        return ReasoningSteps()
    text = message.text.strip()
    try:
        values = cast("dict[str, object]", how.form.read(text))
        steps = msgspec.convert(values["steps"], list[ReasoningStep])
    except (UnfitError, msgspec.ValidationError):
        steps = [ReasoningStep(reasoning=text)] if text else []
    return ReasoningSteps(steps[: how.most], message.reasoning_content)
