"""Requests that say only what is new since an answer which the provider has stored.

Source: https://developers.openai.com/api/docs/guides/conversation-state
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2s

from kern.errors import ModelError
from kern.models.base import ModelRequest, ModelResponse
from kern.run.codec import dump
from kern.run.message import Message

_KEPT_ID = "kern.response"
"""Kept with the items of an answer, though it is none: its id, and what it has answered."""


@dataclass(frozen=True, slots=True)
class Previous:
    """The answers of one model at one server, which stores them.

    Attributes:
        provider: whose server it is.
        server: the server.
        model: the model's id.
    """

    provider: str
    server: str
    model: str

    def shortened(self, request: ModelRequest) -> ModelRequest | None:
        """Return the request without what the provider has stored, or None if that is nothing.

        What it has stored has to be what it would be told now: a history that was cut, or a run
        that began with a part of another one, is sent whole.
        """
        messages = request.messages
        for place in range(len(messages) - 1, -1, -1):
            if (kept := self._kept_in(messages[place])) is None:
                continue
            new = messages[place + 1 :]
            if not new or kept.get("of") != _digest(messages[:place]):
                return None
            system = [each for each in messages[:place] if each.role == "system"]
            settings = {**request.settings, "previous_response_id": kept.get("id")}
            return replace(request, messages=[*system, *new], settings=settings, memo={})
        return None

    def kept(self, response: ModelResponse, request: ModelRequest) -> ModelResponse:
        """Return an answer that says under which id the provider has stored it.

        Args:
            response: the answer.
            request: what it answers, as a whole.
        """
        message = response.message
        if response.id is None or message.refusal:
            return response
        kept: dict[str, object] = {
            "type": _KEPT_ID,
            "id": response.id,
            "of": _digest(request.messages),
        }
        return replace(
            response,
            message=replace(
                message,
                provider=self.provider,
                server=self.server,
                model=self.model,
                provider_items=[*message.provider_items, kept],
            ),
        )

    def _kept_in(self, message: Message) -> dict[str, object] | None:
        if (message.provider, message.server, message.model) != (
            self.provider,
            self.server,
            self.model,
        ):
            return None
        found = (item for item in message.provider_items if item.get("type") == _KEPT_ID)
        return next(found, None)


def is_unknown(error: ModelError) -> bool:
    """Say whether a request may have failed because the provider has the answer no more."""
    return error.status_code in (400, 404) and error.kind != "context_length"


def without_id(items: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Return the items of an answer without what is none."""
    return [item for item in items if item.get("type") != _KEPT_ID]


def _digest(messages: Sequence[Message]) -> str:
    """Return what stands for a conversation; system messages are told anew with each request."""
    digest = blake2s(digest_size=16)
    for each in messages:
        if each.role != "system":  # What is said beside a message changes when a later run has it.
            digest.update(dump(replace(each, more=None)).encode())
    return digest.hexdigest()
