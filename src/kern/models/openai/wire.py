"""From kern's messages to the JSON of a request to the Responses API.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from kern.errors import ModelError
from kern.models.base import ModelRequest, OutputSchema
from kern.models.openai.params import members_of
from kern.models.openai.parts import Json, input_parts
from kern.run.message import Message


class Origin(NamedTuple):
    """Who answered; its items, with their ids and sealed reasoning, mean nothing to others.

    Attributes:
        provider: the provider's name.
        server: the server, by its host, port and path.
        model: the model's id.
    """

    provider: str
    server: str
    model: str


class Encoded:
    """The messages of a run as they are sent: each is encoded once.

    Attributes:
        items: the conversation, each item as JSON.
        instructions: the texts of the system messages.
    """

    def __init__(self, origin: Origin) -> None:
        """Begin with none.

        Args:
            origin: whose answers are handed back as they were, with reasoning and ids.
        """
        self.items: list[bytes] = []
        self.instructions: list[str] = []
        self.origin = origin
        self._values: list[object] = []
        self._custom_calls: set[str] = set()

    def update(self, messages: Sequence[Message]) -> None:
        """Hold these messages; what is encoded already stays where they begin with it.

        Raises:
            ModelError: a message holds something that the API does not take.
        """
        values: list[object] = [*map(_values_of, messages)]
        if values[: len(self._values)] != self._values:
            self.items, self.instructions, self._values = [], [], []
        for message in messages[len(self._values) :]:
            if message.role == "system":
                self.instructions.append(message.text)
            else:
                self.items += map(encode, self._input_items(message))
            self._values.append(values[len(self._values)])

    def _input_items(self, message: Message) -> list[Json]:
        if message.provider_items and self.origin == _origin_of(message):
            items = _with_ends(message.provider_items)
            self._custom_calls |= {
                str(each.get("call_id")) for each in items if each.get("type") == "custom_tool_call"
            }
            return items
        content: object = message.content or ""
        if isinstance(content, tuple):
            # The API takes an answer's text only: its sources and reasoning are the model's own.
            content = message.text if message.role == "assistant" else input_parts(content)
        if message.role == "tool":
            call_id = message.tool_call_id
            kind = "custom_tool_call" if call_id in self._custom_calls else "function_call"
            return [{"type": f"{kind}_output", "call_id": call_id, "output": content}]
        if message.role == "assistant":
            return _answer_items(message, content)
        return [{"role": message.role, "content": content}]


_origin_of = attrgetter("provider", "server", "model")
_values_of = attrgetter(
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "provider",
    "provider_items",
    "server",
    "model",
)


def _with_ends(items: list[Json]) -> list[Json]:
    """Return items without reasoning at their end, which the API refuses if nothing follows."""
    end = len(items)
    while end and items[end - 1].get("type") == "reasoning":
        end -= 1
    return items[:end]


def _answer_items(message: Message, content: object) -> list[Json]:
    """Return an answer as any server takes it: its text, and its calls."""
    items: list[Json] = []
    if content:
        # In full: servers other than OpenAI's know an answer by its parts.
        part = (
            {"type": "refusal", "refusal": content}
            if message.refusal
            else {"type": "output_text", "text": content}
        )
        items.append({"type": "message", "role": "assistant", "content": [part]})
    for call in message.tool_calls:
        items.append(
            {
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
            }
        )
    return items


def request_body(
    request: ModelRequest, origin: Origin, own: Mapping[str, object]
) -> dict[str, bytes]:
    """Return the body of a request: its parameters, each as JSON.

    The same messages always give the same bytes, so that a provider's prompt cache still hits.

    Args:
        request: the conversation, the tools, and how to answer.
        origin: whose answers are handed back as they were, with reasoning and ids.
        own: the other parameters.

    Raises:
        ModelError: a message holds something that the API does not take, a parameter has no JSON
            form, or the request sets what kern does.
    """
    known = request.memo.get(origin.provider)
    if not (isinstance(known, Encoded) and known.origin == origin):
        known = Encoded(origin)
    request.memo[origin.provider] = encoded = known
    encoded.update(request.messages)
    settings = request.settings
    if set_twice := _SET_HERE & settings.keys():
        raise _clash(set_twice)
    given: Json = {**own, **settings, "input": None}
    if encoded.instructions:
        if "instructions" in settings:
            raise _clash(["instructions"])
        given["instructions"] = "\n\n".join(encoded.instructions)
    if request.tools or "tools" in settings:
        given["tools"] = _tools(request, own)
    if request.tool_choice is not None:
        given["tool_choice"] = _tool_choice(request.tool_choice)
    if request.output_schema is not None:
        text = members_of(given.get("text")) or {}
        if text.get("format") is not None:
            raise _clash(["text.format"])
        given["text"] = {**text, "format": _format(request.output_schema)}
    body = {name: encode(value) for name, value in given.items()}
    body["input"] = b"[%b]" % b",".join(encoded.items)
    return body


_SET_HERE = frozenset(("input", "stream", "background"))


def _clash(names: Iterable[str]) -> ModelError:
    return ModelError(
        f"The request sets {', '.join(sorted(names))}, which kern sets itself. Take it out of the "
        "settings of the request, or of request_params.",
        kind="invalid_request",
    )


def _tools(request: ModelRequest, own: Mapping[str, object]) -> list[object]:
    """Return the agent's functions, and the tools that the provider has, as its user gave them."""
    functions = [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "strict": False,
        }
        for tool in request.tools
    ]
    given = [*_listed(own.get("tools")), *_listed(request.settings.get("tools"))]
    names = {tool.name for tool in request.tools}
    if twice := [name for each in given if (name := (members_of(each) or {}).get("name")) in names]:
        raise _clash([f"the tool {name}" for name in twice])
    return [*functions, *given]


def _listed(values: object) -> list[object]:
    if values is not None and not isinstance(values, list | tuple):
        raise ModelError(f"tools must be a list, not {values!r:.60}.", kind="invalid_request")
    return list(values or ())


def encode(value: object) -> bytes:
    """Return a value as JSON, as the SDK would write it.

    Raises:
        ModelError: it has no JSON form.
    """
    try:
        text = _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"The request has no JSON form: {error}.", kind="invalid_request"
        ) from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # A lone surrogate has no bytes in UTF-8.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _of_the_sdk(value: object) -> object:
    """Return a parameter that is an object of the SDK's as JSON values."""
    members = members_of(value)
    if members is None:
        raise TypeError(f"a {type(value).__name__} is none")
    return dict(members)


_to_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_of_the_sdk
).encode


def _tool_choice(choice: str) -> object:
    known = choice in ("none", "auto", "required")
    return choice if known else {"type": "function", "name": choice}


def _format(form: OutputSchema) -> Json:
    return {
        "type": "json_schema",
        "name": form.name,
        "schema": dict(form.schema),
        "strict": form.strict,
    }
