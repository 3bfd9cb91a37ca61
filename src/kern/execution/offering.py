"""What the model can have called in an attempt: found out as it begins."""

import logging
from collections.abc import Iterable

from kern.errors import ConfigurationError, ToolsetError, described
from kern.execution.attempt import Attempt
from kern.execution.call_rules import made_by
from kern.execution.values import as_parent, run_values
from kern.run.printable import in_log
from kern.tools import Tool, Toolset
from kern.tools.collect import Collected
from kern.tools.toolkit import Toolkit

logger = logging.getLogger("kern")


async def list_tools(attempt: Attempt) -> None:
    """Find out what the model can have called beside its agent's own tools.

    Args:
        attempt: the attempt, whose input and journal are read.

    Raises:
        ConfigurationError: two tools have one name.
        ToolsetError: the agent's function of tools failed, or a toolset or toolkit.
        InvalidInputError: a tool of the run's client has the name of one of the agent's.
    """
    spec, rules = attempt.spec, attempt.spec.call_rules
    if rules is not None:
        attempt.provided, attempt.tool_instructions = rules.provided, rules.instructions
        await _connect(attempt, rules.toolkits)
        if rules.factory is not None:
            values = await run_values(attempt, rules.factory.names)
            attempt.tools = {}
            with as_parent(attempt):
                made = await made_by(rules.factory, values)
            await _add_tools(attempt, made)
            own = {name: each for name, each in spec.tools.items() if name not in attempt.tools}
            attempt.tools = {**attempt.tools, **own}  # Those of kern's own are the last.
    for toolset in spec.toolsets:
        await _add_listed(attempt, toolset)
    told = spec.context_rules
    if told is not None and told.retriever is not None:
        from kern.execution.knowledge import offer

        await offer(attempt, told.retriever)
    if spec.remembering is not None and spec.remembering.has_tool:
        from kern.execution.remembering import offer as offer_memory

        offer_memory(attempt, spec.remembering)
    if rules is not None and rules.client:
        from kern.run.overrides import check_names

        check_names(rules.client, attempt.tools)
        attempt.tools = {**attempt.tools, **rules.client}
    attempt.show_tools()


async def disconnect(attempt: Attempt) -> None:
    """Release the toolkits that were connected for an attempt."""
    while attempt.connected:
        toolkit = attempt.connected.pop()
        try:
            await toolkit.release()
        except Exception as error:
            run_id, told = attempt.output.run_id, in_log(described(error))
            logger.warning("run %s: closing the toolkit %s: %s", run_id, toolkit.name, told)


async def _add_tools(attempt: Attempt, made: Collected) -> None:
    _add_named(attempt, made.tools.values())
    attempt.provided += made.provided
    attempt.tool_instructions += made.instructions
    await _connect(attempt, made.toolkits)
    for toolset in made.toolsets:
        await _add_listed(attempt, toolset)


async def _add_listed(attempt: Attempt, toolset: Toolset) -> None:
    values = await run_values(attempt, toolset.asks_for) if toolset.asks_for else {}
    tools = await toolset.listed(attempt.info, values)
    _add_named(attempt, tools)
    attempt.tool_instructions += tuple(
        each.instructions for each in tools if each.instructions and each.add_instructions
    )


def _add_named(attempt: Attempt, tools: Iterable[Tool]) -> None:
    known = dict(attempt.tools)
    for tool in tools:
        if known.setdefault(tool.name, tool) is not tool:
            raise ConfigurationError(
                f"Two tools of the agent {attempt.spec.id!r} have the name {tool.name!r}; "
                "give one of them another."
            )
    attempt.tools = known


async def _connect(attempt: Attempt, toolkits: Iterable[Toolkit]) -> None:
    for each in toolkits:
        try:
            await each.acquire()
        except Exception as error:
            raise ToolsetError(
                f"The toolkit {each.name} did not connect: {described(error)}"
            ) from error
        attempt.connected.append(each)
