"""Who answers a model call: the agent's model, or a fallback where that has failed."""

import logging
from collections.abc import Awaitable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from inspect import isawaitable

from kern.aio.threads import call_in_thread
from kern.errors import ModelError, described
from kern.execution.attempt import Attempt
from kern.execution.blobs import whole, without_media
from kern.execution.observing import around_answer
from kern.execution.pricing import priced
from kern.models.base import Kept, Model, ModelRequest, ModelResponse, Text
from kern.models.cache import cached
from kern.models.fallback import FallbackConfig, all_failed
from kern.models.structured import respond, stream
from kern.run.message import Message
from kern.run.printable import in_log

logger = logging.getLogger("kern")

_LASTING = ("authentication", "context_length", "not_found")


async def as_sent(attempt: Attempt) -> list[Message]:
    """Return the conversation as its model is sent it: with media, where that is shown at all."""
    messages = attempt.conversation
    if not attempt.spec.send_media_to_model:
        messages = [without_media(each) for each in messages]
    if attempt.blobs:
        messages = await whole(attempt.store, messages, attempt.blobs, attempt.loaded)
    return messages


def ask_model(attempt: Attempt, request: ModelRequest) -> Awaitable[ModelResponse]:
    """Have a model answer, and hand the pieces of its answer to those who read the run.

    Args:
        attempt: whose call it is; its ``fallback`` says then who has answered.
        request: what the agent's model is asked.

    Raises:
        ModelError: no model gave a usable answer.
        StaleAttemptError: the run has a later attempt.
    """
    config = attempt.spec.fallback
    if config is None:
        return _answer(attempt, attempt.spec.model, request)
    return _ask_in_turn(attempt, request, config)


async def _ask_in_turn(
    attempt: Attempt, request: ModelRequest, config: FallbackConfig
) -> ModelResponse:
    primary, failures = attempt.spec.model, [*attempt.unfit]
    # The provider that still has the answer for which the attempt before paid is asked first.
    kept = attempt.state.kept_at(attempt.spec.models)
    model = config.next(primary, failures) if kept is None else kept[0]
    while model is not None:
        try:
            response = await _answer(attempt, model, _request(attempt, model, request))
        except ModelError as error:
            failures.append((model, error))
            if _lasts(error):
                attempt.unfit = (*attempt.unfit, (model, error))
            failed, model = model, config.next(primary, failures)
            if model is not None:
                await _change(attempt, config, failed, model, error)
        else:
            attempt.fallback = None if model is primary else model
            return response
    raise all_failed(failures)


def _lasts(error: ModelError) -> bool:
    """Say whether the model would fail of the same at the later calls of the run."""
    is_used_up = error.kind == "rate_limit" and not error.transient
    return is_used_up or error.kind in _LASTING


def _answer(attempt: Attempt, model: Model, request: ModelRequest) -> Awaitable[ModelResponse]:
    model = cached(model)
    is_streamed = attempt.journal.is_read or attempt.spec.live or model.keeps_answers
    ask = _streamed(attempt, model, request) if is_streamed else respond(model, request)
    answer = priced(attempt, model, ask)
    if not (middleware := attempt.spec.middleware):
        return answer
    return around_answer(middleware, attempt.info, model, request, answer, streamed=is_streamed)


async def _streamed(attempt: Attempt, model: Model, request: ModelRequest) -> ModelResponse:
    journal = attempt.journal
    response: ModelResponse | None = None
    async with aclosing(stream(model, request)) as pieces:
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


def _request(attempt: Attempt, model: Model, request: ModelRequest) -> ModelRequest:
    """Return what a model is asked where the agent's is asked this."""
    if model is attempt.spec.model:
        return request
    choice = request.tool_choice
    if isinstance(choice, Mapping) and type(model) is not type(attempt.spec.model):
        choice = None  # It has the form of another provider.
    # Settings have the names of one provider, and what is remembered is one model's.
    memo = request.memo.setdefault(f"fallback {model.origin}", {})
    assert isinstance(memo, dict)
    handle = attempt.state.handle_for(model.origin)
    return replace(request, handle=handle, tool_choice=choice, settings={}, memo=memo)


async def _change(
    attempt: Attempt, config: FallbackConfig, failed: Model, model: Model, error: ModelError
) -> None:
    """Go on with another model; what readers have of the answer that broke off is void."""
    told = in_log(str(error))
    run_id, primary = attempt.output.run_id, attempt.spec.model
    logger.warning("run %s: %s failed: %s Asking %s.", run_id, failed.id, told, model.id)
    attempt.journal.break_call()
    attempt.journal.begin_call()
    handle = attempt.state.handle_for(failed.origin)
    if handle is not None and error.transient:  # It may still be working at it.
        await failed.cancel(handle)
    if config.callback is not None:
        call = partial(config.callback, primary.id, model.id, error)
        try:
            returned = await call_in_thread(call)
            if isawaitable(returned):
                await returned
        except Exception as raised:
            told = in_log(described(raised))
            logger.warning("run %s: the fallback's callback raised %s", run_id, told)
