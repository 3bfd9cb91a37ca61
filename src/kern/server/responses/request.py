"""What a request for a response asks for: every parameter is read, or refused by its name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kern.errors import ConfigurationError
from kern.models.form import Form
from kern.run.codec import parse
from kern.run.overrides import ClientTool, Overrides
from kern.server.ids import fingerprint
from kern.server.problems import RequestError
from kern.server.responses.body import (
    Body,
    FunctionTool,
    JsonObject,
    JsonSchema,
    Kind,
    StreamOptions,
    TextFormat,
)
from kern.server.responses.items import Item, refused

# Parameters of OpenAI's that are not supported, with the values that ask for nothing.
_UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "access_programs": (None,),
    "background_options": (None,),
    "context_management": (None, []),
    "image": (None,),
    "moderation": (None,),
    "prompt": (None,),
    "prompt_cache_key": (None,),
    "prompt_cache_options": (None,),
    "prompt_cache_retention": (None,),
    "service_tier": (None, "auto", "default"),
    "top_logprobs": (None, 0),
    "truncation": (None, "disabled"),
}

# What may be asked to be included; of most there are no items here in which it could be.
INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
)

# What a response says of its request as it was; see ``kern.server.responses.stored``.
_ECHOED = (
    *("instructions", "tools", "tool_choice", "text", "reasoning", "temperature", "top_p"),
    *("max_output_tokens", "max_tool_calls", "parallel_tool_calls", "user", "safety_identifier"),
)

_TOOL = {"type": "function", "description": None, "parameters": None, "strict": None}

_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_NAMED = re.compile(r"(unknown|missing required) field `([^`]*)`")


class Asked(msgspec.Struct, frozen=True):
    """A request for a response, read and checked as far as that can be done without a database.

    Attributes:
        body: its parameters.
        overrides: what the run has otherwise than its agent says.
        output_schema: what the answer has to be, as a JSON Schema; None where a text will do.
        echo: what the response says of the request as it was, by the names of its parameters.
        given: its body as it came.
    """

    body: Body
    overrides: Overrides
    output_schema: dict[str, Any] | None
    echo: dict[str, Any]
    given: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """What tells it from others; see :func:`kern.server.ids.fingerprint`."""
        return fingerprint(self.given)


def json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that a request has as its body.

    Raises:
        RequestError: there is none (400).
    """
    try:
        value = parse(raw)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            400, f"The body of the request is no JSON: {error}.", code="invalid_json"
        ) from error
    if isinstance(value, dict):
        return value
    raise RequestError(400, "The body of the request must be a JSON object.", code="invalid_json")


def read_request(given: Mapping[str, Any], agent_id: str | None = None) -> Asked:
    """Return what a request asks for.

    Args:
        given: its body.
        agent_id: the agent whose tools ``tool_choice`` may name, by default the one in the body.

    Raises:
        RequestError: a parameter is unknown, not supported, or cannot be used (400).
    """
    body = checked(given, Body, _UNSUPPORTED)
    check_metadata(body.metadata)
    for place, each in enumerate(body.include or ()):
        if each not in INCLUDABLE:
            raise refused(
                f"include[{place}]", f"{each!r:.100} cannot be included.", "unsupported_value"
            )
    if body.background and body.store is False:
        raise refused("store", "store=false does not go together with background=true.")
    if body.previous_response_id is not None and body.conversation is not None:
        raise refused(
            "previous_response_id",
            "Give previous_response_id or conversation, not both.",
            "mutually_exclusive_parameters",
        )
    if body.webhook is not None and not body.background:
        raise refused("webhook", "webhook is for background=true only.")
    check_stream_options(body.stream_options, streamed=bool(body.stream))
    tools = client_tools(body.tools or ())
    overrides = Overrides(
        instructions=body.instructions,
        tools=tools,
        tool_choice=tool_choice(body.tool_choice, tools, agent_id or body.model),
        tool_call_limit=body.max_tool_calls,
        max_output_tokens=body.max_output_tokens,
        reasoning_effort=None if body.reasoning is None else body.reasoning.effort,
        temperature=body.temperature,
        top_p=body.top_p,
        whole_history=body.conversation is not None,
    )
    schema = None if body.text is None else schema_of(body.text.format, "text.format.schema")
    echo = {name: given[name] for name in _ECHOED if given.get(name) is not None}
    if tools:
        echo["tools"] = [_TOOL | each for each in body.tools or ()]
    return Asked(body, overrides, schema, echo, given)


def checked(
    given: Mapping[str, Any], kind: type[Kind], unsupported: Mapping[str, tuple[object, ...]]
) -> Kind:
    """Return the parameters of a request.

    Args:
        given: its body.
        kind: which parameters there are.
        unsupported: which others the clients know, with the values that ask for nothing.

    Raises:
        RequestError: a parameter is unknown, not supported, or of another type (400).
    """
    for name in unsupported.keys() & given.keys():
        if given[name] not in unsupported[name]:
            raise refused(name, f"{name} is not supported.", "unsupported_parameter")
    known = {name: value for name, value in given.items() if name not in unsupported}
    return converted(known, kind)


def converted(given: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Return JSON values as what they have to be.

    Raises:
        RequestError: they are something else (400).
    """
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except UnicodeEncodeError as error:
        raise refused(
            "", "A parameter is half a character (a lone surrogate).", "invalid_type"
        ) from error


def _invalid(text: str) -> RequestError:
    """Return what a request is refused with whose parameters do not have their types."""
    place = _PLACE.search(text)
    param, detail = (place[1] if place else ""), _PLACE.sub("", text)
    named = _NAMED.search(detail)
    if named is None:
        return refused(param, f"{param}: {detail}." if param else f"{detail}.", "invalid_type")
    param = f"{param}.{named[2]}" if param else named[2]
    if named[1] == "unknown":
        return refused(param, f"There is no parameter {param!r:.200}.", "unknown_parameter")
    return refused(param, f"The parameter {param!r} is missing.", "missing_required_parameter")


def check_stream_options(options: StreamOptions | None, *, streamed: bool) -> None:
    """Check how an answer is to be streamed.

    Raises:
        RequestError: it is not streamed, or in a way that is not supported (400).
    """
    if options is None:
        return
    if not streamed:
        raise refused("stream_options", "stream_options is for stream=true only.")
    if options.include_obfuscation:
        raise refused(
            "stream_options.include_obfuscation",
            "include_obfuscation is not supported.",
            "unsupported_parameter",
        )


def check_metadata(metadata: Mapping[str, str] | None) -> None:
    """Check metadata as OpenAI's clients give it.

    Raises:
        RequestError: there is too much of it, or a name is kept for kern (400).
    """
    if len(metadata or {}) > 16:
        raise refused("metadata", "metadata has at most 16 entries.")
    for name, value in (metadata or {}).items():
        if not 0 < len(name) <= 64 or name.startswith("kern."):
            raise refused(
                "metadata",
                f"A name in metadata has 1 to 64 characters, and does not begin with 'kern.': "
                f"{name!r:.100}.",
            )
        if len(value) > 512:
            raise refused(f"metadata.{name}", f"metadata[{name!r}] has more than 512 characters.")


def client_tools(tools: Sequence[Item]) -> tuple[ClientTool, ...]:
    """Return the tools of a client.

    Raises:
        RequestError: one is of another type, or has no name of its own (400).
    """
    found: dict[str, ClientTool] = {}
    for place, each in enumerate(tools):
        where = f"tools[{place}]"
        if (kind := each.get("type")) != "function":
            raise refused(
                f"{where}.type",
                f"Tools of the type {kind!r:.50} are not supported: only functions of the "
                "client's own. An agent brings its other tools itself.",
                "unsupported_value",
            )
        try:
            tool = converted(each, FunctionTool)
        except RequestError as wrong:
            param = f"{where}.{wrong.param}" if wrong.param else where
            raise refused(param, f"{where}: {wrong.detail}", wrong.code) from wrong
        if tool.name in found:
            raise refused(f"{where}.name", f"Two tools have the name {tool.name!r}.")
        parameters = tool.parameters or {"type": "object", "properties": {}}
        found[tool.name] = ClientTool(tool.name, tool.description or "", parameters, tool.strict)
    return tuple(found.values())


def tool_choice(given: str | Item | None, tools: Sequence[ClientTool], agent_id: str) -> str | None:
    """Return which tool the model is to call: ``"auto"``, ``"none"``, ``"required"``, or a name.

    Raises:
        RequestError: it asks for something else (400).
    """
    match given:
        case None | "auto" | "none" | "required":
            return given
        case {"type": "function", "name": str(name), **rest} if not rest:
            if any(each.name == name for each in tools):
                return name
            raise refused("tool_choice", f"tools has no function {name!r:.100}.")
        case {"type": "mcp", "server_label": str(label), "name": str(name), **rest} if not rest:
            if label == agent_id:
                return name
            raise refused(
                "tool_choice.server_label",
                f"There is no server {label!r:.100}; the agent's own "
                f"tools have the server_label {agent_id!r}.",
            )
    raise refused(
        "tool_choice",
        "tool_choice must be 'auto', 'none', 'required', a function of tools, or one of the "
        "agent's own tools by server_label and name.",
        "unsupported_value",
    )


def schema_of(
    format: TextFormat | JsonObject | JsonSchema | None, param: str
) -> dict[str, Any] | None:
    """Return the JSON Schema that an answer has to fit; None where a text will do.

    Raises:
        RequestError: it is none (400).
    """
    match format:
        case JsonObject():
            return {"title": "json_object", "type": "object"}
        case JsonSchema():
            schema = {**format.schema, "title": format.name}
            if format.description is not None:
                schema.setdefault("description", format.description)
            try:
                Form.of(schema, param)
            except ConfigurationError as error:
                raise refused(param, f"{str(error).rstrip('.')}.") from error
            return schema
    return None
