"""The rules of an agent for its tool calls, and which tools an attempt has."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from kern.binder import Binder
from kern.errors import ConfigurationError, KernError, ToolsetError, described
from kern.tools import Tool
from kern.tools.collect import Collected, collect
from kern.tools.toolkit import Toolkit

if TYPE_CHECKING:
    from kern.execution.attempt import Attempt


class Calling(msgspec.Struct, frozen=True):
    """What an agent has beside plain tools.

    Attributes:
        around: its hooks around each call, the first outermost.
        parallel: whether the calls of one answer are made side by side.
        factory: the function that gives the tools of a run.
        toolkits: those that have to be connected.
        provided: tools that the model's provider has, in its own form.
        instructions: what the model is told of tools in its system message.
        builtins: tools of kern's own, offered after the user's.
    """

    around: tuple[Binder, ...] = ()
    parallel: bool = True
    factory: Binder | None = None
    toolkits: tuple[Toolkit, ...] = ()
    provided: tuple[Mapping[str, object], ...] = ()
    instructions: tuple[str, ...] = ()
    builtins: tuple[Tool, ...] = ()
