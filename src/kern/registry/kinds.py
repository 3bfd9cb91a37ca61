"""How values of kern's own classes are written and read, but for those that only agents have."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from kern.compression import Compaction, CompressionManager
from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.filters import FilterExpr, Filters, filter_of
from kern.keywords import arguments_of, takes
from kern.memory import MemoryManager
from kern.models.base import Model
from kern.models.fallback import FallbackConfig
from kern.models.prices import Price
from kern.registry.paths import path_of
from kern.registry.reading import Read, Reader, parts_of, text_in
from kern.registry.writing import TAG, Json, Write, Writer
from kern.run.message import Message
from kern.run.usage import UsageLimits
from kern.session.summary import SessionSummaryManager
from kern.tools.function import FunctionTool
from kern.tools.rules import ToolRules
from kern.tools.toolkit import Toolkit

# What a model is given that is its key, or that it may be known by: the environment has it.
_KEYS = (
    *("api_key", "auth_token", "aws_access_key", "aws_secret_key", "aws_session_token"),
    "aws_profile",
)
# What may hold a secret under any name, or is no value.
_UNKNOWN = (
    *("default_headers", "default_query", "extra_headers", "extra_query"),
    *("client_params", "http_client", "client", "async_client", "mcp_servers"),
)
# What may be set on a model once it is made.
_SET = ("id", "base_url", "client", "price", "delay_between_retries", "exponential_backoff")


def write_model(model: Model, writer: Writer, where: str) -> Json:
    """Write a model: its class, id and parameters, without keys."""
    given = arguments_of(model) or {}
    given |= {name: getattr(model, name, None) for name in _SET if takes(type(model), name)}
    given = {name: value for name, value in given.items() if value is not None}
    for name in _UNKNOWN:
        if given.pop(name, None):
            writer.refuse(
                f"{where}.{name}",
                "may hold a secret",
                f"register the model: Registry(models=[{type(model).__name__}(...)])",
            )
    kept = {name: value for name, value in given.items() if name not in _KEYS}
    told = {"id": model.id, "name": model.name, "provider": model.provider}
    return {**told, **writer.made(model, where, kept)}


def write_db(db: Database, writer: Writer, where: str) -> Json:
    """Write which database it is."""
    return {TAG: "db", **db.to_dict()}


def read_db(given: Json, reader: Reader, where: str) -> Database:
    """Return a registered database, the one from which all is read, or that of a file's path."""
    for each in reader.registry.dbs:
        if each.to_dict() == given:
            return each
    if reader.db is not None:
        return reader.db
    kind = text_in(given, "type", where)
    if kind in _FILES:
        made = getattr(import_module(_FILES[kind]), kind)
        options = {name: given[name] for name in ("db_file", "session_table") if name in given}
        if kind == "InMemoryDb":
            options.pop("db_file", None)
        return cast("Database", made(**options))
    address = f" at {given['address']}" if "address" in given else ""
    raise ConfigurationError(
        f"{where} is a {kind:.50}{address:.300}, of which no password is kept. Register it: "
        f"Registry(dbs=[{kind:.50}(...)])."
    )


_FILES = {
    "SqliteDb": "kern.db.sqlite",
    "AsyncSqliteDb": "kern.db.sqlite",
    "InMemoryDb": "kern.db.in_memory",
}


def write_message(message: Message, writer: Writer, where: str) -> Json:
    """Write a message of text."""
    if not isinstance(message.content, str | None):
        return writer.refuse(where, "is a message with media, which is kept with runs only")
    return {TAG: "Message", **writer.members(message.to_dict(), where)}


def read_message(given: Json, reader: Reader, where: str) -> Message:
    """Read a message."""
    return Message.from_dict(given)


def write_parts(value: object, writer: Writer, where: str) -> Json:
    """Write the fields of a dataclass, but for what was counted meanwhile, and its agent's db."""
    found = writer.parts(value, where)
    return {name: each for name, each in found.items() if name not in ("stats", "db")}


def write_tool(tool: FunctionTool[..., Any], writer: Writer, where: str) -> Json:
    """Write a tool by its import path, or else by that of its function, and its rules."""
    if path_of(tool) is not None:
        return writer.named(tool, where)
    own = {"description": tool.description, "strict": tool.strict}
    plain = FunctionTool(tool.function, name=tool.name)
    rules = {
        name: value
        for name in ToolRules.__annotations__
        if (value := getattr(tool, name)) != getattr(plain, name)
    }
    if plain.call_schema != tool.call_schema:
        rules["parameters"] = tool.call_schema
    own = {name: each for name, each in own.items() if each != getattr(plain, name)}
    given = {"function": tool.function, "name": tool.name, **own, **rules}
    return {TAG: "tool", **writer.members(given, where)}


def read_tool(given: Json, reader: Reader, where: str) -> FunctionTool[..., Any]:
    """Read a tool."""
    return FunctionTool(**reader.members(given, where))


# What is said by the fields of a dataclass.
_PARTS: tuple[type, ...] = (
    *(Compaction, CompressionManager, FallbackConfig, MemoryManager, Price),
    *(SessionSummaryManager, UsageLimits),
)

WRITE: Mapping[type, Write] = {
    Model: write_model,
    Database: write_db,
    Toolkit: lambda value, writer, where: {"name": value.name, **writer.made(value, where)},
    Message: write_message,
    FunctionTool: write_tool,
    FilterExpr: lambda value, writer, where: {
        TAG: "filter",
        "filter": writer.members(value.to_dict(), where),
    },
    **dict.fromkeys(_PARTS, write_parts),
}
"""How values of these classes, and of those derived from them, are written."""

READ: Mapping[str, Read] = {
    "db": read_db,
    "Message": read_message,
    "filter": lambda given, reader, where: filter_of(cast("Filters", given.get("filter"))),
    "tool": read_tool,
    **{each.__name__: parts_of(each) for each in _PARTS},
}
"""How objects of these kinds are read."""
