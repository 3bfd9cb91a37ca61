"""The rules of an agent for its tool calls, and which tools an attempt has."""

from collections.abc import Mapping

import msgspec

from kern.binder import Binder, is_portable, name_of
from kern.errors import ToolsetError, described
from kern.tools import Tool
from kern.tools.collect import Collected, collect
from kern.tools.toolkit import Toolkit


class CallRules(msgspec.Struct, frozen=True):
    """What an agent has beside plain tools.

    Attributes:
        around: its hooks around each call, the first outermost.
        parallel: whether the calls of one answer are made side by side.
        factory: the function that gives the tools of a run.
        toolkits: those that have to be connected.
        provided: tools that the model's provider has, in its own form.
        instructions: what the model is told of tools in its system message.
        client: tools that the client of a run calls, by name.
    """

    around: tuple[Binder, ...] = ()
    parallel: bool = True
    factory: Binder | None = None
    toolkits: tuple[Toolkit, ...] = ()
    provided: tuple[Mapping[str, object], ...] = ()
    instructions: tuple[str, ...] = ()
    client: Mapping[str, Tool] = {}

    @property
    def is_portable(self) -> bool:
        """Whether it is the same in every process that has its agent."""
        factory = () if self.factory is None else (self.factory,)
        functions = [each.function for each in (*self.around, *factory)]
        return not self.toolkits and all(map(is_portable, functions))

    @property
    def is_late(self) -> bool:
        """Whether something has to be done before the tools of a run are known."""
        return self.factory is not None or bool(self.toolkits)


async def made_by(factory: Binder, values: Mapping[str, object]) -> Collected:
    """Return the tools that a function gives to a run.

    Args:
        factory: the function.
        values: what it asks for.

    Raises:
        ToolsetError: it raises, or what it gives cannot be used.
    """
    name = name_of(factory.function)
    try:
        return collect(await factory.call(values) or (), f"What {name} returns")
    except Exception as error:
        raise ToolsetError(f"The function of tools {name} failed: {described(error)}") from error
