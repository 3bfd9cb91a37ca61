"""From kern's messages to the JSON of a request to the Messages API.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

from kern.errors import ModelError
from kern.models.anthropic.parts import images_of, input_blocks, input_of, said, text_blocks
from kern.models.anthropic.values import Json, Origin, encode, listed, members_of, objects_in
from kern.models.base import ModelRequest
from kern.models.media import last_answer
from kern.run.message import Message

logger = logging.getLogger("kern")

# What the API takes in the name and in the id of a call.
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")

_LONGEST_NAME = 128

CONTAINER = "kern.container"
"""Kept with the blocks of an answer, though it is none: where the code runs that made its calls."""

_IMAGES_ABOVE = "These are the images of the answer above."


@dataclass(frozen=True, slots=True)
class Options:
    """What is marked in a request.

    Attributes:
        cache_system: whether the provider is to keep what goes before the messages.
        cache_tools: whether the provider is to keep the tools.
        for_an_hour: whether it is to keep them for an hour instead of five minutes.
        citations: whether the model is to cite the documents that it is given.
    """

    cache_system: bool = False
    cache_tools: bool = False
    for_an_hour: bool = False
    citations: bool = False

    @property
    def marker(self) -> Json:
        """What ends a part of the request that the provider is to keep."""
        kept: Json = {"type": "ephemeral"}
        return {"cache_control": {**kept, "ttl": "1h"} if self.for_an_hour else kept}


@dataclass(slots=True)
class Turn:
    """What one side says until the other one answers.

    Attributes:
        role: which side.
        results: of the user, the results of tools, which have to come first.
        blocks: what else is said, each block as JSON.
    """

    role: Literal["user", "assistant"]
    results: list[bytes] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)

    def to_json(self) -> bytes:
        """Return the turn as a message of the API."""
        content = b",".join((*self.results, *self.blocks))
        return b'{"role":"%b","content":[%b]}' % (self.role.encode(), content)


class Encoded:
    """The messages of a run as they are sent: each is encoded once.

    Attributes:
        turns: the conversation, in which user and assistant take turns.
        system: the texts of the system messages.
        container: where the code runs that made the last answer's calls, or None.
        origin: whose answers are handed back as they were, with thinking and signatures.
        citations: whether the model is to cite the documents that it is given.
    """

    def __init__(self, origin: Origin, *, citations: bool = False) -> None:
        """Begin with none.

        Args:
            origin: whose answers are handed back as they were.
            citations: whether the model is to cite the documents that it is given.
        """
        self.origin = origin
        self.citations = citations
        self._clear()

    def _clear(self) -> None:
        self.turns: list[Turn] = []
        self.system: list[str] = []
        self.container: object = None
        self._values: list[object] = []
        self._carried: list[Json] = []
        self._ids: dict[str, str] = {}
        self._used_ids: set[str] = set()

    def update(self, messages: Sequence[Message]) -> None:
        """Hold these messages; what is encoded already stays where they begin with it.

        Raises:
            ModelError: a message holds something that the API does not take.
        """
        values: list[object] = [*map(_values_of, messages)]
        if values[: len(self._values)] != self._values:
            self._clear()
        answered = last_answer(messages)
        for place in range(len(self._values), len(messages)):
            self._add(messages[place], is_past=place < answered)
            self._values.append(values[place])

    def _add(self, message: Message, is_past: bool) -> None:
        match message.role:
            case "system":
                if message.text.strip():
                    self.system.append(message.text)
            case "assistant":
                if blocks := self._answer(message):
                    self._turn("assistant").blocks += map(encode, blocks)
                if images := images_of(message.content):
                    self._carried += [*text_blocks(_IMAGES_ABOVE), *images]
            case "tool":
                result = encode(self._result(message))
                self._turn("user").results.append(result)
            case "user":
                blocks = input_blocks(message.content, citations=self.citations, is_past=is_past)
                if blocks or self._carried:
                    self._turn("user").blocks += map(encode, blocks)

    def _turn(self, role: Literal["user", "assistant"]) -> Turn:
        """Return the last turn if it is of this side, or else a new one."""
        if not self.turns or self.turns[-1].role != role:
            self.turns.append(Turn(role))
        if role == "user" and self._carried:
            self.turns[-1].blocks += map(encode, self._carried)
            self._carried = []
        return self.turns[-1]

    def _answer(self, message: Message) -> list[Json]:
        is_own = message.provider_items and self.origin == _origin_of(message)
        blocks = _own_blocks(message) if is_own else answer_blocks(message)
        ids = [each.get("id") for each in message.provider_items if each.get("type") == CONTAINER]
        self.container = ids[0] if is_own and ids else None
        return [
            {**block, "id": self._new_id(str(block.get("id")))}
            if block.get("type") == "tool_use"
            else block
            for block in blocks
        ]

    def _new_id(self, call_id: str) -> str:
        """Return the id under which a call is sent, which no other call of the request has."""
        known = _UNSAFE.sub("_", call_id) or "call"
        sent, count = known, 1
        while sent in self._used_ids:
            count += 1
            sent = f"{known}_{count}"
        self._used_ids.add(sent)
        self._ids[call_id] = sent
        return sent

    def _result(self, message: Message) -> Json:
        call_id = message.tool_call_id or ""
        result: Json = {
            "type": "tool_result",
            "tool_use_id": self._ids.get(call_id, _UNSAFE.sub("_", call_id)),
        }
        # Nobody here can choose what a tool has made.
        if blocks := input_blocks(message.content, is_past=True):
            result["content"] = blocks
        return result


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


def answer_blocks(message: Message) -> list[Json]:
    """Return an answer as any model takes it: its text, and its calls."""
    calls: list[Json] = [
        {
            "type": "tool_use",
            "id": call.id,
            "name": _UNSAFE.sub("_", call.name)[:_LONGEST_NAME] or "unnamed",
            "input": input_of(call.arguments),
        }
        for call in message.tool_calls
    ]
    return [*text_blocks(said(message.content)), *calls]


def _own_blocks(message: Message) -> list[Json]:
    """Return the blocks of an answer as they were, without what the API does not take back.

    It takes no blank texts, though it sends them, and no thinking after which nothing follows.
    """
    blocks = [
        block
        for block in message.provider_items
        if block.get("type") != CONTAINER
        and (block.get("type") != "text" or str(block.get("text") or "").strip())
    ]
    while blocks and blocks[-1].get("type") in ("thinking", "redacted_thinking"):
        blocks.pop()
    return blocks


def request_body(
    request: ModelRequest, origin: Origin, own: Mapping[str, object], options: Options
) -> dict[str, bytes]:
    """Return the body of a request: its parameters, each as JSON.

    The same messages always give the same bytes, so that the provider's prompt cache still hits.

    Args:
        request: the conversation, the tools, and how to answer.
        origin: whose answers are handed back as they were, with thinking and signatures.
        own: the other parameters.
        options: what is marked in it.

    Raises:
        ModelError: a message holds something that the API does not take, all of them are empty, a
            parameter has no JSON form, or the request sets what kern does.
    """
    encoded = request.memo.get(origin.provider)
    if not (
        isinstance(encoded, Encoded)
        and (encoded.origin, encoded.citations) == (origin, options.citations)
    ):
        encoded = Encoded(origin, citations=options.citations)
    request.memo[origin.provider] = encoded
    encoded.update(request.messages)
    if not encoded.turns:
        raise ModelError(
            f"There is nothing to ask {origin.model}: every message is empty.",
            kind="invalid_request",
        )
    if set_here := _SET_HERE & request.settings.keys():
        raise _clash(set_here)
    given: Json = {**own, **request.settings, "messages": None}
    if encoded.container is not None:
        given.setdefault("container", encoded.container)
    if encoded.system:
        if "system" in request.settings:
            raise _clash(["system"])
        given["system"] = _system(encoded.system, options)
    if tools := _tools(request, own, options):
        given["tools"] = tools
    if choice := _tool_choice(request.tool_choice, given, origin.model):
        given["tool_choice"] = choice
    if request.output_schema is not None:
        output = members_of(given.get("output_config")) or {}
        if output.get("format") is not None:
            raise _clash(["output_config.format"])
        form = {"type": "json_schema", "schema": dict(request.output_schema.schema)}
        given["output_config"] = {**output, "format": form}
    body = {name: encode(value) for name, value in given.items()}
    body["messages"] = b"[%b]" % b",".join(turn.to_json() for turn in encoded.turns)
    return body


_SET_HERE = frozenset(("messages", "stream"))


def continued(body: Mapping[str, bytes], answers: Sequence[Json]) -> Mapping[str, bytes]:
    """Return a body that has the model go on with an answer in which it has paused.

    Args:
        body: what was asked.
        answers: the answers to it so far, each with which the model has paused.
    """
    if not answers:
        return body
    blocks = [block for answer in answers for block in objects_in(answer.get("content"))]
    turn = Turn("assistant", blocks=[*map(encode, blocks)]).to_json()
    more = {"messages": body["messages"][:-1] + b"," + turn + b"]"}
    container = members_of(answers[-1].get("container")) or {}
    if container.get("id"):  # What its tools have made by now is there.
        more["container"] = encode(container["id"])
    return {**body, **more}


def _clash(names: Iterable[str]) -> ModelError:
    return ModelError(
        f"The request sets {', '.join(sorted(names))}, which kern sets itself. Take it out of the "
        "settings of the request, or of request_params.",
        kind="invalid_request",
    )


def _system(texts: Sequence[str], options: Options) -> object:
    text = "\n\n".join(texts)
    if not options.cache_system:
        return text
    return [{"type": "text", "text": text, **options.marker}]


def _tools(
    request: ModelRequest, own: Mapping[str, object], options: Options
) -> list[Mapping[str, object]]:
    """Return the agent's functions, and the tools that the provider has, as its user gave them.

    A tool that the provider defines and the agent has a function for (``bash``, say) is sent as the
    provider defines it.
    """
    given: list[Mapping[str, object]] = []
    for tools in (own.get("tools"), request.settings.get("tools")):
        given += [members for tool in listed(tools) if (members := members_of(tool)) is not None]
    names = {tool.name for tool in request.tools}
    defined = {each.get("name") for each in given if each.get("type", "custom") != "custom"}
    if twice := [str(name) for each in given if (name := each.get("name")) in names - defined]:
        raise _clash([f"the tool {name}" for name in twice])
    functions: list[Mapping[str, object]] = [
        {
            "name": tool.name,
            **({"description": tool.description} if tool.description else {}),
            "input_schema": tool.parameters,
        }
        for tool in request.tools
        if tool.name not in defined
    ]
    tools = [*functions, *given]
    if options.cache_tools and tools:
        tools[-1] = {**tools[-1], **options.marker}
    return tools


def _tool_choice(choice: str | None, given: Json, model: str) -> Mapping[str, object] | None:
    """Return how the model is to choose among the tools; of none, nothing can be said."""
    own = members_of(given.pop("tool_choice", None)) or {}
    if not given.get("tools") or not (choice or own):
        return None
    kind = {"none": "none", "auto": "auto", "required": "any"}.get(choice or "auto", "tool")
    asked: Json = {"type": kind} if choice or "type" not in own else {}
    if asked.get("type") == "tool":
        asked["name"] = choice
    asked = {**own, **asked}
    if asked["type"] in ("any", "tool") and _thinks(given):
        # The API refuses it: a model that is made to call something cannot think first.
        logger.warning("%s thinks before it answers, so it is free to call no tool.", model)
        asked = {name: value for name, value in asked.items() if name != "name"}
        asked["type"] = "auto"
    if asked["type"] == "none":
        return {"type": "none"}
    return asked


def _thinks(given: Mapping[str, object]) -> bool:
    thinking = members_of(given.get("thinking")) or {}
    return thinking.get("type") not in (None, "disabled")
