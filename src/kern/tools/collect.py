"""What an agent is given as tools, sorted by what becomes of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias, cast

from kern.errors import ConfigurationError
from kern.keywords import shown
from kern.run.numbers import check_seconds
from kern.tools.base import Tool
from kern.tools.function import FunctionTool
from kern.tools.rules import UserFunction
from kern.tools.toolkit import Toolkit
from kern.tools.toolset import Toolset

AnyTool: TypeAlias = Tool | Toolset | Toolkit | Callable[..., object] | Mapping[str, object]
"""A tool as users give it: a function, say, or as a dict one that the model's provider has."""


class Collected(NamedTuple):
    """Tools, sorted.

    Attributes:
        tools: what a model can have called, by name.
        toolsets: tools that are known only once a run executes.
        toolkits: those of the toolkits that have to be connected.
        provided: tools that the model's provider has, in its own form.
        instructions: what the model is told of tools in its system message.
    """

    tools: dict[str, Tool]
    toolsets: tuple[Toolset, ...] = ()
    toolkits: tuple[Toolkit, ...] = ()
    provided: tuple[Mapping[str, object], ...] = ()
    instructions: tuple[str, ...] = ()


def collect(given: Iterable[AnyTool], where: str = "tools") -> Collected:
    """Return what an agent is given as tools, sorted, each function as a tool.

    Args:
        given: what it is given.
        where: what has given it, for errors.

    Raises:
        ConfigurationError: something cannot be used, or two tools have one name.
    """
    items = _listed(given, where)
    tools: dict[str, Tool] = {}
    owners: dict[str, str] = {}
    for tool, owner in _tools_in(items):
        if tool.name in tools:
            whose = {owners[tool.name], owner} - {""}
            raise ConfigurationError(
                f"Two tools have the name {tool.name!r}{_of(whose)}; give one of them another: "
                "@tool(name=...), Toolkit(tool_name_prefix=...) or Toolkit(exclude_tools=[...])."
            )
        tools[tool.name], owners[tool.name] = tool, owner
    toolkits = [each for each in items if isinstance(each, Toolkit)]
    told = [each for each in toolkits if each.instructions and each.add_instructions]
    return Collected(
        tools,
        tuple(each for each in items if isinstance(each, Toolset)),
        tuple(each for each in toolkits if each.is_connectable),
        tuple(dict(each) for each in items if isinstance(each, Mapping)),
        (
            *(each.instructions for each in told if each.instructions),
            *(
                each.instructions
                for each in tools.values()
                if each.instructions and each.add_instructions
            ),
        ),
    )


def _listed(given: object, where: str) -> list[AnyTool]:
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        return list(given)
    raise ConfigurationError(f"{where} must be a list, as in tools=[search], not {given!r:.80}.")


def _tools_in(items: Iterable[AnyTool]) -> Iterator[tuple[Tool, str]]:
    """Yield the tools, each with what it belongs to."""
    for each in items:
        match each:
            case Toolkit():
                each.check_names()
                yield from ((tool, f"the toolkit {each.name}") for tool in each.functions.values())
            case Toolset():
                name = f"{type(each).__name__}.timeout"
                if each.timeout is not None:
                    check_seconds(name, each.timeout, ConfigurationError)
            case Tool():
                yield _checked(each), ""
            case Mapping() if each.get("type"):
                continue  # The provider knows what it is.
            case type() if issubclass(each, Toolkit):
                raise ConfigurationError(f"A toolkit must be an object, not {shown(each)}.")
            case _:
                yield _checked(FunctionTool(cast("UserFunction", each))), ""


def _checked(tool: Tool) -> Tool:
    if isinstance(tool, FunctionTool) and tool.lacks_instance:
        raise ConfigurationError(
            f"The tool {tool.name} is a method of a class, and a model cannot give its "
            f"self. Give that of an object, as in tools=[shop.{tool.name}]."
        )
    return tool


def _of(owners: set[str]) -> str:
    return f" ({' and '.join(sorted(owners))})" if owners else ""
