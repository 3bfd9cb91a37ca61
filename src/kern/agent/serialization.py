"""An agent as JSON values: all that it was given, or an error that names what cannot be kept."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self, cast

from kern.agent.as_tool import AgentTool, SubAgent
from kern.agent.definition import PART_OF, AgentDefinition, AnyAgent
from kern.agent.handoff import Handoff, HandoffTool
from kern.db.components import ComponentType
from kern.db.database import Database
from kern.errors import ConfigurationError, described
from kern.execution.answering import FollowupConfig
from kern.execution.child import BackgroundTool
from kern.keywords import nearest
from kern.registry import Registry
from kern.registry.kinds import READ, WRITE
from kern.registry.reading import Read, Reader, parts_of
from kern.registry.writing import TAG, Json, Write, Writer
from kern.run.agent import Output
from kern.run.base import Deps
from kern.tools.rules import ToolRules

FORMAT = 1
"""How the values are written; one that is higher is a later version's."""

_CLASSES = {"agent": ("kern.agent", "Agent"), "team": ("kern.team", "Team")}


class Serialization(AgentDefinition[Deps, Output]):
    """An agent as JSON values, and made of them."""

    def to_dict(self, registry: Registry | None = None) -> dict[str, object]:
        """Return the agent as JSON values: what it was given, but what is so by default.

        Keys are left out; the environment has them wherever the agent is made again. Functions and
        classes are kept by their import path, or by the name that the registry has for them.

        Args:
            registry: what has a name there is kept by it.

        Raises:
            ConfigurationError: something that it was given cannot be kept; the text names all of
                it, and says what to do.

        Example:
            >>> from kern.agent import Agent
            >>> data = Agent("Poet", "openai:gpt-5.4", markdown=True).to_dict()
            >>> data["id"], data["model"]["id"], data["markdown"]
            ('poet', 'gpt-5.4', True)
        """
        writer = Writer(registry or Registry(), _WRITE)
        writer.within.append(self)
        try:
            found = written(self, writer, "")
        except RecursionError as error:
            raise ConfigurationError(f"{self!r} holds values without end.") from error
        writer.check(f"The {kind_of(self)} {self.name!r:.100}")
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, object], registry: Registry | None = None) -> Self:
        """Return the agent that :meth:`to_dict` gave the values of.

        Nothing is imported for it but what the registry allows, and kern's own.

        Args:
            data: the values.
            registry: what they may name.

        Raises:
            ConfigurationError: they are none of an agent, or name what is not at hand.
        """
        return cls._of(data, registry)

    @classmethod
    def _of(
        cls, data: Mapping[str, object], registry: Registry | None, db: Database | None = None
    ) -> Self:
        """Return the agent that values are of, where they come from a database with that."""
        reader = Reader(registry or Registry(), _READ, db)
        try:
            return cast("Self", _read(dict(data), reader, "", cls))
        except RecursionError as error:
            raise ConfigurationError("These values hold others without end.") from error


def kind_of(agent: AnyAgent | type[AnyAgent]) -> ComponentType:
    """Return what an agent, or one of a class, is kept as."""
    return "team" if getattr(agent, "is_team", False) else "agent"


def written(agent: AnyAgent, writer: Writer, where: str) -> Json:
    """Return an agent as JSON values.

    Args:
        agent: the agent.
        writer: writes what it was given, and notes what cannot be written.
        where: its place; empty for the outermost one.
    """
    given = {name: value for name, value in agent.defined().items() if not _is_default(name, value)}
    given["id"], given["name"] = agent.id, agent.name
    if not agent.is_named:
        writer.refuse(where or "id", "is missing", "give it a name or an id: Agent(name=...)")
    dependencies = cast("Mapping[str, object]", given.pop("dependencies", {}))
    found = writer.members(given, where)
    if kept := _dependencies(dependencies, writer, where):
        found["dependencies"] = kept
    first = ("id", "name", "model")
    ordered = {name: found.pop(name) for name in first if name in found}
    return {"format": FORMAT, "type": kind_of(agent), **ordered, **found}


def _dependencies(given: Mapping[str, object], writer: Writer, where: str) -> Json:
    """Return dependencies, which are stored nowhere, by the names of what is to be found."""
    found: Json = {}
    for name, value in given.items():
        place = f"{where}.dependencies.{name}" if where else f"dependencies.{name}"
        if callable(value) or writer.registry.name_of(value) is not None:
            found[name] = writer.write(value, place)
        else:
            writer.refuse(place, "is stored nowhere, as it may be a secret")
    return found


def _is_default(name: str, value: object) -> bool:
    part = PART_OF.get(name)
    default = getattr(part, name, None)
    return value is default or (type(value) is type(default) and bool(value == default))


def _read(data: Json, reader: Reader, where: str, cls: type[AnyAgent] | None = None) -> AnyAgent:
    """Return the agent that values are of, of the class that is asked for, or else of its own."""
    version, kind = data.pop("format", None), data.pop("type", None)
    if (
        type(version) is not int
        or version > FORMAT
        or not (isinstance(kind, str) and kind in _CLASSES)
    ):
        raise ConfigurationError(
            f"{where or 'This'} is no agent of the format {FORMAT}: its format is {version!r:.50}, "
            f"its type {kind!r:.50}. Give what to_dict returned, or use a later version of kern."
        )
    module, name = _CLASSES[kind]
    if cls is not None and kind_of(cls) != kind:
        raise ConfigurationError(f"This is a {kind}, so write {name}.from_dict(...).")
    made: type[AnyAgent] = cls or getattr(import_module(module), name)
    known = made.keywords()
    if wrong := next((each for each in data if each not in known), None):
        raise ConfigurationError(
            f"{where or name} has {wrong!r:.100}, which a later version of kern may have. "
            f"{nearest(wrong, [*known])}"
        )
    given = reader.members(data, where)
    try:
        return made(**given)
    except Exception as error:
        raise ConfigurationError(f"{where or name} cannot be made: {described(error)}") from error


def _write_agent(agent: AnyAgent, writer: Writer, where: str) -> Json:
    found = written(agent, writer, where)
    return {TAG: "agent", **found}


def _read_agent(given: Json, reader: Reader, where: str) -> AnyAgent:
    return _read(given, reader, where)


def _write_agent_tool(tool: AgentTool, writer: Writer, where: str) -> Json:
    if isinstance(tool, HandoffTool):
        return writer.refuse(where, "is the tool of a handoff", "give the agent handoffs=[...]")
    is_background = isinstance(tool, BackgroundTool)
    plain = _agent_tool(tool.agent, tool.name, background=is_background)
    rules: dict[str, object] = {
        name: value
        for name in ToolRules.__annotations__
        if (value := getattr(tool, name)) != getattr(plain, name)
    }
    if tool.schema.description != plain.schema.description:
        rules["description"] = tool.schema.description
    if is_background:
        rules["background"] = True
    given = {"agent": tool.agent, "name": tool.name, **rules}
    return {TAG: "agent_tool", **writer.members(given, where)}


def _read_agent_tool(given: Json, reader: Reader, where: str) -> AgentTool:
    return _agent_tool(**reader.members(given, where))


def _agent_tool(agent: SubAgent, name: str, *, background: bool = False, **rules: Any) -> AgentTool:
    if not background:
        return AgentTool(agent, name, **rules)
    from kern.agent.background import StartTool

    return StartTool(agent, name, **rules)


_WRITE: Mapping[type, Write] = {
    **WRITE,
    AgentDefinition: _write_agent,
    AgentTool: _write_agent_tool,
    FollowupConfig: lambda value, writer, where: writer.parts(value, where),
    Handoff: lambda value, writer, where: writer.parts(value, where),
}

_READ: Mapping[str, Read] = {
    **READ,
    "agent": _read_agent,
    "agent_tool": _read_agent_tool,
    "FollowupConfig": parts_of(FollowupConfig),
    "Handoff": parts_of(Handoff),
}
