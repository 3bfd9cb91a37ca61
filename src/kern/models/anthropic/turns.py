"""The messages of a run as the turns of user and assistant that the Messages API takes.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import override

from kern.models.anthropic.parts import images_of, input_blocks, text_blocks
from kern.models.calls import object_of
from kern.models.encoded import Encoded
from kern.models.media import said
from kern.models.origin import Origin
from kern.models.values import Json, encode
from kern.run.message import Message

# What the API takes in the name and in the id of a call.
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")

_LONGEST_NAME = 128

CONTAINER = "kern.container"
"""Kept with the blocks of an answer, though it is none: where the code runs that made its calls."""

_IMAGES_ABOVE = "These are the images of the answer above."


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

    def to_json(self, marker: Json | None = None) -> bytes:
        """Return the turn as a message of the API, its last block with these members."""
        blocks = [*self.results, *self.blocks]
        if marker and blocks:
            blocks[-1] = b"%b,%b" % (blocks[-1][:-1], encode(marker)[1:])
        content = b",".join(blocks)
        return b'{"role":"%b","content":[%b]}' % (self.role.encode(), content)


class Turns(Encoded):
    """The messages of a run as turns of user and assistant.

    Attributes:
        turns: the conversation.
        system: the texts of the system messages.
        container: where the code runs that made the last answer's calls, or None.
        citations: whether the model is to cite the documents that it is given.
    """

    def __init__(self, origin: Origin, *, citations: bool = False) -> None:
        """Begin with none.

        Args:
            origin: whose answers are handed back as they were.
            citations: whether the model is to cite the documents that it is given.
        """
        self.citations = citations
        super().__init__(origin)

    @property
    @override
    def key(self) -> object:
        return self.origin, self.citations

    @override
    def clear(self) -> None:
        self.turns: list[Turn] = []
        self.system: list[str] = []
        self.container: object = None
        self._carried: list[Json] = []
        self._ids: dict[str, str] = {}
        self._used_ids: set[str] = set()

    @override
    def add(self, message: Message, *, is_past: bool) -> None:
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
        is_own = self.origin.made(message)
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
        if message.is_error and {each["type"] for each in blocks} == {"text"}:
            result["is_error"] = True  # The API takes it with texts only, and not without one.
        return result


def answer_blocks(message: Message) -> list[Json]:
    """Return an answer as any model takes it: its text, and its calls."""
    calls: list[Json] = [
        {
            "type": "tool_use",
            "id": call.id,
            "name": _UNSAFE.sub("_", call.name)[:_LONGEST_NAME] or "unnamed",
            "input": object_of(call.arguments),
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
