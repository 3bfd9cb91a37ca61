"""The run loop: replay what is done, then turn after turn, until the model has answered."""

import asyncio
import logging
from dataclasses import replace
from functools import partial

from kern.errors import ModelError
from kern.execution.asking import as_sent, ask_model
from kern.execution.attempt import Attempt
from kern.execution.beginning import resolve_dependencies, tell
from kern.execution.blobs import keep_answer
from kern.execution.calls import use_tools
from kern.execution.cancellation import managed
from kern.execution.decisions import decide_known
from kern.execution.due_calls import check_calls, starts
from kern.execution.finishing import asked_of_model, is_fit, suggest
from kern.execution.hook_calls import run_post_hooks, run_pre_hooks, start_in_background
from kern.execution.limits import check_turns, check_usage
from kern.execution.managing import stop_if_cancelled
from kern.execution.middleware import AskModel, around_model
from kern.execution.observing import observed_by
from kern.execution.offering import disconnect, list_tools
from kern.execution.reports import take_last_reports, take_reports
from kern.execution.requirements import foresee
from kern.execution.retrying import pause_before_retry
from kern.execution.sessions import introduce, leave
from kern.models.base import ModelRequest, ModelResponse, ToolChoice
from kern.run.message import Message
from kern.run.printable import in_log
from kern.run.steps import AttemptBegun, Traced

logger = logging.getLogger("kern")


async def carry_out(attempt: Attempt) -> None:
    """Carry the run to its answer.

    Args:
        attempt: the attempt, just claimed.

    Raises:
        ModelError: the model gave no usable answer.
        JournalError: what earlier attempts have done cannot be read.
        MissingToolError: a tool that has to be called is gone.
        OutputSchemaError: the answer does not have the form that it must have.
        CheckError: a hook refuses the input or the answer.
        UsageLimitError: the run has used as much as it may.
        PausedError: a person has to decide first.
        AsleepError: all open calls sleep.
        StaleAttemptError: the run has a later attempt.
    """
    attempt.journal.begin()
    try:
        await _carry_out(attempt)
    finally:
        if attempt.connected:
            await disconnect(attempt)


async def _carry_out(attempt: Attempt) -> None:
    await attempt.replay()
    spec = attempt.spec
    if spec.middleware:
        _note_trace(attempt)
    attempt.tools = spec.tools
    if spec.dependencies or attempt.options:
        await resolve_dependencies(attempt)
    asks = spec.call_rules is not None or spec.context_rules is not None
    if asks or spec.toolsets or spec.remembering is not None:
        await list_tools(attempt)
    if attempt.uses_state:
        await attempt.load_state()
    if attempt.number > 1:
        await _resume(attempt)
    if spec.hooks is not None and not attempt.state.turns:
        await run_pre_hooks(attempt, spec.hooks)
    if spec.session_rules is not None and spec.session_rules.introduction:
        await introduce(attempt, spec.session_rules.introduction)
    await tell(attempt)
    if spec.reasoning is not None:
        from kern.execution.reasoning import think

        await think(attempt, spec.reasoning)
    while True:
        try:
            return await _go_on(attempt)
        except ModelError as error:
            if not (attempt.foreground and attempt.tries and error.transient):
                raise
            await _pause(attempt, error)


def _note_trace(attempt: Attempt) -> None:
    """Journal the trace of the first attempt, and let observers of a later one know of it."""
    first, entries = attempt.state.trace, attempt.journal.entries
    for each in observed_by(attempt.spec.middleware):
        if attempt.number > 1 or first is not None:
            each.goes_on(attempt.info, first, entries[-1].step if entries else None)
        if (attempt.number == 1 or first is None) and (trace := each.trace()) is not None:
            attempt.journal.keep(Traced(trace))


async def _pause(attempt: Attempt, failure: ModelError) -> None:
    """Wait until what a foreground run failed of may have passed."""
    attempt.journal.break_call()
    seconds = pause_before_retry(attempt.spec.retrying, attempt.failures, failure)
    attempt.tries, attempt.failures = attempt.tries - 1, attempt.failures + 1
    run_id, told = attempt.output.run_id, in_log(str(failure))
    logger.warning("run %s: %s Trying again in %g s.", run_id, told, seconds)
    await asyncio.sleep(seconds)


async def _go_on(attempt: Attempt) -> None:
    """Carry the run on from what its steps say to its end."""
    state = attempt.state
    while True:
        if managed.manager is not None:
            await stop_if_cancelled(attempt.output.run_id)
        if state.is_answered:
            if state.started and await take_last_reports(attempt):
                continue
            if attempt.answering is None or await is_fit(attempt):
                return await _finish(attempt)
        elif state.turns and state.turns[-1].open_calls:
            if await use_tools(attempt, state.turns[-1]):
                return await _finish(attempt)
        else:
            await _ask(attempt)


async def _finish(attempt: Attempt) -> None:
    """Do what follows the run's answer, or its calls that are left to the client."""
    spec, hooks = attempt.spec, attempt.spec.hooks
    if hooks is not None:
        await run_post_hooks(attempt, hooks)
    if attempt.answering is not None or spec.session_rules or spec.remembering:
        if attempt.ends_at is None:
            await _follow(attempt)
        else:
            await _follow_in_time(attempt, attempt.ends_at)
    if hooks is not None:
        start_in_background(attempt, hooks)


async def _follow_in_time(attempt: Attempt, ends_at: float) -> None:
    """Do what the run has its answer without; what is not done as its time ends is left out."""
    left = ends_at - asyncio.get_running_loop().time()
    limit = asyncio.timeout_at(ends_at - min(1.0, left / 10))
    try:
        async with limit:
            await _follow(attempt)
    except TimeoutError:
        if not limit.expired():
            raise
        run_id = attempt.output.run_id
        logger.warning("run %s: what follows its answer was not done before its timeout", run_id)


async def _follow(attempt: Attempt) -> None:
    """Have follow-ups suggested, and the run leave what it leaves: summary, file and memories."""
    spec = attempt.spec
    if attempt.answering is not None and attempt.state.is_answered:
        await suggest(attempt)
    if spec.session_rules is not None:
        await leave(attempt, spec.session_rules)
    if spec.remembering is not None:
        from kern.execution.remembering import remember

        await remember(attempt, spec.remembering)


async def _resume(attempt: Attempt) -> None:
    """Write down that a later attempt goes on, and with which calls."""
    state, journal = attempt.state, attempt.journal
    begun: tuple[int, ...] = ()
    if is_decided := bool(state.requirements):  # Nobody has answered them itself.
        await decide_known(attempt)
    if state.turns:
        last = state.turns[-1]
        check_calls(attempt, last)
        if any(each.condition for each in attempt.tools.values()):
            await foresee(attempt, last.number, last.open_calls)
        begun = starts(attempt, last.number, last.open_calls)
    journal.break_call()
    journal.keep(AttemptBegun(attempt.number, begun))
    names = {state.turns[-1].message.tool_calls[place].name for place in begun}
    if is_decided or any(attempt.tools[name].on_interrupt != "retry" for name in names):
        await journal.commit()  # What was decided, or began, has to be known before what follows.


async def _ask(attempt: Attempt) -> None:
    """Have the model answer, and write the answer down before anything follows from it."""
    if attempt.state.started:
        await take_reports(attempt)
    if attempt.spec.compression is not None:
        from kern.execution.compression import compress

        await compress(attempt, attempt.spec.compression)
    check_turns(attempt)
    if attempt.limits or attempt.spending is not None:
        await check_usage(attempt)
    journal = attempt.journal
    journal.begin_call()
    response = await _respond(attempt)
    if response.finish_reason not in ("stop", "tool_calls"):
        _warn(attempt, response)
    message = response.message
    if message.tool_calls and any(each.condition for each in attempt.tools.values()):
        turn = len(attempt.state.turns) + 1
        await foresee(attempt, turn, enumerate(message.tool_calls))
    if isinstance(message.content, tuple) or message.provider_items:
        run_id, keep = attempt.output.run_id, partial(_keep_answer, attempt, response)
        await keep_answer(attempt.store, run_id, message, keep, attempt.loaded)
    else:
        _keep_answer(attempt, response, message)
    if message.tool_calls:  # Else only the run's end follows, and that is written with it.
        await journal.commit()


def _warn(attempt: Attempt, response: ModelResponse) -> None:
    """Log that an answer is not what it seems to be: it was cut off, say, or is a refusal."""
    output, reason = attempt.output, response.finish_reason
    logger.warning(
        "run %s (agent %s): %s ended its answer for another reason than that it is complete: %s",
        output.run_id,
        output.agent_id,
        response.model or attempt.spec.model.id,
        reason,
        extra={"run_id": output.run_id, "agent_id": output.agent_id, "finish_reason": reason},
    )


def _keep_answer(attempt: Attempt, response: ModelResponse, message: Message) -> None:
    """Have an answer written, with the message that takes the place of its own."""
    turns = attempt.state.turns
    begun: tuple[int, ...] = ()
    if message is not response.message:
        response = replace(response, message=message)
    if message.tool_calls:
        begun = starts(attempt, len(turns) + 1, list(enumerate(message.tool_calls)))
    attempt.journal.answered(
        response,
        begun,
        () if turns else attempt.history,
        attempt.fallback,
    )


async def _respond(attempt: Attempt) -> ModelResponse:
    spec = attempt.spec
    request = ModelRequest(
        await as_sent(attempt),
        [tool.schema for tool in attempt.tools.values()],
        attempt.handle,
        None if spec.tool_choice is None else _tool_choice(attempt, spec.tool_choice),
        output_schema=None if attempt.answering is None else asked_of_model(attempt.answering),
        settings={"tools": attempt.provided} if attempt.provided else {},
        memo=attempt.memo,
        session_id=attempt.output.session_id,
        options=spec.call_options,
    )
    if not spec.middleware:
        return await ask_model(attempt, request)
    ask: AskModel = partial(ask_model, attempt)
    return await around_model(spec.middleware, attempt.info, ask)(request)


def _tool_choice(attempt: Attempt, choice: ToolChoice) -> ToolChoice | None:
    """Return whether the model is to call tools.

    Who has to call one is made to only once a run: else it could never answer.
    """
    if not attempt.state.turns:
        return choice
    kind = choice if isinstance(choice, str) else choice.get("mode", choice.get("type"))
    return choice if kind is None or str(kind).lower() in _FREE else None


_FREE = ("none", "auto", "validated")
