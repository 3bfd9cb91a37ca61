"""Which tools an attempt has: those that are always the same, and those that are known only now."""

import logging
from collections.abc import Iterable

from kern.errors import ConfigurationError, ToolsetError, described
from kern.execution.attempt import Attempt, values_of
from kern.execution.calling import made_by
from kern.tools import Tool, Toolset
from kern.tools.toolkit import Toolkit

logger = logging.getLogger("kern")


async def list_tools(attempt: Attempt) -> None:
    """Find out what the model can have called.

    Args:
        attempt: the attempt, whose journal and input are read.

    Raises:
        ConfigurationError: two tools have one name.
        ToolsetError: the agent's function of tools failed, or a toolset or toolkit.
    """
    spec, calling = attempt.spec, attempt.spec.calling
    attempt.tools = spec.tools
    if calling is not None:
        attempt.provided, attempt.tool_instructions = calling.provided, calling.instructions
        await _connect(attempt, calling.toolkits)
        if calling.factory is not None:
            made = await made_by(calling.factory, await values_of(attempt, calling.factory.names))
            attempt.tools = made.tools
            attempt.provided, attempt.tool_instructions = made.provided, made.instructions
            await _connect(attempt, made.toolkits)
            await _ask(attempt, made.toolsets)
            attempt.tools = {**attempt.tools, **spec.tools, **attempt.tools}  # Kern's own are last.
    await _ask(attempt, spec.toolsets)
    attempt.know_tools()


async def _ask(attempt: Attempt, toolsets: Iterable[Toolset]) -> None:
    """Add the tools of toolsets."""
    for toolset in toolsets:
        known: dict[str, Tool] = dict(attempt.tools)
        for tool in await toolset.listed(attempt.info):
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


async def disconnect(attempt: Attempt) -> None:
    """Release the toolkits that were connected for an attempt.

    Args:
        attempt: the attempt, which has come to its end.
    """
    while attempt.connected:
        toolkit, run_id = attempt.connected.pop(), attempt.output.run_id
        try:
            await toolkit.release()
        except Exception as error:
            told = described(error)
            logger.warning("run %s: closing the toolkit %s: %s", run_id, toolkit.name, told)
