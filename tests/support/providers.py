"""Every provider, in one table, for the tests of what holds for each of them."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAILike, OpenAIResponses
from kern.testing import Reply
from kern.testing.protocols import Protocol, anthropic, chat, google, responses

NewModel: TypeAlias = Callable[..., Model]
"""Takes the arguments of the model that differ from the usual ones of the tests."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A class of models, and how its server says what is not said alike by all.

    Attributes:
        kind: the class.
        protocol: what its server speaks.
        key: the environment variable of its key, or None where it needs none.
        too_long: how its server says that the context is too long: the message and the code.
        takes_sound: whether it is told recordings, and counts their tokens.
        drawn: an image in an answer, as its server sends it, or None where it draws none.
        options: what its models are made with beside the usual.
    """

    kind: Any
    protocol: Protocol
    key: str | None
    too_long: tuple[str, str | None]
    takes_sound: bool = False
    drawn: Mapping[str, object] | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the class."""
        name: str = self.kind.__name__
        return name

    def at(self, url: str, **options: object) -> Model:
        """Return a model at a server, which gives up at the first error unless told otherwise."""
        usual = {
            "base_url": f"{url}/v1" if self.protocol in (responses, chat) else url,
            "api_key": "sk-test-key",
            "max_retries": 0,
        }
        model: Model = self.kind("test-model", **{**usual, **self.options, **options})
        return model

    def signature(self, text: str) -> str:
        """Return a signature as it is in a request."""
        # Google sends bytes, and bytes are base64 there.
        return base64.b64encode(text.encode()).decode() if self.protocol is google else text

    @property
    def says_too_long(self) -> Reply:
        """The reply that refuses a context that is too long."""
        message, code = self.too_long
        return Reply.http_error(400, message, code=code)


_OPENAIS = ("Your input exceeds the context window of this model.", "context_length_exceeded")

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
"""An image of one pixel."""

_IMAGE = base64.b64encode(PNG).decode()
_IMAGE_ITEM = {
    "type": "image_generation_call",
    "id": "ig_1",
    "status": "completed",
    "result": _IMAGE,
}

PROVIDERS = {
    each.name: each
    for each in (
        Provider(OpenAIResponses, responses, "OPENAI_API_KEY", _OPENAIS, drawn=_IMAGE_ITEM),
        Provider(OpenAIChat, chat, "OPENAI_API_KEY", _OPENAIS, takes_sound=True),
        Provider(OpenAILike, chat, None, _OPENAIS, takes_sound=True),
        Provider(
            Claude,
            anthropic,
            "ANTHROPIC_API_KEY",
            ("prompt is too long: 200001 tokens > 200000 maximum", None),
        ),
        Provider(
            Gemini,
            google,
            "GOOGLE_API_KEY",
            ("The input token count (9) exceeds the maximum number of tokens allowed (8).", None),
            takes_sound=True,
            drawn={"inlineData": {"mimeType": "image/png", "data": _IMAGE}},
        ),
    )
}
