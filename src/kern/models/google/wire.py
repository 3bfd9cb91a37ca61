"""From kern's messages to the JSON of a request to the Gemini API.

Source: https://ai.google.dev/api/generate-content
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from kern.errors import ModelError
from kern.models.base import ModelRequest
from kern.models.google.params import is_before_3, overridden, placed
from kern.models.google.parts import input_parts, without_foreign
from kern.models.google.values import Json, a_text, an_object, encode, members_of
from kern.models.media import last_answer
from kern.run.content import AudioPart, FilePart, ImagePart, Part, TextPart, text_of
from kern.run.message import Message

_UNSIGNED = "skip_thought_signature_validator"
"""Stands where Gemini 3 demands a signature of a call that it has not made itself.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

_SET_HERE = frozenset(("contents", "systemInstruction", "system_instruction"))


class Origin(NamedTuple):
    """Who answered; its thought signatures mean nothing to others.

    Attributes:
        provider: the provider's name.
        server: the server, by its host, port and path.
        model: the model's id.
    """

    provider: str
    server: str
    model: str


class _Called(NamedTuple):
    """A call of a tool, as its result has to name it."""

    name: str
    id: str | None


class Encoded:
    """The messages of a run as they are sent: each is encoded once.

    Attributes:
        instructions: the texts of the system messages.
        origin: whose answers are handed back as they were, with signatures and ids.
    """

    def __init__(self, origin: Origin) -> None:
        """Begin with none.

        Args:
            origin: whose answers are handed back as they were.
        """
        self.instructions: list[str] = []
        self.origin = origin
        self._contents: list[tuple[str, list[bytes]]] = []
        self._values: list[object] = []
        self._called: dict[str, _Called] = {}

    @property
    def contents(self) -> bytes:
        """The conversation as JSON."""
        contents = (
            b'{"role":"%b","parts":[%b]}' % (_ROLES[role], b",".join(parts))
            for role, parts in self._contents
        )
        return b"[%b]" % b",".join(contents)

    def update(self, messages: Sequence[Message]) -> None:
        """Hold these messages; what is encoded already stays where they begin with it.

        Raises:
            ModelError: a message holds something that the API does not take.
        """
        values: list[object] = [*map(_values_of, messages)]
        if values[: len(self._values)] != self._values:
            self._contents, self.instructions, self._values, self._called = [], [], [], {}
        for message in messages[len(self._values) :]:
            if message.role == "system":
                self.instructions.append(message.text)
            else:
                self._add(message.role, [*map(encode, self._parts(message, messages))])
            self._values.append(values[len(self._values)])

    def _add(self, role: str, parts: list[bytes]) -> None:
        if not parts:
            return  # The API takes no message without a part.
        if role == "tool" and self._contents and self._contents[-1][0] == "tool":
            self._contents[-1][1].extend(parts)  # It wants the results of one answer together.
        else:
            self._contents.append((role, parts))

    def _parts(self, message: Message, messages: Sequence[Message]) -> list[Json]:
        if message.role == "tool":
            return self._result(message)
        if message.role == "assistant":
            return self._answer(message)
        content = message.content
        if not isinstance(content, tuple):
            return input_parts(_text_parts(content))
        is_past = len(self._values) < last_answer(messages)
        return input_parts(without_foreign(content) if is_past else content)

    def _answer(self, message: Message) -> list[Json]:
        if message.provider_items and self.origin == _origin_of(message):
            made = [each for each in message.provider_items if "functionCall" in each]
            for call, item in zip(message.tool_calls, made, strict=False):
                made_id = a_text(an_object(item, "functionCall"), "id")
                self._called[call.id] = _Called(call.name, made_id)
            return message.provider_items
        content = message.content
        said = content if isinstance(content, tuple) else _text_parts(content)
        parts = input_parts(without_foreign(said))
        for call in message.tool_calls:
            self._called[call.id] = _Called(call.name, None)
            part: Json = {"functionCall": {"name": call.name, "args": _arguments(call.arguments)}}
            if call is message.tool_calls[0] and not is_before_3(self.origin.model):
                part["thoughtSignature"] = _UNSIGNED
            parts.append(part)
        return parts

    def _result(self, message: Message) -> list[Json]:
        call_id = message.tool_call_id or ""
        called = self._called.get(call_id, _Called(call_id, None))
        content = without_foreign(message.parts)
        media = input_parts([each for each in content if _is_media(each)])
        text = text_of(content) if content else message.text
        response: Json = {"name": called.name, "response": {"output": text}}
        if called.id is not None:
            response["id"] = called.id
        if media and not is_before_3(self.origin.model):
            return [{"functionResponse": {**response, "parts": media}}]
        return [{"functionResponse": response}, *media]


_ROLES = {"user": b"user", "tool": b"user", "assistant": b"model"}

_origin_of = attrgetter("provider", "server", "model")
_values_of = attrgetter(
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "provider",
    "provider_items",
    "server",
    "model",
)


def _text_parts(text: str | None) -> tuple[Part, ...]:
    return (TextPart(text),) if text else ()


def _is_media(part: Part) -> bool:
    return isinstance(part, ImagePart | AudioPart | FilePart) and not text_of((part,))


def _arguments(text: str) -> object:
    """Return the arguments of a call as the API takes them: an object, without NaN."""
    try:
        value = json.loads(text, parse_constant=str) if text.strip() else {}
    except (ValueError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {"arguments": value}


def request_body(
    request: ModelRequest, origin: Origin, own: Json, *, on_vertex: bool = False
) -> bytes:
    """Return the body of a request.

    The same messages always give the same bytes, so that a provider's prompt cache still hits.

    Args:
        request: the conversation, the tools, and how to answer.
        origin: whose answers are handed back as they were, with signatures and ids.
        own: the other parameters, each in its place.
        on_vertex: whether it is for Vertex AI, which takes a little less.

    Raises:
        ModelError: a message holds something that the API does not take, a parameter has no JSON
            form, or the request sets what kern does.
    """
    known = request.memo.get(origin.provider)
    if not (isinstance(known, Encoded) and known.origin == origin):
        known = Encoded(origin)
    request.memo[origin.provider] = encoded = known
    encoded.update(request.messages)
    settings = {name: value for name, value in request.settings.items() if name != "model"}
    if set_twice := _SET_HERE & settings.keys():
        raise _clash(set_twice)
    body = overridden(own, settings)
    if encoded.instructions:
        body["systemInstruction"] = {"parts": [{"text": "\n\n".join(encoded.instructions)}]}
    provided = [*_listed(own, "tools"), *_listed(placed(settings), "tools")]
    if tools := _tools(request, provided):
        body["tools"] = tools
    asked = members_of(body.get("toolConfig")) or {}
    if config := _tool_config(request, asked, bool(provided) and not on_vertex, origin.model):
        body["toolConfig"] = config
    if request.output_schema is not None:
        chosen = members_of(body.get("generationConfig")) or {}
        if clashes := {"responseSchema", "responseJsonSchema"} & chosen.keys():
            raise _clash(clashes)
        body["generationConfig"] = {
            **chosen,
            "responseMimeType": "application/json",
            "responseJsonSchema": dict(request.output_schema.schema),
        }
    rest = encode(body)
    return b'{"contents":%b%b' % (encoded.contents, b"," + rest[1:] if body else b"}")


def continued(body: bytes, token: str) -> bytes:
    """Return the body of a request that goes on with the answer to another, from its token."""
    return body[:-1] + b',"continuationToken":%b}' % encode(token)


def _clash(names: Iterable[str]) -> ModelError:
    return ModelError(
        f"The request sets {', '.join(sorted(names))}, which kern sets itself. Take it out of the "
        "settings of the request, or of request_params.",
        kind="invalid_request",
    )


def _tools(request: ModelRequest, provided: list[object]) -> list[object]:
    """Return the agent's functions, and the tools that the provider has, as its user gave them."""
    if not request.tools:
        return provided
    functions = [
        {
            "name": tool.name,
            "description": tool.description,
            "parametersJsonSchema": tool.parameters,
        }
        for tool in request.tools
    ]
    names = {tool.name for tool in request.tools}
    given = [
        members_of(each) or {}
        for tool in provided
        for each in _listed(members_of(tool), "functionDeclarations")
    ]
    if twice := [name for each in given if (name := each.get("name")) in names]:
        raise _clash([f"the tool {name}" for name in twice])
    return [{"functionDeclarations": functions}, *provided]


def _tool_config(
    request: ModelRequest, asked: Mapping[str, object], has_provided: bool, model: str
) -> Json:
    config: Json = {}
    if request.tools and has_provided and not is_before_3(model):
        # Only then do the provider's own tools work beside functions.
        config["includeServerSideToolInvocations"] = True
    config |= asked
    if request.tool_choice is not None:
        config["functionCallingConfig"] = _tool_choice(request.tool_choice)
    return config


def _tool_choice(choice: str) -> Json:
    modes = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
    if choice in modes:
        return {"mode": modes[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _listed(members: Mapping[str, object] | None, name: str) -> list[object]:
    values = (members or {}).get(name)
    return list(values) if isinstance(values, list | tuple) else []
