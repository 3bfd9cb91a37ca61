"""The Chat Completions API as a protocol of this room.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import ClassVar

from typing_extensions import override

from kern.models.base import ModelRequest, ModelResponse
from kern.models.openai.api import Api, Reader
from kern.models.openai.caching import with_cache_key
from kern.models.openai.chat.answer import read_completion
from kern.models.openai.chat.pieces import Chunks
from kern.models.openai.chat.wire import request_body
from kern.models.openai.options import ChatOptions
from kern.models.openai.params import joined
from kern.models.openai.service import OpenAIService
from kern.models.origin import Origin
from kern.models.retries import Retries
from kern.models.values import Json, encode, members_of, to_object
from kern.run.message import Message

_ELSEWHERE: Mapping[str, str] = {
    "model": "the model's id says it",
    "messages": "kern sends the conversation",
    "stream": "kern streams what somebody reads",
    "n": "kern reads one answer",
    "timeout": "pass it to the model",
}

# The keywords that are the API's own parameters.
_DIRECT = (
    "temperature",
    "top_p",
    "max_completion_tokens",
    "max_tokens",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "audio",
    "parallel_tool_calls",
    "store",
    "metadata",
    "user",
    "service_tier",
    "prompt_cache_key",
)

_OPENAI = "api.openai.com/"


class ChatApi(Api):
    """The Chat Completions API, with the parameters of one model.

    Attributes:
        params: what is sent with each request.
    """

    path: ClassVar[str] = "/chat/completions"
    suffix: ClassVar[str] = " Chat"

    def __init__(self, options: ChatOptions) -> None:
        """Read the options of a model.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself.
        """
        values: Mapping[str, object] = {**options}
        own = {name: values.get(name) for name in _DIRECT}
        self.params = joined(own, options, _ELSEWHERE)
        self._strict_output = options.get("strict_output", True)
        self._role_map = options.get("role_map")

    @override
    def body(self, request: ModelRequest, origin: Origin) -> dict[str, bytes]:
        roles = self._role_map
        if roles is None:
            # Servers other than OpenAI's may know no developer.
            roles = {"system": "developer"} if origin.server.startswith(_OPENAI) else {}
        own = with_cache_key(self.params.body, request, origin.server)
        return request_body(request, origin, own, roles=roles, strict_output=self._strict_output)

    @override
    def read(self, payload: object, origin: Origin, messages: Sequence[Message]) -> ModelResponse:
        return read_completion(payload, origin, messages)

    @override
    def reader(self, request: ModelRequest, origin: Origin) -> Reader:
        return Chunks(origin, request.messages)

    @override
    def events(
        self,
        service: OpenAIService,
        request: ModelRequest,
        body: Mapping[str, bytes],
        retries: Retries,
    ) -> AsyncGenerator[Json, None]:
        given = {**self.params.body, **request.settings}
        body = {**body, "stream": b"true"}
        if given.get("stream_options", ()) is not None:
            # Without it a stream does not say what it has used; None is for servers that refuse it.
            options = members_of(given.get("stream_options")) or {}
            body["stream_options"] = encode({"include_usage": True, **options})
        return service.events(self.path, to_object(body), ())
