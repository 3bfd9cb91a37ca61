"""The run loop: replay what is done, then turn after turn, until the model has answered."""

from contextlib import aclosing
from dataclasses import replace
from functools import partial

from kern.execution.attempt import Attempt
from kern.execution.blobs import keep_answer, whole, without_media
from kern.execution.calls import check_calls, starts, use_tools
from kern.execution.limits import check_model_call
from kern.execution.middleware import AskModel, around_model
from kern.models.base import Kept, ModelRequest, ModelResponse, Text
from kern.run.message import Message
from kern.run.steps import AttemptBegun


async def carry_out(attempt: Attempt) -> None:
    """Carry the run to its answer.

    Args:
        attempt: the attempt, just claimed.

    Raises:
        ModelError: the model gave no usable answer.
        JournalError: what earlier attempts have done cannot be read.
        MissingToolError: a tool that has to be called is gone.
        UsageLimitError: the run has used as much as it may.
        PausedError: a person has to decide first.
        StaleAttemptError: the run has a later attempt.
    """
    state = attempt.state
    attempt.journal.begin()
    await attempt.replay()
    if attempt.number > 1:
        await _resume(attempt)
    while not state.is_answered:
        if state.turns and state.turns[-1].open_calls:
            await use_tools(attempt, state.turns[-1])
        else:
            await _ask(attempt)


async def _resume(attempt: Attempt) -> None:
    """Write down that a later attempt goes on, and with which calls."""
    state, journal = attempt.state, attempt.journal
    begun: tuple[int, ...] = ()
    if state.turns:
        last = state.turns[-1]
        check_calls(attempt, last)
        begun = starts(attempt, last.number, last.open_calls)
    journal.break_call()
    journal.keep(AttemptBegun(attempt.number, begun))
    names = {state.turns[-1].message.tool_calls[place].name for place in begun}
    if any(attempt.tools[name].on_interrupt != "retry" for name in names):
        await journal.commit()  # That they began has to be known, should nothing follow.


async def _ask(attempt: Attempt) -> None:
    """Have the model answer, and write the answer down before anything follows from it."""
    await check_model_call(attempt)
    journal = attempt.journal
    journal.begin_call()
    response = await _respond(attempt)
    keep, message = partial(_keep_answer, attempt, response), response.message
    if isinstance(message.content, tuple) or message.provider_items:
        run_id = attempt.output.run_id
        await keep_answer(attempt.store, run_id, message, keep, attempt.loaded)
    else:
        keep(message)
    if response.message.tool_calls:  # Else only the run's end follows, and that is written with it.
        await journal.commit()


def _keep_answer(attempt: Attempt, response: ModelResponse, message: Message) -> None:
    """Have an answer written, with the message that takes the place of its own."""
    turns = attempt.state.turns
    if message is not response.message:
        response = replace(response, message=message)
    attempt.journal.answered(
        response,
        starts(attempt, len(turns) + 1, list(enumerate(message.tool_calls))),
        () if turns else attempt.history,
    )


async def _respond(attempt: Attempt) -> ModelResponse:
    spec, messages = attempt.spec, attempt.conversation
    if not spec.send_media_to_model:
        messages = [without_media(each) for each in messages]
    if attempt.blobs:
        messages = await whole(attempt.store, messages, attempt.blobs, attempt.loaded)
    request = ModelRequest(
        messages,
        [tool.schema for tool in attempt.tools.values()],
        attempt.state.handle_for(attempt.spec.model.origin),
        memo=attempt.memo,
    )
    if not spec.middleware:
        return await _ask_model(attempt, request)
    ask: AskModel = partial(_ask_model, attempt)
    return await around_model(spec.middleware, attempt.info, ask)(request)


async def _ask_model(attempt: Attempt, request: ModelRequest) -> ModelResponse:
    """Ask the model, and hand the pieces of its answer to those who read the run."""
    journal, model = attempt.journal, attempt.spec.model
    if not (journal.is_read or attempt.spec.live or model.keeps_answers):
        return await model.respond(request)
    response: ModelResponse | None = None
    async with aclosing(model.stream(request)) as pieces:
        async for piece in pieces:
            match piece:
                case Text(text):
                    journal.text(text)
                case Kept(handle):
                    await journal.answer_kept(handle, model.origin)
                case ModelResponse():
                    response = piece
    assert response is not None, "a model's stream ends with its response"
    return response
