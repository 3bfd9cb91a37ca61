"""The hooks of an agent: called before the first model call and after the answer, each one once.

A hook that has ended is a step of the run, committed before what follows. What it raises is its own
failure, which the run survives, unless it is a check's error.
"""

import asyncio
import inspect
import logging
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from kern.aio.retry import until_available
from kern.aio.tasks import outlive, see_out
from kern.binder import Binder, Known, definition_of
from kern.errors import (
    CheckError,
    ConfigurationError,
    OutputCheckError,
    ThreadLimitError,
    described,
)
from kern.execution.attempt import Attempt, given_media
from kern.execution.hooked import content_left, messages_left, run_input_of, run_output_of
from kern.execution.journal import StaleAttemptError
from kern.guardrails.base import BaseGuardrail, check_guardrail
from kern.hooks import runs_in_background
from kern.run.agent import RunOutput
from kern.run.base import RunContext, current_run, current_user
from kern.run.given import RunInput, with_texts
from kern.run.input import RunInput as StoredInput
from kern.run.message import Message
from kern.run.printable import one_line
from kern.run.steps import AnswerRefused, HookEnded

logger = logging.getLogger("kern")

Kind: TypeAlias = Literal["pre", "post"]

REPLACED = "input_replaced"
"""The option of a stored input that says that it is not what the run was given."""

# How long a hook that is stopped from outside is waited for, in seconds.
_GRACE = 1.0

_KNOWN: Known = {
    "agent": "Agent",
    "run_context": RunContext,
    "session": "AgentSession",
    "session_state": None,
    "dependencies": None,
    "metadata": None,
    "user_id": None,
    "session_id": None,
    "run_id": None,
    "images": None,
    "videos": None,
    "audio": None,
    "audios": None,
    "files": None,
    "debug_mode": None,
}
_KNOWN_OF: Mapping[Kind, Known] = {
    "pre": {"run_input": RunInput, **_KNOWN},
    "post": {"run_output": RunOutput, **_KNOWN},
}


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of an agent.

    Attributes:
        kind: when it is called.
        place: its place among those of its kind.
        name: what it is called.
        function: the guardrail, or what calls the function.
        in_background: whether it is called beside what follows the answer.
    """

    kind: Kind
    place: int
    name: str
    function: BaseGuardrail | Binder
    in_background: bool

    @classmethod
    def of(cls, kind: Kind, place: int, given: object) -> "Hook":
        """Return what a user has given as a hook.

        Raises:
            ConfigurationError: it is none, or asks for what there is not.
        """
        is_last = runs_in_background(given)
        if isinstance(given, BaseGuardrail):
            name = type(given).__name__
            return cls(kind, place, name, check_guardrail(given), is_last)
        if isinstance(given, type) or not callable(given):
            raise ConfigurationError(
                f"{kind}_hooks takes functions and guardrails, not {given!r:.80}."
            )
        name = getattr(given, "__name__", None) or type(given).__name__
        binder = Binder(given, _KNOWN_OF[kind], what=f"The {kind}-hook {name}")
        return cls(kind, place, name, binder, is_last)

    @property
    def is_portable(self) -> bool:
        """Whether it is the same in every process that has its agent, and holds no caller's."""
        if isinstance(self.function, BaseGuardrail):
            return "<locals>" not in type(self.function).__qualname__
        function = definition_of(self.function.function)
        return (
            inspect.isfunction(self.function.function)
            and getattr(function, "__closure__", None) is None
            and "." not in function.__qualname__
        )


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of an agent, in their order.

    Attributes:
        pre: those before the first model call.
        post: those after the answer.
    """

    pre: tuple[Hook, ...] = ()
    post: tuple[Hook, ...] = ()

    @classmethod
    def of(cls, pre: object, post: object) -> "Hooks | None":
        """Return what a user has given as ``pre_hooks`` and ``post_hooks``; None for no hook.

        Raises:
            ConfigurationError: it is no list of hooks.
        """
        made = cls(tuple(_listed("pre", pre)), tuple(_listed("post", post)))
        return made if made.pre or made.post else None

    @property
    def is_portable(self) -> bool:
        """Whether they are the same in every process that has their agent."""
        return all(each.is_portable for each in (*self.pre, *self.post))

    @property
    def in_background(self) -> list[Hook]:
        """Those that are called beside what follows the answer."""
        return [each for each in (*self.pre, *self.post) if each.in_background]

    def at_submit(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return what a run is given as its guardrails let it be stored."""
        for hook in self.pre:
            guardrail = hook.function
            if isinstance(guardrail, BaseGuardrail):
                messages = tuple(with_texts(messages, guardrail.at_submit))
        return messages


def _listed(kind: Kind, given: object) -> Iterator[Hook]:
    if given is None:
        return
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ConfigurationError(
            f"{kind}_hooks must be a list of functions and guardrails, not {given!r:.80}."
        )
    for place, each in enumerate(given):
        yield Hook.of(kind, place, each)


async def run_pre_hooks(attempt: Attempt) -> None:
    """Call the hooks that come before the first model call, in their order.

    Raises:
        CheckError: one refuses the input.
        ThreadLimitError: no thread became free for a synchronous one.
        StaleAttemptError: the run has a later attempt.
    """
    hooks = attempt.spec.hooks
    assert hooks is not None, "else there is none to call"
    for ended in attempt.state.hooks:
        await _replace_input(attempt, ended)  # The process may have been lost just before that.
    for hook in _due(attempt, hooks.pre):
        messages = StoredInput.from_json(attempt.input).messages
        media = await given_media(attempt) if attempt.blobs else ()
        run_input = run_input_of(messages, media)
        left: tuple[Message, ...] | None = None

        async def call(hook: Hook = hook, run_input: RunInput = run_input) -> None:
            nonlocal left
            await _call(attempt, hook, run_input, run_input)
            left = messages_left(messages, run_input.input_content)

        await _called(attempt, hook, call())
        content = None if left is None else ([each.to_dict() for each in left], "messages")
        await _end(attempt, hook, content)


async def run_post_hooks(attempt: Attempt) -> None:
    """Call the hooks that come after the answer, in their order; the answer is committed first.

    Raises:
        CheckError: one refuses the answer.
        ThreadLimitError: no thread became free for a synchronous one.
        StaleAttemptError: the run has a later attempt.
    """
    hooks = attempt.spec.hooks
    assert hooks is not None, "else there is none to call"
    form = None if attempt.answering is None else attempt.answering.form
    for hook in _due(attempt, hooks.post):
        await attempt.journal.commit()
        attempt.show()
        run_output = run_output_of(attempt.output, form)
        left: tuple[object, str] | None = None

        async def call(hook: Hook = hook, run_output: RunOutput[Any] = run_output) -> None:
            nonlocal left
            if isinstance(hook.function, BaseGuardrail):
                run_output.content = await hook.function.checked(
                    run_output.content
                    if isinstance(run_output.content, str)
                    else attempt.output.content,
                    OutputCheckError,
                )
            else:
                await _call(attempt, hook, run_output, None)
            left = content_left(attempt.output, run_output.content, form)

        try:
            await _called(attempt, hook, call())
        except CheckError as refused:
            # Where the run is retried, the model is told so and asked again.
            attempt.journal.keep(AnswerRefused(refused.message))
            raise
        await _end(attempt, hook, left)


def start_in_background(attempt: Attempt) -> None:
    """Begin the hooks that nobody waits for; the run has its answer."""
    hooks = attempt.spec.hooks
    assert hooks is not None, "else there is none to call"
    if not (due := hooks.in_background):
        return
    attempt.show()
    form = None if attempt.answering is None else attempt.answering.form
    for hook in due:
        outlive(_in_background(attempt, hook, run_output_of(attempt.output, form)), hook.name)


async def _in_background(attempt: Attempt, hook: Hook, run_output: RunOutput[Any]) -> None:
    messages = StoredInput.from_json(attempt.input).messages
    try:
        with _as_parent(attempt):
            media = await given_media(attempt) if attempt.blobs and hook.kind == "pre" else ()
            if hook.kind == "pre":
                await _call(attempt, hook, run_input := run_input_of(messages, media), run_input)
            elif isinstance(hook.function, BaseGuardrail):
                await hook.function.checked(run_output.content, OutputCheckError)
            else:
                await _call(attempt, hook, run_output, None)
    except asyncio.CancelledError as error:
        _warn(attempt, hook, error)
        raise
    except BaseException as error:
        _warn(attempt, hook, error)


def _due(attempt: Attempt, hooks: Sequence[Hook]) -> Iterator[Hook]:
    """Yield the hooks that have not ended, each once those before it have."""
    for hook in hooks:
        ended = {(each.kind, each.place, each.name) for each in attempt.state.hooks}
        if not hook.in_background and (hook.kind, hook.place, hook.name) not in ended:
            yield hook


async def _call(
    attempt: Attempt, hook: Hook, given: object, run_input: RunInput | None
) -> None:
    """Call a hook's function with what it asks for, or have a guardrail check the input."""
    if isinstance(hook.function, BaseGuardrail):
        assert run_input is not None, "an output is checked as one"
        await hook.function.async_check(run_input)
        return
    values = await _values(attempt, hook.function.names)
    values["run_input" if hook.kind == "pre" else "run_output"] = given
    await hook.function.call(values)


async def _called(attempt: Attempt, hook: Hook, work: Coroutine[Any, Any, None]) -> None:
    """Do what a hook does in a task of its own, which it may cancel; only checks pass on.

    Raises:
        CheckError: the hook has raised it.
        ThreadLimitError: no thread became free for it.
        asyncio.CancelledError: the run was stopped.
    """
    with _as_parent(attempt):
        task = asyncio.create_task(_outcome(work))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE)
        raise
    finally:
        if not task.done():
            see_out(task, f"run {attempt.output.run_id}: the hook {hook.name}")
    raised = task.result()
    if isinstance(raised, CheckError):
        raise raised
    if raised is not None:
        _warn(attempt, hook, raised)


async def _outcome(work: Coroutine[Any, Any, None]) -> BaseException | None:
    try:
        await work
    except ThreadLimitError:
        raise  # It was not called, and a check that was not made must not count as one.
    except BaseException as error:  # Also what would end the process of other runs.
        return error
    return None


@contextmanager
def _as_parent(attempt: Attempt) -> Iterator[None]:
    """Have the runs that begin within be children of the attempt's run."""
    output = attempt.output
    opened = nullcontext() if attempt.calls is None else attempt.calls.opened()
    run, user = current_run.set(output.run_id), current_user.set(output.user_id)
    try:
        with opened:
            yield
    finally:
        current_run.reset(run)
        current_user.reset(user)


async def _end(attempt: Attempt, hook: Hook, content: tuple[object, str] | None) -> None:
    """Commit that a hook has ended, with what it has put in the place of input or answer."""
    step = HookEnded(hook.kind, hook.place, hook.name, content)
    attempt.journal.keep(step)
    await attempt.journal.commit()
    if hook.kind == "pre":
        await _replace_input(attempt, step)


async def _replace_input(attempt: Attempt, step: HookEnded) -> None:
    """Have what a pre-hook has left be the run's input, here and in the database.

    Raises:
        StaleAttemptError: the run has a later attempt.
    """
    if step.kind != "pre" or step.content is None:
        return
    stored = StoredInput.from_json(attempt.input)
    messages = StoredInput.from_json(dump({"messages": step.content[0]})).messages
    replaced = replace(
        stored, messages=messages, options={**stored.options, REPLACED: True}
    ).to_json()
    store, run_id = attempt.store, attempt.output.run_id
    if replaced == attempt.input:
        return
    if store is not None and not await until_available(
        lambda: store.replace_input(run_id, attempt.number, replaced)
    ):
        raise StaleAttemptError(f"run {run_id}: attempt {attempt.number} is stale")
    attempt.replace_input(replaced)


async def _values(attempt: Attempt, names: frozenset[str]) -> dict[str, object]:
    """Return what a hook asks for, and make nothing else."""
    return {}


def _warn(attempt: Attempt, hook: Hook, error: BaseException) -> None:
    output = attempt.output
    logger.warning(
        "run %s (agent %s): the %s-hook %s failed, and the run goes on: %s",
        output.run_id,
        output.agent_id,
        hook.kind,
        hook.name,
        one_line(described(error), 2000),
        extra={"run_id": output.run_id, "agent_id": output.agent_id, "hook": hook.name},
    )
    logger.debug("run %s: the hook %s raised", output.run_id, hook.name, exc_info=error)
