"""What a run begins with: its dependencies, and what its model is told beside its messages.

Where that may come out differently the next time, the first attempt writes it down, and later ones
tell the model the same.
"""

import logging
from collections.abc import Mapping, Sequence

from kern.aio.retry import until_available
from kern.binder import Binder
from kern.errors import ConfigurationError, described
from kern.execution.attempt import Attempt, values_of
from kern.execution.blobs import without_media
from kern.execution.context import Told, addressed, recent, system_message, written
from kern.execution.telling import (
    ADD_HISTORY,
    RUN_OPTIONS,
    Telling,
    called_for_each_run,
    gathered,
    provider,
    shown_dependencies,
)
from kern.run.codec import decode_object
from kern.run.input import messages_of
from kern.run.message import Message
from kern.run.steps import ContextBuilt
from kern.tools import Tool

logger = logging.getLogger("kern")


async def prepare(attempt: Attempt) -> None:
    """Offer the tool that searches, and call the dependencies that are functions.

    The run's context then has what they returned. One that fails stays the function that it is,
    with a warning; the run goes on.

    Args:
        attempt: the attempt, whose input is read; no other function of a user was called yet.

    Raises:
        ConfigurationError: two tools have one name.
    """
    telling = attempt.spec.telling
    if telling is not None and telling.retriever is not None and telling.retriever.has_tool:
        from kern.execution.knowledge import Search

        _add_tool(attempt, Search(attempt, telling.retriever).as_tool)
    own = attempt.options.get("dependencies")
    given = attempt.spec.dependencies
    if isinstance(own, Mapping):
        given = {**given, **own}
        attempt.run_context.dependencies = given
    if not any(map(called_for_each_run, given.values())):
        return
    known = {} if telling is None else telling.providers
    resolved = dict(given)
    attempt.run_context.dependencies = resolved
    for name, value in given.items():
        binder = known.get(name)
        if binder is None or binder.function is not value:
            binder = provider(name, value)
        if binder is not None:
            try:
                resolved[name] = await binder.call(await _values(attempt, binder))
            except Exception as error:
                run_id = attempt.output.run_id
                logger.warning("run %s: no dependency %r: %s", run_id, name, described(error))


async def tell(attempt: Attempt) -> None:
    """Set what the model is told before the run's own messages, and with them.

    Args:
        attempt: the attempt, whose journal and input are read.

    Raises:
        ConfigurationError: a function returned what cannot be told.
        ValueError: the stored history is damaged.
        Exception: what a function raised.
    """
    spec, options = attempt.spec, attempt.options
    telling = spec.telling
    if telling is None and not (options and options.keys() & RUN_OPTIONS):
        history = await _history(attempt, spec.history_runs)
        system = spec.system_message
        attempt.context = [Message("system", system), *history] if system else history
        return
    telling = (telling or Telling.of_text(spec.system_message)).with_options(options)
    history = recent(
        await _history(attempt, _history_runs(attempt, telling)),
        most=telling.history_messages,
        tool_calls=telling.history_calls,
    )
    built = attempt.state.told
    if built is None:
        built = await _built(attempt, telling)
        if telling.varies:
            attempt.journal.keep(built)
    first = () if built.system is None else (built.system,)
    attempt.context = [*first, *telling.parts.additional_input, *history]
    found = None if built.references is None else built.references.references
    told = Told(attempt.messages, dependencies=built.dependencies, references=found)
    attempt.addressed = addressed(telling.parts, told)
    if telling.stores_history:
        attempt.stored_history = [without_media(each) for each in history]


async def _built(attempt: Attempt, telling: Telling) -> ContextBuilt:
    """Return what the model is told of this run beside its messages."""
    parts, has_form = telling.parts, attempt.answering is not None
    if not telling.varies:
        return ContextBuilt(system_message(parts, Told(has_form=has_form)))
    context = attempt.run_context
    values = {
        name: value
        for binder in telling.functions.values()
        for name, value in (await _values(attempt, binder)).items()
    }
    told = await gathered(telling, values, context, has_form=has_form)
    dependencies = {} if not parts.tells_dependencies else shown_dependencies(context.dependencies)
    query, references = _query(attempt.messages), None
    retriever = telling.retriever
    if retriever is not None and retriever.adds_found and parts.builds_user and query:
        from kern.execution.knowledge import search

        try:
            references = await search(attempt, retriever, query)
        except Exception as error:
            run_id = attempt.output.run_id
            logger.warning("run %s: nothing is looked up: %s", run_id, described(error))
    return ContextBuilt(
        system_message(parts, told),
        written(dependencies) if dependencies else None,
        references,
    )


def _query(messages: Sequence[Message]) -> str:
    """Return what the user said last."""
    return next((each.text for each in reversed(messages) if each.role == "user"), "")


async def _values(attempt: Attempt, binder: Binder) -> dict[str, object]:
    values = await values_of(attempt, binder.names)
    if "run_input" in binder.names:
        values["run_input"] = attempt.messages
    if "session" in binder.names:
        values["session"] = None
    return values


def _history_runs(attempt: Attempt, telling: Telling) -> int:
    asked = attempt.options.get(ADD_HISTORY)
    if asked is None:
        return attempt.spec.history_runs
    return (attempt.spec.history_runs or telling.history_runs) if asked else 0


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
    if attempt.state.turns:
        # What the model was told in the first attempt, not what the session says by now.
        found = await until_available(lambda: store.outputs(attempt.history))
    else:
        agent_id = attempt.spec.id if attempt.spec.history_agents == "own" else None
        found = await until_available(
            lambda: store.history(
                output.session_id,
                output.run_id,
                limit,
                agent_id=agent_id,
                user_id=output.user_id,
            )
        )
        attempt.history = tuple(run_id for run_id, _ in found)
    for earlier, text in found:
        attempt.add(messages, messages_of(decode_object(text)), earlier)
    return messages


def _add_tool(attempt: Attempt, tool: Tool) -> None:
    """Offer a built-in tool, after the user's own.

    Raises:
        ConfigurationError: one of those has its name.
    """
    if tool.name in attempt.tools:
        raise ConfigurationError(
            f"A tool of the agent {attempt.spec.id!r} has the name {tool.name!r}, as the one that "
            "its knowledge_retriever gives it. Name it otherwise, or say search_knowledge=False."
        )
    attempt.tools = {**attempt.tools, tool.name: tool}
