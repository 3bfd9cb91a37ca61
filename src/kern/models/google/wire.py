"""From kern's messages to the JSON of a request to the Gemini API.

Source: https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping
from typing import NamedTuple

from typing_extensions import override

from kern.models.base import ModelRequest, ToolChoice
from kern.models.calls import object_of
from kern.models.encoded import Encoded
from kern.models.google.asked import asked_for
from kern.models.google.params import in_camel_case, is_before_3, overridden, placed
from kern.models.google.parts import input_parts, without_foreign
from kern.models.origin import Origin
from kern.models.params import set_by_both, settings_of
from kern.models.schema import for_gemini
from kern.models.values import Json, encode, members_of, object_at, text_at
from kern.run.content import AudioPart, FilePart, ImagePart, Part, TextPart, text_of
from kern.run.message import Message

_UNSIGNED = "skip_thought_signature_validator"
"""Stands where Gemini 3 demands a signature of a call that it has not made itself.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

_SET_HERE = frozenset(("contents", "systemInstruction", "system_instruction"))


class _Called(NamedTuple):
    """A call of a tool, as its result has to name it."""

    name: str
    id: str | None


class Contents(Encoded):
    """The messages of a run as contents.

    Attributes:
        instructions: the texts of the system messages.
    """

    @override
    def clear(self) -> None:
        self.instructions: list[str] = []
        self._contents: list[tuple[str, list[bytes]]] = []
        self._called: dict[str, _Called] = {}

    @property
    def contents(self) -> bytes:
        """The conversation as JSON."""
        contents = (
            b'{"role":"%b","parts":[%b]}' % (_ROLES[role], b",".join(parts))
            for role, parts in self._contents
        )
        return b"[%b]" % b",".join(contents)

    @override
    def add(self, message: Message, *, is_past: bool) -> None:
        if message.role == "system":
            self.instructions.append(message.text)
        else:
            self._add(message.role, [*map(encode, self._parts(message, is_past=is_past))])

    def _add(self, role: str, parts: list[bytes]) -> None:
        if not parts:
            return  # The API takes no message without a part.
        if role == "tool" and self._contents and self._contents[-1][0] == "tool":
            self._contents[-1][1].extend(parts)  # It wants the results of one answer together.
        else:
            self._contents.append((role, parts))

    def _parts(self, message: Message, *, is_past: bool) -> list[Json]:
        if message.role == "tool":
            return self._result(message)
        if message.role == "assistant":
            return self._answer(message)
        return self._said(message, is_past)

    def _said(self, message: Message, is_past: bool) -> list[Json]:
        parts = message.parts or _text_parts(message.text)
        return input_parts(
            without_foreign(parts) if is_past else parts,
            each_in_detail=not is_before_3(self.origin.model),
        )

    def _answer(self, message: Message) -> list[Json]:
        if self.origin.made(message):
            made = [each for each in message.provider_items if "functionCall" in each]
            for call, item in zip(message.tool_calls, made, strict=False):
                made_id = text_at(object_at(item, "functionCall"), "id")
                self._called[call.id] = _Called(call.name, made_id)
            return message.provider_items
        parts = self._said(message, is_past=True)
        for call in message.tool_calls:
            self._called[call.id] = _Called(call.name, None)
            part: Json = {"functionCall": {"name": call.name, "args": object_of(call.arguments)}}
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
        told = {"error" if message.is_error else "output": text}
        response: Json = {"name": called.name, "response": told}
        if called.id is not None:
            response["id"] = called.id
        if media and not is_before_3(self.origin.model):
            return [{"functionResponse": {**response, "parts": media}}]
        return [{"functionResponse": response}, *media]


_ROLES = {"user": b"user", "tool": b"user", "assistant": b"model"}


def _text_parts(text: str | None) -> tuple[Part, ...]:
    return (TextPart(text),) if text else ()


def _is_media(part: Part) -> bool:
    return isinstance(part, ImagePart | AudioPart | FilePart) and not text_of((part,))


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
    encoded = Contents(origin).of(request)
    settings = {**settings_of(request, _SET_HERE)}
    settings.pop("model", None)
    if request.options is not None:
        own = overridden(own, asked_for(request.options, own, origin.model))
    body = overridden(own, settings)
    if encoded.instructions:
        body["systemInstruction"] = {"parts": [{"text": "\n\n".join(encoded.instructions)}]}
    provided = [*_listed(own, "tools"), *_listed(placed(settings), "tools")]
    if tools := _tools(request, provided):
        body["tools"] = tools
    asked = members_of(body.get("toolConfig")) or {}
    if config := _tool_config(request, asked, bool(provided) and not on_vertex, origin.model):
        body["toolConfig"] = config
    form = request.output_schema
    is_either = bool(request.tools) and is_before_3(origin.model)  # Tools, or JSON, and not both.
    if form is not None and (form.is_native or (form.mode == "json" and not is_either)):
        chosen = members_of(body.get("generationConfig")) or {}
        if clashes := {"responseSchema", "responseJsonSchema"} & chosen.keys():
            raise set_by_both(clashes)
        formed: Json = {**chosen, "responseMimeType": "application/json"}
        if form.is_native:
            formed["responseJsonSchema"] = for_gemini(form.schema) or dict(form.schema)
        body["generationConfig"] = formed
    rest = encode(body)
    return b'{"contents":%b%b' % (encoded.contents, b"," + rest[1:] if body else b"}")


def continued(body: bytes, token: str) -> bytes:
    """Return the body of a request that goes on with the answer to another, from its token."""
    return body[:-1] + b',"continuationToken":%b}' % encode(token)


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
        raise set_by_both([f"the tool {name}" for name in twice])
    return [{"functionDeclarations": functions}, *provided]


def _tool_config(
    request: ModelRequest, asked: Mapping[str, object], has_provided: bool, model: str
) -> Json:
    config: Json = {}
    if request.tools and has_provided and not is_before_3(model):
        # Only then do the provider's own tools work beside functions.
        config["includeServerSideToolInvocations"] = True
    config |= asked
    if request.tool_choice is not None and request.tools:
        config["functionCallingConfig"] = _tool_choice(request.tool_choice)
    return config


def _tool_choice(choice: ToolChoice) -> Json:
    if isinstance(choice, Mapping):
        return in_camel_case(choice)
    modes = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
    if choice in modes:
        return {"mode": modes[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _listed(members: Mapping[str, object] | None, name: str) -> list[object]:
    values = (members or {}).get(name)
    return list(values) if isinstance(values, list | tuple) else []
