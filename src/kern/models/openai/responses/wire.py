"""From kern's messages to the JSON of a request to the Responses API.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from kern.models.base import CallOptions, ModelRequest, OutputSchema, ToolChoice
from kern.models.media import said
from kern.models.openai.encoded import Items
from kern.models.openai.params import tools_of
from kern.models.openai.responses.parts import input_parts
from kern.models.openai.responses.previous import without_id
from kern.models.origin import Origin
from kern.models.params import given_options, set_by_both, settings_of
from kern.models.schema import for_openai
from kern.models.strict import strict_parameters
from kern.models.values import Json, encode, members_of
from kern.run.content import FilePart, ImagePart, Part
from kern.run.message import Message
from kern.run.tool import ToolSchema

_SET_HERE = frozenset(("input", "stream", "background"))


class Input(Items):
    """The items of a conversation.

    Attributes:
        instructions: the texts of the system messages.
    """

    @override
    def clear(self) -> None:
        super().clear()
        self.instructions: tuple[str, ...] = ()
        self._custom_calls: frozenset[str] = frozenset()

    @override
    def items_of(self, message: Message, *, is_past: bool) -> Sequence[Json]:
        if message.role == "system":
            self.instructions += (message.text,)
            return ()
        return self._input_items(message, is_past)

    @override
    def media_of(self, message: Message) -> Sequence[Part]:
        if message.role == "tool" or self.origin.made(message):
            return ()  # The API takes them there.
        return [part for part in message.parts if isinstance(part, ImagePart | FilePart)]

    @override
    def shown(self, parts: Sequence[Part], *, is_past: bool) -> Json:
        return {"role": "user", "content": input_parts(parts, is_past=is_past)}

    def _input_items(self, message: Message, is_past: bool) -> list[Json]:
        if self.origin.made(message) and (own := without_id(message.provider_items)):
            items = _with_ends(own)
            self._custom_calls |= {
                str(each.get("call_id")) for each in items if each.get("type") == "custom_tool_call"
            }
            return items
        content: object = message.content or ""
        if isinstance(content, tuple):
            # The API takes an answer's text only: its sources and reasoning are the model's own.
            is_answer = message.role == "assistant"
            content = said(content) if is_answer else input_parts(content, is_past=is_past)
        if message.role == "tool":
            call_id = message.tool_call_id
            kind = "custom_tool_call" if call_id in self._custom_calls else "function_call"
            return [{"type": f"{kind}_output", "call_id": call_id, "output": content}]
        if message.role == "assistant":
            return _answer_items(message, content)
        return [{"role": message.role, "content": content}]


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
    request: ModelRequest, origin: Origin, own: Mapping[str, object], *, strict_output: bool
) -> dict[str, bytes]:
    """Return the body of a request: its parameters, each as JSON.

    Args:
        request: the conversation, the tools, and how to answer.
        origin: whose answers are handed back as they were.
        own: the other parameters.
        strict_output: whether the provider may be asked to hold the model to a form.

    Raises:
        ModelError: a message holds something that the API does not take, a parameter has no JSON
            form, or the request sets what kern does.
    """
    encoded = Input(origin).of(request)
    settings = settings_of(request, _SET_HERE)
    given: Json = {"model": origin.model, **own, **settings, "input": None}
    if request.options is not None:
        given |= {**_options(request.options, own), **settings}
    if encoded.instructions:
        if "instructions" in settings:
            raise set_by_both(["instructions"])
        given["instructions"] = "\n\n".join(encoded.instructions)
    if request.tools or "tools" in settings:
        given["tools"] = tools_of(request, own.get("tools"), [*map(_function, request.tools)])
    if request.tool_choice is not None and given.get("tools"):
        given["tool_choice"] = _tool_choice(request.tool_choice)
    form = request.output_schema
    if form is not None and form.mode != "tool":
        text = members_of(given.get("text")) or {}
        if text.get("format") is not None:
            raise set_by_both(["text.format"])
        given["text"] = {**text, "format": _format(form, strict_output)}
    body = {name: encode(value) for name, value in given.items()}
    body["input"] = b"[%b]" % b",".join(encoded.items)
    return body


def _options(options: CallOptions, own: Mapping[str, object]) -> Json:
    given = given_options(options)
    if (effort := given.pop("reasoning_effort", None)) is not None:
        given["reasoning"] = {**(members_of(own.get("reasoning")) or {}), "effort": effort}
    return given


def _function(tool: ToolSchema) -> Json:
    strict = strict_parameters(tool, for_openai)
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": strict or tool.parameters,
        "strict": strict is not None,
    }


def _tool_choice(choice: ToolChoice) -> object:
    is_sent_so = isinstance(choice, Mapping) or choice in ("none", "auto", "required")
    return choice if is_sent_so else {"type": "function", "name": choice}


def _format(form: OutputSchema, strict: bool) -> Json:
    if not form.is_native:
        return {"type": "json_object"}
    said = for_openai(form.schema) if form.strict and strict else None
    return {
        "type": "json_schema",
        "name": form.name,
        "schema": said or dict(form.schema),
        "strict": said is not None,
    }
