"""An agent as JSON values: all that it was given, or an error that names what cannot be kept."""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from kern.agent.as_tool import AgentTool
from kern.agent.definition import AgentDefinition, AnyAgent
from kern.agent.handoff import Handoff, HandoffTool
from kern.agent.parts.part import Part
from kern.db.database import Database
from kern.errors import ConfigurationError, described
from kern.execution.answering import FollowupConfig
from kern.execution.child import BackgroundTool
from kern.keywords import nearest
from kern.registry import Registry
from kern.registry.kinds import READ, WRITE
from kern.registry.reading import Read, Reader, parts_of
from kern.registry.writing import TAG, Json, Write, Writer
from kern.tools.rules import ToolRules

FORMAT = 1
"""How the values are written; one that is higher is a later version's."""

# Who writes the values decides what the agent answers, and so must not say into which file.
_FILES = ("save_response_to_file",)

_CLASSES = {"agent": ("kern.agent", "Agent"), "team": ("kern.team", "Team")}


def to_values(agent: AnyAgent, registry: Registry) -> Json:
    """Return an agent as JSON values.

    Args:
        agent: the agent.
        registry: what has a name there is kept by it.

    Raises:
        ConfigurationError: something that it was given cannot be kept.
    """
    writer = Writer(registry, _WRITE)
    writer.within.append(agent)
    try:
        found = written(agent, writer, "")
    except RecursionError as error:
        raise ConfigurationError(f"{agent!r} holds values without end.") from error
    writer.check(f"The {agent.component_type} {agent.name!r:.100}")
    return found


def of_values(
    data: Mapping[str, object], registry: Registry, cls: type[AnyAgent], db: Database | None
) -> AnyAgent:
    """Return the agent that values are of.

    Args:
        data: the values.
        registry: what they may name.
        cls: the class that it has to be of.
        db: the database from which they come, or None.

    Raises:
        ConfigurationError: they are none of such an agent, or name what is not at hand.
    """
    given: object = data
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"from_dict takes what to_dict returned, not {given!r:.80}.")
    try:
        return _read(dict(data), Reader(registry, _READ, db), "", cls)
    except RecursionError as error:
        raise ConfigurationError("These values hold others without end.") from error


def written(agent: AnyAgent, writer: Writer, where: str) -> Json:
    """Return an agent as JSON values.

    Args:
        agent: the agent.
        writer: writes what it was given, and notes what cannot be written.
        where: its place; empty for the outermost one.
    """
    parts = agent.keywords()
    given = {
        name: value
        for name, value in agent.defined().items()
        if not _is_default(parts.get(name), name, value)
    }
    given["id"], given["name"] = agent.id, agent.name
    for name in _FILES:
        if name in given and writer.registry.name_of(given[name]) is None:
            writer.refuse(f"{where}.{name}" if where else name, "is a file of a machine")
    if not agent.is_named:
        writer.refuse(where or "id", "is missing", "give it a name or an id: Agent(name=...)")
    dependencies = cast("Mapping[str, object]", given.pop("dependencies", {}))
    found = writer.members(given, where)
    if kept := _dependencies(dependencies, writer, where):
        found["dependencies"] = kept
    first = ("id", "name", "model")
    ordered = {name: found.pop(name) for name in first if name in found}
    return {"format": FORMAT, "type": agent.component_type, **ordered, **found}


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


def _is_default(part: type[Part] | None, name: str, value: object) -> bool:
    default = getattr(part, name, None)
    return value is default or (type(value) is type(default) and bool(value == default))


def _read(data: Json, reader: Reader, where: str, cls: type[AnyAgent] | None = None) -> AnyAgent:
    """Return the agent that values are of, of the class that is asked for, or else of its own."""
    version, kind = data.pop("format", None), data.pop("type", None)
    if (
        type(version) is not int
        or not 1 <= version <= FORMAT
        or not (isinstance(kind, str) and kind in _CLASSES)
    ):
        raise ConfigurationError(
            f"{where or 'This'} is no agent of the format {FORMAT}: its format is {version!r:.50}, "
            f"its type {kind!r:.50}. Give what to_dict returned, or use a later version of kern."
        )
    module, name = _CLASSES[kind]
    if cls is not None and cls.component_type != kind:
        raise ConfigurationError(f"It is of the type {kind}, so write {name}.from_dict(...).")
    made: type[AnyAgent] = cls or getattr(import_module(module), name)
    known = made.keywords()
    if wrong := next((each for each in data if each not in known), None):
        raise ConfigurationError(
            f"{where or name} has {wrong!r:.100}, which a later version of kern may have. "
            f"{nearest(str(wrong), [*known])}"
        )
    for each in _FILES:
        if isinstance(data.get(each), str):
            raise ConfigurationError(
                f"{f'{where}.{each}' if where else each} is {data[each]!r:.200}, a file of this "
                "machine, which only the registry can name: Registry(values={'its name': ...})."
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
    plain = type(tool)(tool.agent, tool.name)
    rules = {
        name: value
        for name in ToolRules.__annotations__
        if (value := getattr(tool, name)) != getattr(plain, name)
    }
    if plain.schema.description != tool.schema.description:
        rules["description"] = tool.schema.description
    given = {"agent": tool.agent, "name": tool.name, **rules}
    kind = "start_tool" if isinstance(tool, BackgroundTool) else "agent_tool"
    return {TAG: kind, **writer.members(given, where)}


def _read_agent_tool(given: Json, reader: Reader, where: str) -> AgentTool:
    return AgentTool(**reader.members(given, where))


def _read_start_tool(given: Json, reader: Reader, where: str) -> AgentTool:
    from kern.agent.background import StartTool

    return StartTool(**reader.members(given, where))


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
    "start_tool": _read_start_tool,
    "FollowupConfig": parts_of(FollowupConfig),
    "Handoff": parts_of(Handoff),
}
