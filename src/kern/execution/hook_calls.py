"""Calls the hooks of a run: before the first model call, after the answer, and beside the end.

A hook that has ended is a step of the run, committed before what follows, and is not called again.
What it raises is its own failure, which the run survives, unless it is a check's error.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any, TypeAlias

from kern.aio.retry import until_available
from kern.aio.tasks import outlive, see_out
from kern.errors import CheckError, InvalidInputError, OutputCheckError, ThreadLimitError, described
from kern.execution.attempt import Attempt
from kern.execution.hook_values import content_left, messages_left, run_output_of
from kern.execution.hooks import Hook, Hooks
from kern.execution.journal import StaleAttemptError
from kern.execution.output import show
from kern.execution.values import as_parent, given_media, run_values
from kern.guardrails.base import BaseGuardrail
from kern.models.form import Form
from kern.run.base import STATE_VALUES
from kern.run.given import REPLACED, RunInput, run_input_of
from kern.run.input import RunInput as StoredInput
from kern.run.input import messages_of
from kern.run.printable import in_log
from kern.run.state import StatePatch
from kern.run.steps import AnswerRefused, HookEnded

logger = logging.getLogger("kern")

Left: TypeAlias = tuple[object, str] | None
"""What a hook has put in the place of the input or the answer, as :class:`HookEnded` holds it."""

# How long a hook that is stopped from outside is waited for, in seconds.
_GRACE = 1.0


async def run_pre_hooks(attempt: Attempt, hooks: Hooks) -> None:
    """Call the hooks that come before the first model call, in their order.

    Raises:
        CheckError: one refuses the input.
        ThreadLimitError: no thread became free for a synchronous one.
        StaleAttemptError: the run has a later attempt.
    """
    replacing = [each for each in attempt.state.hooks if each.content is not None]
    if replacing:
        await _replace_input(attempt, replacing[-1])  # The process may have been lost before that.
    for hook in _due(attempt, hooks.pre):
        left, patch = await _called(attempt, hook, _pre(attempt, hook))
        step = await _end(attempt, hook, left, patch)
        await _replace_input(attempt, step)


async def run_post_hooks(attempt: Attempt, hooks: Hooks) -> None:
    """Call the hooks that come after the answer, in their order; the answer is committed first.

    Raises:
        CheckError: one refuses the answer.
        ThreadLimitError: no thread became free for a synchronous one.
        StaleAttemptError: the run has a later attempt.
    """
    for hook in _due(attempt, hooks.post):
        await attempt.journal.commit()
        show(attempt)
        try:
            left, patch = await _called(attempt, hook, _post(attempt, hook))
        except CheckError as refused:
            # Where the run is retried, the model is told so and asked again.
            attempt.journal.keep(AnswerRefused(refused.message))
            raise
        await _end(attempt, hook, left, patch)


def start_in_background(attempt: Attempt, hooks: Hooks) -> None:
    """Begin the hooks that nobody waits for; the run has its answer."""
    show(attempt)
    for hook in hooks.in_background:
        work = _pre(attempt, hook) if hook.kind == "pre" else _post(attempt, hook)
        outlive(_alone(attempt, hook, work), f"run {attempt.output.run_id}: {hook.name}")


async def _alone(attempt: Attempt, hook: Hook, work: Coroutine[Any, Any, Left]) -> None:
    _, raised = await _outcome(attempt, work)
    if raised is not None:
        _warn(attempt, hook, raised)


async def _pre(attempt: Attempt, hook: Hook) -> Left:
    """Call a pre-hook, and return what it has put in the place of the input."""
    messages = StoredInput.from_json(attempt.input).messages[_checked(attempt) :]
    media = await given_media(attempt)
    run_input = run_input_of(messages, media)
    if isinstance(hook.function, BaseGuardrail):
        await hook.function.async_check(run_input)
    else:
        await _call(attempt, hook, run_input=run_input)
    left = messages_left(messages, run_input.input_content)
    return None if left is None else ([each.to_dict() for each in left], "messages")


def _checked(attempt: Attempt) -> int:
    """Return how many messages it begins with that pre-hooks are not to see."""
    return 0 if attempt.begun is None else attempt.begun["checked"]


async def _post(attempt: Attempt, hook: Hook) -> Left:
    """Call a post-hook, and return what it has put in the place of the answer."""
    output, form = replace(attempt.output), _form(attempt)
    if isinstance(hook.function, BaseGuardrail):
        content = await hook.function.checked(output.content, OutputCheckError)
    else:
        run_output = run_output_of(output, form)
        await _call(attempt, hook, run_output=run_output)
        content = run_output.content
    return content_left(output, content, form)


def _form(attempt: Attempt) -> Form | None:
    answering = attempt.answering
    return answering.form if answering is not None and answering.parses else None


def _due(attempt: Attempt, hooks: Sequence[Hook]) -> Iterator[Hook]:
    """Yield the hooks that have not ended, each once those before it have."""
    for hook in hooks:
        ended = {(each.kind, each.place, each.name) for each in attempt.state.hooks}
        if not hook.in_background and (hook.kind, hook.place, hook.name) not in ended:
            yield hook


async def _call(attempt: Attempt, hook: Hook, **given: RunInput | object) -> None:
    """Call a function of the user's with what it asks for."""
    assert not isinstance(hook.function, BaseGuardrail), "it is called otherwise"
    names = hook.function.names
    values = await run_values(attempt, names)
    if hook.in_background:  # It changes nothing, whatever else goes on.
        context = copy(attempt.run_context)
        context.session_state = deepcopy(context.session_state)
        values |= context.values(names & STATE_VALUES)
    await hook.function.call({**values, **given})


async def _called(
    attempt: Attempt, hook: Hook, work: Coroutine[Any, Any, Left]
) -> tuple[Left, StatePatch | None]:
    """Do what a hook does in a task of its own, which it may cancel; only checks pass on.

    Returns:
        What it has left, and what it has changed in the state of the session; nothing where it has
        failed.

    Raises:
        CheckError: the hook has raised it.
        ThreadLimitError: no thread became free for it.
        asyncio.CancelledError: the run was stopped.
    """
    task = asyncio.create_task(_outcome(attempt, work))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE)
        raise
    finally:
        if not task.done():
            see_out(task, f"run {attempt.output.run_id}: the hook {hook.name}")
    left, raised = task.result()
    if raised is None:
        return left, _changed(attempt, hook)
    _forget_changes(attempt)
    if isinstance(raised, CheckError | ThreadLimitError):
        # A hook that was not called for want of a thread must not count as one that has.
        raise raised
    _warn(attempt, hook, raised)
    return None, None


async def _outcome(
    attempt: Attempt, work: Coroutine[Any, Any, Left]
) -> tuple[Left, BaseException | None]:
    try:
        with as_parent(attempt):
            return await work, None
    except BaseException as error:  # Also what would end the process of other runs.
        return None, error


async def _end(attempt: Attempt, hook: Hook, left: Left, patch: StatePatch | None) -> HookEnded:
    """Commit that a hook has ended, with what it has put in the place of input or answer."""
    step = HookEnded(hook.kind, hook.place, hook.name, left, patch)
    attempt.journal.keep(step)
    await attempt.journal.commit()
    return step


def _changed(attempt: Attempt, hook: Hook) -> StatePatch | None:
    """Return what a hook has changed in the state of the session; what is no JSON is not kept."""
    state = attempt.session_state
    if state is None:
        return None
    context = attempt.run_context
    try:
        return state.changed(context.session_state)
    except InvalidInputError as error:
        _warn(attempt, hook, error)
        return None
    finally:
        context.session_state = state.value


def _forget_changes(attempt: Attempt) -> None:
    """Have the state of the session be as it was before a hook that has failed."""
    if attempt.session_state is not None:
        attempt.session_state.reset()
        attempt.run_context.session_state = attempt.session_state.value


async def _replace_input(attempt: Attempt, step: HookEnded) -> None:
    """Have what a pre-hook has left be the run's input, here and in the database.

    Raises:
        StaleAttemptError: the run has a later attempt.
    """
    if step.kind != "pre" or step.content is None:
        return
    stored = StoredInput.from_json(attempt.input)
    left = messages_of({"messages": step.content[0]})
    messages = (*stored.messages[: _checked(attempt)], *left)
    options = {**stored.options, REPLACED: True}
    replaced = replace(stored, messages=messages, options=options).to_json()
    if replaced == attempt.input:
        return
    store, run_id = attempt.store, attempt.output.run_id
    if store is not None and not await until_available(
        lambda: store.replace_input(run_id, attempt.number, replaced)
    ):
        raise StaleAttemptError(f"run {run_id}: attempt {attempt.number} is stale")
    attempt.replace_input(replaced)


def _warn(attempt: Attempt, hook: Hook, error: BaseException) -> None:
    """Log what a hook has failed of; the run goes on."""
    output = attempt.output
    logger.warning(
        "run %s (agent %s): the %s-hook %s failed, and the run goes on: %s",
        output.run_id,
        output.agent_id,
        hook.kind,
        hook.name,
        in_log(described(error)),
        extra={"run_id": output.run_id, "agent_id": output.agent_id, "hook": hook.name},
    )
    logger.debug("run %s: the hook %s raised", output.run_id, hook.name, exc_info=error)
