"""Which tools of a server a model is offered, under which names, and with which rules."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kern.errors import ConfigurationError
from kern.keywords import nearest
from kern.run.tool import ToolSchema
from kern.tools.mcp.tool import Connect, MCPTool
from kern.tools.rules import Interrupt, ToolRules

if TYPE_CHECKING:
    from mcp.types import Tool

_OTHER = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class Choice:
    """Which tools there are, by the names that the server gives them.

    Attributes:
        include: only these; None for all.
        exclude: all but these.
        prefix: what the names begin with, before an underscore.
        renamed: other names, by the server's own.
        flags: rules, each with the tools that it holds for.
        on_interrupt: what becomes of an interrupted call that may have changed something.
        timeout: seconds in which a call has to end, or its server to tell of its progress.
    """

    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    prefix: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    on_interrupt: Interrupt = "retry"
    timeout: float | None = None

    def tools(self, listed: "Sequence[tuple[Tool, Connect]]", whose: str) -> dict[str, MCPTool]:
        """Return the tools that a model is offered, by their names.

        Args:
            listed: what servers have, each with what gives the session of a call.
            whose: whose they are, for errors.

        Raises:
            ConfigurationError: there is no tool of a name that was given, two have one name, or one
                has a name that no model can call.
        """
        known = [each.name for each, _ in listed]
        named = [name for names in self.flags.values() for name in names]
        for name in (*(self.include or ()), *self.exclude, *self.renamed, *named):
            if name not in known:
                raise ConfigurationError(
                    f"{whose} has no tool {name!r}. {nearest(name, sorted(known))}"
                )
        found: dict[str, MCPTool] = {}
        for about, connect in listed:
            if self._is_left_out(about.name):
                continue
            tool = self._tool(about, connect)
            if found.setdefault(tool.name, tool) is not tool:
                raise ConfigurationError(
                    f"{whose} has two tools of the name {tool.name!r}; rename_tools gives one of "
                    "them another."
                )
        return found

    def _is_left_out(self, name: str) -> bool:
        return (self.include is not None and name not in self.include) or name in self.exclude

    def _tool(self, about: "Tool", connect: Connect) -> MCPTool:
        name = self.renamed.get(about.name) or _OTHER.sub("_", about.name)[:64]
        if self.prefix:
            name = f"{self.prefix}_{name}"
        # Some models refuse an object without properties.
        schema = {"properties": {}, **about.input_schema}
        described = ToolSchema(name, about.description or "", schema)
        return MCPTool(described, about.name, connect, **self._rules(about))

    def _rules(self, about: "Tool") -> ToolRules:
        hints = about.annotations
        is_repeatable = hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)
        rules = ToolRules(
            on_interrupt="retry" if is_repeatable else self.on_interrupt, timeout=self.timeout
        )
        if title := about.title or (hints.title if hints is not None else None):
            rules["title"] = title
        if hints is not None:
            rules["annotations"] = hints.model_dump(by_alias=True, exclude_none=True)
        for flag in self._flags_of(about.name):
            rules[flag] = True  # type: ignore[literal-required] # They are names of rules.
        return rules

    def _flags_of(self, name: str) -> Iterator[str]:
        return (flag for flag, names in self.flags.items() if name in names)
