"""What follows a model's answer: whether it fits, and the models that are asked after it.

Each of their answers is a step of the run, with its own usage. What was answered before is
committed by then, so that it is never asked for again.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from kern.errors import BudgetExceededError, ModelError, OutputSchemaError, UsageLimitError
from kern.execution.answering import Answering, Followups, Secondary
from kern.execution.attempt import Attempt
from kern.execution.limits import check_usage
from kern.execution.middleware import around_model
from kern.execution.observing import around_answer
from kern.execution.pricing import priced
from kern.models.base import Model, ModelRequest, ModelResponse, OutputSchema, ToolChoice
from kern.models.cache import cached
from kern.models.form import Form, UnfitError
from kern.models.structured import respond
from kern.run.codec import dump
from kern.run.happened import complaint
from kern.run.input import RunInput
from kern.run.message import Message
from kern.run.printable import in_log
from kern.run.steps import FOLLOWUPS, OUTPUT_MODEL, PARSER_MODEL, AnswerRefused, SecondaryAnswered
from kern.run.tool import ToolSchema

logger = logging.getLogger("kern")

_WRITE = "You write the final answer to the user, from the draft of another. Say nothing of it."
_PARSE = "Put what the text says into the form that is asked for. Add nothing that it does not say."


def asked_of_model(answering: Answering) -> OutputSchema | None:
    """Return the form for which the agent's own model is asked."""
    if answering.output is not None or answering.parser is not None:
        return None
    return _asked(answering)


async def is_fit(attempt: Attempt) -> bool:
    """Have the answer put into its final words and form, and say whether it fits.

    Raises:
        ModelError: a model failed, or refused to answer.
        OutputSchemaError: the answer does not fit, though its model was asked again.
        UsageLimitError: the run has used as much as it may.
        StaleAttemptError: the run has a later attempt.
    """
    answering, state = attempt.answering, attempt.state
    assert answering is not None, "else any answer is the end"
    if state.turns[-1].ends:  # A tool has answered.
        return True
    form = answering.form if answering.parses else None
    if form is not None:  # What was declined needs no second model.
        _check_refusal(attempt, state.turns[-1].message)
    if answering.output is not None and _is_due(attempt, OUTPUT_MODEL):
        asked = None if answering.parser else _asked(answering)
        await _ask_secondary(attempt, OUTPUT_MODEL, answering.output, asked)
    if answering.form and answering.parser and _is_due(attempt, PARSER_MODEL):
        await _ask_secondary(attempt, PARSER_MODEL, answering.parser, _asked(answering))
    return form is None or await _fits(attempt, answering, form)


async def suggest(attempt: Attempt) -> None:
    """Have follow-ups suggested, where they are wanted; where that fails, the run goes on."""
    followups = None if attempt.answering is None else attempt.answering.followups
    if followups is not None and not attempt.state.answers_of(FOLLOWUPS):
        await _suggest(attempt, followups)


def _asked(answering: Answering) -> OutputSchema | None:
    form = answering.form
    return None if form is None else replace(form.output_schema, mode=answering.mode)


def _is_due(attempt: Attempt, name: str) -> bool:
    """Say whether a secondary model has to be asked, for the first time or once more."""
    steps = [
        each
        for each in attempt.state.secondary
        if isinstance(each, AnswerRefused) or each.name in (OUTPUT_MODEL, PARSER_MODEL)
    ]
    asked = [each for each in steps if isinstance(each, SecondaryAnswered)]
    if not any(each.name == name for each in asked):
        return True
    return isinstance(steps[-1], AnswerRefused) and asked[-1].name == name


async def _fits(attempt: Attempt, answering: Answering, form: Form) -> bool:
    """Read the answer; where it does not fit, have its model asked again."""
    state = attempt.state
    message = _formed(attempt, answering)
    _check_refusal(attempt, message)
    try:
        value = form.read(message.text)
    except UnfitError as unfit:
        # Also where it is not asked again now: it is where the run is retried.
        attempt.journal.keep(AnswerRefused(str(unfit)))
        if state.refusals > answering.retries:
            times = "once" if state.refusals == 1 else f"{state.refusals} times"
            raise OutputSchemaError(
                f"The answer is no {form.content_type}: {unfit}. The model was asked {times}; see "
                "output_retries. The answer is in the run's content.",
                content=message.text,
            ) from None
        await attempt.journal.commit()
        return False
    attempt.answer = value, form.content_type
    return True


def _check_refusal(attempt: Attempt, message: Message) -> None:
    """Raise where a model has declined to answer; where the run is retried, it is asked again."""
    if message.refusal:
        attempt.journal.keep(AnswerRefused("it is a refusal"))
        raise ModelError(
            f"The model declined to answer: {message.text}", kind="refused", content=message.text
        )


def _formed(attempt: Attempt, answering: Answering) -> Message:
    """Return the message that has to have the form."""
    state = attempt.state
    if not (answering.output or answering.parser):
        return state.turns[-1].message
    return state.answers_of(PARSER_MODEL if answering.parser else OUTPUT_MODEL)[-1].message


async def _ask_secondary(
    attempt: Attempt, name: str, secondary: Secondary, form: OutputSchema | None
) -> None:
    """Have a secondary model answer, and write the answer down."""
    if name == PARSER_MODEL:
        prompt, asked = secondary.prompt or _PARSE, attempt.state.answer_text
    else:
        prompt, draft = secondary.prompt or _WRITE, attempt.state.turns[-1].message.text
        asked = f"{_question(attempt)}\n\nThe draft of the answer:\n\n{draft}"
    messages = [Message("system", prompt), Message("user", asked)]
    of_this = attempt.state.answers_of(name)
    if of_this and isinstance(refused := attempt.state.secondary[-1], AnswerRefused):
        messages += [Message("assistant", of_this[-1].message.text), complaint(refused.reason)]
    response = await ask_secondary(attempt, secondary.model, messages, form)
    said = response.message
    # Nothing else of it is ever used, and media of it has no place in a row.
    _keep(attempt, name, response, Message("assistant", said.text, refusal=said.refusal))


async def _suggest(attempt: Attempt, followups: Followups) -> None:
    """Have follow-ups suggested; where that fails, the run has its answer all the same."""
    run_id, answer = attempt.output.run_id, attempt.state.answer_text
    messages = [
        Message("system", followups.prompt),
        Message("user", f"{_question(attempt)}\n\nThe answer:\n\n{answer}"),
    ]
    model, form = followups.model or attempt.spec.model, followups.form
    try:
        response = await ask_secondary(attempt, model, messages, form.output_schema)
    except (ModelError, UsageLimitError, BudgetExceededError) as error:
        logger.warning("run %s has no follow-ups: %s", run_id, in_log(str(error)))
        return
    message = response.message
    try:
        message = Message("assistant", dump(form.read(message.text)))
    except UnfitError as unfit:
        logger.warning("run %s has no follow-ups: %s", run_id, in_log(str(unfit)))
        message = Message("assistant", "")
    _keep(attempt, FOLLOWUPS, response, message)


async def ask_secondary(
    attempt: Attempt,
    model: Model,
    messages: Sequence[Message],
    form: OutputSchema | None,
    tools: Sequence[ToolSchema] = (),
    tool_choice: ToolChoice | None = None,
) -> ModelResponse:
    """Have a model answer beside the run's own, once what came before is written.

    Args:
        attempt: the attempt.
        model: who is asked.
        messages: what it is told.
        form: what its answer has to be, or None.
        tools: what it may call, or what the messages speak of; its calls are the caller's to make.
        tool_choice: whether it is to call them.

    Raises:
        ModelError: the model failed.
        UsageLimitError: the run has used as much as it may.
        BudgetExceededError: its user has.
        StaleAttemptError: the run has a later attempt.
    """
    await attempt.journal.commit()
    await check_usage(attempt)
    attempt.asking += 1  # Until its answer is there it counts towards the limits of the next.
    try:
        middleware, info = attempt.spec.middleware, attempt.info
        ask = partial(respond, cached(model))
        request = ModelRequest(messages, tools, tool_choice=tool_choice, output_schema=form)
        answer = priced(attempt, model, around_model(middleware, info, ask)(request))
        return await around_answer(middleware, info, model, request, answer)
    finally:
        attempt.asking -= 1


def _keep(attempt: Attempt, name: str, response: ModelResponse, message: Message) -> None:
    attempt.journal.keep(SecondaryAnswered(name, message, response.metrics, response.model))


def _question(attempt: Attempt) -> str:
    messages = RunInput.from_json(attempt.input).messages
    return "\n\n".join(text for each in messages if (text := each.text))
