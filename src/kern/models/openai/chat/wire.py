"""From kern's messages to the JSON of a request to the Chat Completions API.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence

from typing_extensions import override

from kern.models.base import CallOptions, ModelRequest, OutputSchema, ToolChoice
from kern.models.media import said
from kern.models.openai.chat.parts import input_parts
from kern.models.openai.encoded import Items
from kern.models.openai.params import tools_of
from kern.models.origin import Origin
from kern.models.params import given_options, set_by_both, settings_of
from kern.models.schema import for_openai
from kern.models.strict import strict_parameters
from kern.models.values import Json, encode, number_at, object_at, objects_in
from kern.run.content import AudioPart, FilePart, ImagePart, Part
from kern.run.message import Message
from kern.run.tool import ToolSchema

_SET_HERE = frozenset(("messages", "stream", "n"))

# What servers take as the id of a call; other providers have longer ones, and with other letters.
_ID = re.compile(r".{1,40}")
_IDS = {"api.mistral.ai": re.compile("[A-Za-z0-9]{9}")}


class Conversation(Items):
    """The messages of a conversation."""

    def __init__(self, origin: Origin, roles: Mapping[str, str]) -> None:
        """Begin with none.

        Args:
            origin: whose answers are handed back with what they held beside text and calls.
            roles: the names under which roles are sent.
        """
        super().__init__(origin)
        self._roles = roles

    @property
    @override
    def key(self) -> object:
        return self.origin, dict(self._roles)

    @override
    def items_of(self, message: Message, *, is_past: bool) -> Sequence[Json]:
        values = self._message(message, is_past)
        return ({**values, "role": self._roles.get(message.role, message.role)},)

    @override
    def media_of(self, message: Message) -> Sequence[Part]:
        # What an answer said aloud is handed back by its id, or as text.
        kinds = ImagePart | FilePart | (AudioPart if message.role == "tool" else ImagePart)
        return [part for part in message.parts if isinstance(part, kinds)]

    @override
    def shown(self, parts: Sequence[Part], *, is_past: bool) -> Json:
        return {"role": "user", "content": input_parts(parts, is_past=is_past)}

    def _message(self, message: Message, is_past: bool) -> Json:
        match message.role:
            case "assistant":
                own = message.provider_items[0] if self.origin.made(message) else {}
                return _answer(message, own, self.origin.server)
            case "tool":
                call_id = _call_id(message.tool_call_id or "", self.origin.server)
                return {"role": "tool", "tool_call_id": call_id, "content": message.text}
            case "system":
                return {"role": "system", "content": message.text}
        content: object = message.content or ""
        if isinstance(content, tuple):
            content = input_parts(content, is_past=is_past)
        return {"role": "user", "content": content}


def _answer(message: Message, own: Json, server: str) -> Json:
    """Return an answer as any server takes it, and what its own server wants back beside that."""
    values: Json = {"role": "assistant"}
    own = dict(own)
    if "tool_calls" in own:
        calls = objects_in(own["tool_calls"])
        own["tool_calls"] = [
            {**each, "id": _call_id(str(each.get("id")), server)} for each in calls
        ]
    if "audio" in own and number_at(object_at(own, "audio"), "expires_at") < time.time():
        del own["audio"]  # The server has it no more.
    if message.refusal:
        values["refusal"] = message.text
    elif "audio" not in own:
        values["content"] = said(message.content) or (None if message.tool_calls else "")
    else:
        own["audio"] = {"id": object_at(own, "audio")["id"]}
    if message.tool_calls:
        values["tool_calls"] = [
            {
                "id": _call_id(call.id, server),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return values | own


def _call_id(id: str, server: str) -> str:
    """Return the id of a call as a server takes it, always the same for the same one."""
    if _IDS.get(server.partition("/")[0], _ID).fullmatch(id):
        return id
    return hashlib.sha256(id.encode(errors="replace")).hexdigest()[:9]


def request_body(
    request: ModelRequest,
    origin: Origin,
    own: Mapping[str, object],
    *,
    roles: Mapping[str, str],
    strict_output: bool,
) -> dict[str, bytes]:
    """Return the body of a request: its parameters, each as JSON.

    Args:
        request: the conversation, the tools, and how to answer.
        origin: whose answers are handed back with what they held beside text and calls.
        own: the other parameters.
        roles: the names under which roles are sent.
        strict_output: whether the provider may be asked to hold the model to a form.

    Raises:
        ModelError: a message holds something that the API does not take, a parameter has no JSON
            form, or the request sets what kern does.
    """
    encoded = Conversation(origin, roles).of(request)
    settings = settings_of(request, _SET_HERE)
    given: Json = {"model": origin.model, **own, **settings, "messages": None}
    if request.options is not None:
        given |= {**_options(request.options, own, origin), **settings}
    given.pop("stream_options", None)
    if request.tools or "tools" in settings:
        given["tools"] = tools_of(request, own.get("tools"), [*map(_function, request.tools)])
    if not given.get("tools"):
        given.pop("parallel_tool_calls", None)  # The API refuses it without tools.
    if request.tool_choice is not None and given.get("tools"):
        given["tool_choice"] = _tool_choice(request.tool_choice)
    form = request.output_schema
    if form is not None and form.mode != "tool":
        if given.get("response_format") is not None:
            raise set_by_both(["response_format"])
        given["response_format"] = _format(form, strict_output)
    body = {name: encode(value) for name, value in given.items()}
    body["messages"] = b"[%b]" % b",".join(encoded.items)
    return body


def _options(options: CallOptions, own: Mapping[str, object], origin: Origin) -> Json:
    given = given_options(options)
    if (tokens := given.pop("max_output_tokens", None)) is not None:
        # The older name is the one that most other servers know, and OpenAI's models refuse.
        is_new = "max_completion_tokens" in own or origin.provider.startswith(_WITH_NEW_NAMES)
        is_older = "max_tokens" in own or not is_new
        given["max_tokens" if is_older else "max_completion_tokens"] = tokens
    return given


_WITH_NEW_NAMES = ("OpenAI Chat", "Azure")


def _function(tool: ToolSchema) -> Json:
    strict = strict_parameters(tool, for_openai)
    function: Json = {
        "name": tool.name,
        "description": tool.description,
        "parameters": strict or tool.parameters,
    }
    if strict is not None:  # Servers other than OpenAI's may not know the member.
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> object:
    is_sent_so = isinstance(choice, Mapping) or choice in ("none", "auto", "required")
    return choice if is_sent_so else {"type": "function", "function": {"name": choice}}


def _format(form: OutputSchema, strict: bool) -> Json:
    if not form.is_native:
        return {"type": "json_object"}
    said = for_openai(form.schema) if form.strict and strict else None
    schema = {
        "name": form.name,
        "schema": said or dict(form.schema),
        "strict": said is not None,
    }
    return {"type": "json_schema", "json_schema": schema}
