"""Tool calls that are runs of another agent: what such a run shares with its parent.

It is a child: a row of its own with its own journal, whose id follows from the call, so that a
call that is made again meets the run that it has begun before. It is in its parent's session, but
the session's state is its parent's to write: it begins with a copy, and what it has changed is a
part of the call's result.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial

from msgspec.structs import replace as with_values

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.errors import ConfigurationError, NestingError
from kern.execution.attempt import Attempt
from kern.execution.blobs import whole
from kern.execution.child import DEPTH, SHARES_STATE, Child, Children
from kern.execution.limits import remaining
from kern.execution.spec import Definition
from kern.execution.steps import CallSteps
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.identity import derived_id
from kern.run.input import RunInput
from kern.run.message import Message
from kern.run.numbers import check_count
from kern.run.record import PARENT, NewRun
from kern.run.requirement import CallPaused, RunRequirement, place_of
from kern.run.state import merged, texts_of, values_of, without_current
from kern.run.steps import OPTIONS_VERSION, Continued
from kern.run.tool_steps import ChildBegun, ChildEnded
from kern.run.usage import UsageLimits
from kern.tools import Tool

# Where a child that is kept nowhere goes on from, in what its parent waits for.
_KEPT, _STATE = "child", "state"

# The time limit of a child whose parent's time is all but over, in seconds.
_LEAST_TIME = 0.001

# The answer to a requirement whose child went on without it: it was answered there.
_GONE_ON: Mapping[str, object] = {"has_gone_on": True}


class ChildCall:
    """A tool call that is a run of another agent, in one attempt.

    Attributes:
        attempt: the attempt at the parent.
    """

    def __init__(self, context: RunContext) -> None:
        """Be the call whose context this is.

        Raises:
            KernError: it is no context of a tool call.
        """
        steps = context._own_steps()
        assert isinstance(steps, CallSteps)
        self.attempt, self._place, self._steps = steps.attempt, steps.place, steps
        self._context = context

    async def carry(
        self,
        definition: Definition,
        arguments: str,
        make: Callable[[], Awaitable[NewRun]],
        children: Children,
    ) -> RunOutput:
        """Have the child begin, or go on, and return it once it has ended.

        Args:
            definition: the agent that runs.
            arguments: what the model wrote.
            make: makes the run; its ids are chosen here.
            children: carries it out.

        Raises:
            CallPaused: it waits for a person.
            NestingError: too many runs are within each other.
            UsageLimitError: the parent has used as much as it may.
            DatabaseError: it could not be accepted, or its end not stored.
        """
        attempt, context = self.attempt, self._context
        child_depth(attempt)  # No child is told of that may not be.
        key = context.idempotency_key
        run_id = derived_id(attempt.output.run_id, key, definition.id, arguments)
        given = without_current(context.session_state or {})
        answers = [each for each in context.answers if each.state != _GONE_ON]
        may_exist = attempt.number > 1 or self._place in attempt.state.children_of_last
        self._steps.cancel_child = partial(children.cancel, run_id)
        attempt.journal.tell(ChildBegun(self._place, run_id))
        child = await children.carry(
            Child(
                definition,
                self._within(self._run(await make(), run_id, given, await remaining(attempt))),
                attempt.foreground,
                may_exist,
                answers,
                _answered_by(attempt) if answers else None,
                attempt.journal.emit,
            )
        )
        if child.status is RunStatus.paused:
            raise CallPaused(self._asked(child))
        if not child.is_terminal:
            raise AssertionError(f"run {run_id} is {child.status} and was waited for")
        self._steps.cancel_child = None
        used = copy(child.metrics)
        used.by_model = child.metrics.details
        attempt.journal.keep(ChildEnded(self._place, used))
        self._take_state(child, given)
        return child

    async def start(
        self,
        definition: Definition,
        arguments: str,
        make: Callable[[], Awaitable[NewRun]],
        children: Children,
    ) -> RunOutput:
        """Have the child begin in the background, once, and return it as it stands.

        That it begins is committed before, so that this run is told of its end, whatever becomes
        of the call. The state of its session is its own to write, as that of any other run there.

        Args:
            definition: the agent that runs.
            arguments: what the model wrote.
            make: makes the run; its ids are chosen here.
            children: carries it out.

        Raises:
            UsageLimitError: the parent has used as much as it may.
            QueueFullError: too many runs of the agent wait.
            DatabaseError: it could not be accepted.
        """
        attempt = self.attempt
        key, parent_id = self._context.idempotency_key, attempt.output.run_id
        run_id = derived_id(parent_id, key, definition.id, arguments)
        may_exist = attempt.state.children_of_last.get(self._place) == run_id
        run = self._run(await make(), run_id, {}, await remaining(attempt))
        said = RunInput.from_json(run.input)
        own = ("session_state", SHARES_STATE)
        options = {name: each for name, each in said.options.items() if name not in own}
        run = with_values(run, input=replace(said, options=options).to_json(), webhook=PARENT)
        if not may_exist:
            attempt.journal.keep(ChildBegun(self._place, run_id, background=True))
            await self._steps.commit()
        child = Child(definition, run, False, may_exist, (), None, None)
        return await children.start(child, attempt.spec.agent)

    async def conversation(self) -> list[Message]:
        """Return what was said until now, but for the system message and the calls under way."""
        messages = [each for each in self._context.messages if each.role != "system"]
        while messages and messages.pop().role != "assistant":  # The answer with this call.
            pass
        return await self._whole(messages)

    async def given(self) -> list[Message]:
        """Return what the run was given."""
        return await self._whole(self.attempt.asked)

    async def _whole(self, messages: Sequence[Message]) -> list[Message]:
        attempt = self.attempt
        return list(await whole(attempt.store, messages, attempt.blobs, attempt.loaded))

    def follows(self, kind: type[Tool]) -> bool:
        """Say whether the model's answer asks for a call of such a tool before this one."""
        attempt = self.attempt
        before = attempt.state.turns[-1].message.tool_calls[: self._place]
        return any(isinstance(attempt.tools.get(each.name), kind) for each in before)

    def _run(
        self, run: NewRun, run_id: str, state: Mapping[str, object], left: UsageLimits | None
    ) -> NewRun:
        """Return the run as the child of this one."""
        output, said = self.attempt.output, RunInput.from_json(run.input)
        options = {
            **said.options,
            "session_state": state,
            SHARES_STATE: True,
            DEPTH: child_depth(self.attempt),
        }
        return with_values(
            run,
            run_id=run_id,
            session_id=output.session_id,
            user_id=output.user_id,
            parent_run_id=output.run_id,
            input=replace(said, options=options).to_json(),
            usage_limits=None if left is None else left.to_json(),
            journal_version=max(run.journal_version, OPTIONS_VERSION),
            is_new_session=False,
            ordered=False,
            chosen=(),
        )

    def _within(self, run: NewRun) -> NewRun:
        """Return a child that is waited for, with no more time than this run has left."""
        ends_at = self.attempt.ends_at
        if ends_at is None:
            return run
        left = max(ends_at - asyncio.get_running_loop().time(), _LEAST_TIME)
        return with_values(run, timeout=left if run.timeout is None else min(left, run.timeout))

    def _asked(self, child: RunOutput) -> list[RunRequirement]:
        """Return what the child waits for, as what this run waits for."""
        kept = None if child.kept is None else child.to_dict()
        return [
            replace(
                each,
                call=self._context.idempotency_key,
                passes=True,
                on_expiry="reject",  # It is the child that fails then.
                state=each.state if kept is None else {_KEPT: kept, _STATE: each.state},
                member_agent_id=each.member_agent_id or child.agent_id,
                member_agent_name=each.member_agent_name or child.agent_name,
                member_run_id=each.member_run_id or child.run_id,
            )
            for each in child.active_requirements
        ]

    def _take_state(self, child: RunOutput, given: Mapping[str, object]) -> None:
        """Have the call change in the session's state what the child has changed."""
        if child.session_state is None:
            return
        context = self._context
        state = context.session_state or {}
        before = texts_of(child_state(child, given))
        after = merged(texts_of(without_current(state)), [(before, texts_of(child.session_state))])
        current = {key: value for key, value in state.items() if key not in without_current(state)}
        context.session_state = {**values_of(after), **current}


def child_depth(attempt: Attempt) -> int:
    """Return how many runs a child of an attempt's run is within.

    Raises:
        NestingError: they are too many.
        ConfigurationError: the environment says no number.
    """
    before = attempt.options.get(DEPTH)
    depth = (before if isinstance(before, int) else 0) + 1
    if depth > (deepest := max_nesting()):
        raise NestingError(
            f"No run is begun: there are {deepest} runs around it already, each within the one "
            "before. Answer without it. Agents that call each other in a circle are not meant to "
            "go on for so long; where that is right, set KERN_MAX_NESTING higher."
        )
    return depth


def max_nesting() -> int:
    """Return how many runs there may be around one (``KERN_MAX_NESTING``, by default 16).

    Raises:
        ConfigurationError: the environment says no number.
    """
    given = os.environ.get("KERN_MAX_NESTING") or "16"
    try:
        return check_count("KERN_MAX_NESTING", int(given), ConfigurationError)
    except ValueError:
        raise ConfigurationError(
            f"KERN_MAX_NESTING must be a whole number above 0, not {given!r:.50}."
        ) from None


def child_state(child: RunOutput, otherwise: Mapping[str, object]) -> Mapping[str, object]:
    """Return the state with which a child began, where its input is known."""
    if child.input_json is None:
        return otherwise
    begun = RunInput.from_json(child.input_json).options.get("session_state")
    return begun if isinstance(begun, Mapping) else otherwise


def kept_child(answers: Sequence[RunRequirement]) -> RunOutput | None:
    """Return the paused child that is kept in nothing but what its parent waits for."""
    for each in reversed(answers):
        if each.state is not None and isinstance(kept := each.state.get(_KEPT), dict):
            return RunOutput.from_dict(kept)
    return None


def _answered_by(attempt: Attempt) -> str | None:
    """Return who was the last to answer what a run has waited for, where that is known."""
    steps = (each.step for each in reversed(attempt.journal.entries))
    return next((step.by for step in steps if isinstance(step, Continued)), None)


def own_answers(
    child: RunOutput, answers: Sequence[RunRequirement], now: float
) -> list[RunRequirement] | None:
    """Return what was answered to a parent, as answers to its child.

    Args:
        child: the child, PAUSED.
        answers: the answers, of earlier pauses too.
        now: what time it is by the clock of the database, in seconds since 1970.

    Returns:
        The answers, but for those about what has expired, which the child decides about: none of
        them where it ends with that. None if nothing that it waits for was answered.
    """
    given = {(each.id, each.created_at): each for each in answers}
    pairs = [(own, given.get((own.id, own.created_at))) for own in child.requirements]
    if all(answer is None for _, answer in pairs):
        return None
    expired = [own for own, _ in pairs if own.expires_at is not None and own.expires_at <= now]
    if any(own.on_expiry == "fail" for own in expired):
        return []
    return [
        replace(
            answer,
            call=own.call,
            passes=own.passes,
            state=own.state,
            member_agent_id=own.member_agent_id,
            member_agent_name=own.member_agent_name,
            member_run_id=own.member_run_id,
        )
        for own, answer in pairs
        if answer is not None and own not in expired
    ]


async def answers_of_children(attempt: Attempt) -> list[RunRequirement]:
    """Return the requirements of a paused run whose child does not wait for them any more.

    Their calls are made again, and wait for the child.

    Args:
        attempt: the attempt, whose steps end with the pause.
    """
    state, store = attempt.state, attempt.store
    children = state.children_of_last
    if store is None or not children:
        return []
    found: list[RunRequirement] = []
    for place, run_id in children.items():
        waiting = [each for each in state.requirements if place_of(each) == place and each.passes]
        if not waiting:
            continue
        record = await until_available(partial(store.get, run_id))
        asked: set[tuple[str, float]] = set()
        if record is not None and record.status is RunStatus.paused:
            own = RunOutput.from_record(record).requirements
            asked = {(each.id, each.created_at) for each in own}
        found += [
            replace(each, confirmation=False, state=dict(_GONE_ON))
            for each in waiting
            if (each.id, each.created_at) not in asked
        ]
    return found


async def wake_paused(store: Store, run_id: str) -> None:
    """Have a run go on if it is paused, and does not belong to a caller; it sees then by what.

    Args:
        store: where it is.
        run_id: the run.
    """
    record = await until_available(partial(store.get, run_id))
    if record is not None and record.status is RunStatus.paused and not record.foreground:
        paused, attempt = RunStatus.paused, record.attempt
        await until_available(partial(store.resume, record.run_id, paused, attempt, ()))
