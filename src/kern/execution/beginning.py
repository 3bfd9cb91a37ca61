"""What a run begins with: its dependencies, and what its model is told beside its messages.

Where that may come out differently the next time, the first attempt writes it down, and later ones
tell the model the same.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

from kern.aio.retry import until_available
from kern.binder import Binder
from kern.errors import described
from kern.execution.attempt import Attempt
from kern.execution.blobs import without_media
from kern.execution.compacted import kept_in, mark
from kern.execution.context import Told, addressed, before_input, recent, system_message
from kern.execution.context_rules import (
    ADD_HISTORY,
    RUN_OPTIONS,
    ContextRules,
    asked,
    called_for_each_run,
    has_names_in,
    resolve,
    shown_dependencies,
    told_of,
)
from kern.execution.retriever import SEARCH_FIRST
from kern.execution.sessions import summary_of
from kern.execution.values import as_parent, given_media, run_values
from kern.execution.written import has_names, written
from kern.run.codec import decode_object
from kern.run.given import run_input_of
from kern.run.input import messages_of
from kern.run.message import Message
from kern.run.printable import in_log
from kern.run.results import check_results, in_pairs, open_calls, without_result
from kern.run.steps import ContextBuilt

logger = logging.getLogger("kern")


async def resolve_dependencies(attempt: Attempt) -> None:
    """Call the dependencies that are functions, before any other function of a user is called.

    The run's context then has what they returned. One that fails stays the function that it is,
    with a warning; the run goes on.

    Args:
        attempt: the attempt, whose input is read.
    """
    own = attempt.options.get("dependencies")
    given = attempt.spec.dependencies
    if isinstance(own, Mapping):
        given = {**given, **own}
        attempt.run_context.dependencies = given
    if any(map(called_for_each_run, given.values())):
        rules = attempt.spec.context_rules
        known = {} if rules is None else rules.providers
        attempt.run_context.dependencies = resolved = dict(given)
        with as_parent(attempt):
            whose = f"run {attempt.output.run_id}"
            await resolve(resolved, known, partial(_values, attempt), whose)


async def tell(attempt: Attempt) -> None:
    """Set what the model is told before the run's own messages, and with them.

    Args:
        attempt: the attempt, whose journal and input are read.

    Raises:
        ConfigurationError: a function returned what cannot be told.
        InvalidInputError: the run is given results of calls, but not of those that are open.
        ValueError: the stored history is damaged.
        Exception: what a function raised.
    """
    spec, options = attempt.spec, attempt.options
    rules = spec.context_rules
    own = options and options.keys() & RUN_OPTIONS
    if rules is None and not own and not attempt.tool_instructions:
        history = _answered(attempt, await _history(attempt, spec.history_runs))
        system = spec.system_message
        attempt.context = [Message("system", system), *history] if system else history
        return
    rules = (rules or ContextRules.of_text(spec.system_message)).with_options(options)
    earlier = await _history(attempt, _history_runs(attempt, rules))
    end = _open_from(earlier) if attempt.messages[0].role == "tool" else len(earlier)
    shown = recent(earlier[:end], most=rules.history_messages, tool_calls=rules.history_calls)
    history = _answered(attempt, shown + earlier[end:])
    built = attempt.state.told
    if built is None:
        calls = spec.call_rules
        constant = {SEARCH_FIRST, *(() if calls is None else calls.instructions)}
        varies = (
            rules.varies
            or any(map(has_names, attempt.tool_instructions))
            or not constant.issuperset(attempt.tool_instructions)
        )
        built = await _built(attempt, rules) if varies else _constant(attempt, rules)
        if varies:
            attempt.journal.keep(built)
    attempt.context = before_input(rules.parts, built.system, history)
    found = None if built.references is None else built.references.references
    told = Told(attempt.messages, dependencies=built.dependencies, references=found)
    attempt.addressed = addressed(rules.parts, told)
    if rules.stores_history:
        attempt.stored_history = [without_media(each) for each in history]


def _constant(attempt: Attempt, rules: ContextRules) -> ContextBuilt:
    """Return what the model is told beside the messages of a run, where that is always the same."""
    has_form, tools = _has_form(attempt), attempt.tool_instructions
    if not tools:
        return ContextBuilt(rules.constant[has_form])
    told = Told(has_form=has_form, tool_instructions=tools)
    return ContextBuilt(system_message(rules.parts, told))


def _has_form(attempt: Attempt) -> bool:
    return attempt.answering is not None and attempt.answering.form is not None


async def _built(attempt: Attempt, rules: ContextRules) -> ContextBuilt:
    """Return what the model is told of this run beside its messages."""
    parts = rules.parts
    values: dict[str, object] = {}
    for function in rules.functions.values():
        values.update(await _values(attempt, function))
    with as_parent(attempt):
        returned = await asked(rules.functions, values)
    if parts.tells_state or has_names_in(parts, returned, attempt.tool_instructions):
        await attempt.load_state()
    context = attempt.run_context
    told = told_of(
        context,
        returned,
        has_form=_has_form(attempt),
        summary=await summary_of(attempt) if parts.tells_summary else None,
        memories=await _memories(attempt) if parts.tells_memories else (),
        tool_instructions=attempt.tool_instructions,
    )
    dependencies = {} if not parts.tells_dependencies else shown_dependencies(context.dependencies)
    query, references = _query(attempt.messages), None
    retriever = rules.retriever
    if retriever is not None and retriever.adds_found and parts.builds_user and query:
        from kern.execution.knowledge import search

        try:
            with as_parent(attempt):
                references = await search(attempt, retriever, query)
        except Exception as error:
            run_id = attempt.output.run_id
            why = in_log(described(error))
            logger.warning("run %s: nothing is looked up: %s", run_id, why)
    return ContextBuilt(
        system_message(parts, told),
        written(dependencies) if dependencies else None,
        references,
    )


async def _memories(attempt: Attempt) -> tuple[str, ...]:
    """Return what is remembered of the user; who has nobody remembered imports nothing for it."""
    from kern.execution.remembering import memories_of

    return await memories_of(attempt)


def _query(messages: Sequence[Message]) -> str:
    """Return what the user said last."""
    return next((each.text for each in reversed(messages) if each.role == "user"), "")


async def _values(attempt: Attempt, binder: Binder) -> dict[str, object]:
    values = await run_values(attempt, binder.names)
    if "run_input" in binder.names:
        values["run_input"] = run_input_of(attempt.asked, await given_media(attempt))
    return values


def _history_runs(attempt: Attempt, rules: ContextRules) -> int:
    """Return how many earlier runs are looked at; each has one message at least."""
    asked, usual = attempt.options.get(ADD_HISTORY), attempt.spec.history_runs
    if not (usual if asked is None else asked):
        return 0
    most = rules.history_messages
    return (usual or rules.history_runs) if most is None else most


async def _history(attempt: Attempt, limit: int) -> list[Message]:
    """Return the messages of the earlier runs that are shown; the attempt knows then whose.

    Args:
        attempt: the attempt.
        limit: how many runs at most.

    Raises:
        ValueError: they are damaged.
    """
    attempt.history = attempt.state.history
    store, output, messages = attempt.store, attempt.output, list[Message]()
    if store is None or not (limit or attempt.history):
        return messages
    if attempt.state.turns or attempt.history:
        # What the model was told in the first attempt, not what the session says by now.
        found = await until_available(lambda: store.outputs(attempt.history))
    else:
        agent_id = attempt.spec.id if attempt.spec.history_agents == "own" else None
        begun = attempt.begun  # What was accepted since the other run is not told.
        ids = (output.session_id, output.run_id)
        session_id, before = ids if begun is None else (begun["session_id"], begun["before"])
        found = await until_available(
            lambda: store.history(
                session_id,
                before,
                limit,
                agent_id=agent_id,
                user_id=output.user_id,
            )
        )
        attempt.history = tuple(run_id for run_id, _ in found)
    has_results = False
    rules = attempt.spec.compression
    compacts = rules is not None and rules.conversation is not None
    for earlier, text in found:
        values = decode_object(text)
        own = [each for each in messages_of(values) if not each.from_history]
        if compacts:
            mark(own, earlier)
            attempt.summarized = kept_in(values, earlier, output.user_id) or attempt.summarized
        attempt.add(messages, own, earlier)
        has_results |= bool(own) and (own[0].role == "tool" or _ends_with_calls(own))
    if has_results:
        messages = in_pairs(messages)
    for each in messages:
        each.from_history = True
    return messages


def _ends_with_calls(messages: Sequence[Message]) -> bool:
    """Say whether calls in the last answer of a run may have been left to its client."""
    return messages[-1].role == "tool" or bool(messages[-1].tool_calls)


def _open_from(history: Sequence[Message]) -> int:
    """Return the place of the answer whose calls the run is given the results of."""
    return max((at for at, each in enumerate(history) if each.role != "tool"), default=0)


def _answered(attempt: Attempt, history: list[Message]) -> list[Message]:
    """Return a history whose last calls have results: in the run's input, or else here.

    Raises:
        InvalidInputError: the input begins with results, but not with those of these calls.
    """
    if attempt.messages[0].role == "tool":
        if not attempt.state.turns:  # Else it was looked at before the first model call.
            check_results(open_calls(history), attempt.messages)
    elif history and _ends_with_calls(history):
        missing = [*map(without_result, open_calls(history))]
        for each in missing:
            each.from_history = True
        return history + missing
    return history
