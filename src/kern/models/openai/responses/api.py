"""The Responses API as a protocol of this room.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import ClassVar

from typing_extensions import override

from kern.models.base import ModelRequest, ModelResponse
from kern.models.openai.api import Api, Reader
from kern.models.openai.caching import with_cache_key
from kern.models.openai.options import ResponsesOptions
from kern.models.openai.params import joined
from kern.models.openai.responses.answer import read_response
from kern.models.openai.responses.kept import KeptAnswer
from kern.models.openai.responses.pieces import WANTED, Pieces
from kern.models.openai.responses.wire import request_body
from kern.models.openai.service import OpenAIService
from kern.models.origin import Origin
from kern.models.params import Given, Params, members_at
from kern.models.retries import Retries
from kern.models.values import Json, to_object
from kern.run.message import Message

_ELSEWHERE: Mapping[str, str] = {
    "model": "the model's id says it",
    "input": "kern sends the conversation",
    "conversation": "kern sends the conversation",
    "previous_response_id": "kern sends the conversation",
    "instructions": "give them to the agent",
    "stream": "kern streams what somebody reads",
    "background": "pass background=True to the model",
    "timeout": "pass it to the model",
}

# The keywords that are the API's own parameters, and those that say how the model thinks.
_DIRECT = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "store",
    "parallel_tool_calls",
    "max_tool_calls",
    "include",
    "metadata",
    "truncation",
    "user",
    "service_tier",
    "prompt_cache_key",
)
_REASONING = frozenset(("reasoning", "reasoning_effort", "reasoning_summary"))

_SEALED = "reasoning.encrypted_content"


class ResponsesApi(Api):
    """The Responses API, with the parameters of one model.

    Attributes:
        params: what is sent with each request.
        keeps_answers: whether the provider goes on with an answer though nobody waits for it.
    """

    path: ClassVar[str] = "/responses"

    def __init__(self, options: ResponsesOptions, *, background: bool = False) -> None:
        """Read the options of a model.

        Args:
            options: its keywords.
            background: whether the provider keeps its answers.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself.
        """
        self.keeps_answers = background
        self._strict_output = options.get("strict_output", True)
        self.params: Params = _params(options)

    @override
    def body(self, request: ModelRequest, origin: Origin) -> dict[str, bytes]:
        own = with_cache_key(self.params.body, request, origin.server)
        return request_body(request, origin, own, strict_output=self._strict_output)

    @override
    def read(self, payload: object, origin: Origin, messages: Sequence[Message]) -> ModelResponse:
        return read_response(payload, origin, messages)

    @override
    def reader(self, request: ModelRequest, origin: Origin) -> Reader:
        return Pieces(origin, request.messages, handle=request.handle, is_kept=self.keeps_answers)

    @override
    def events(
        self,
        service: OpenAIService,
        request: ModelRequest,
        body: Mapping[str, bytes],
        retries: Retries,
    ) -> AsyncGenerator[Json, None]:
        if self.keeps_answers:
            return KeptAnswer(service, request.handle, body, retries).events()
        return service.events(self.path, to_object({**body, "stream": b"true"}), WANTED)


def _params(options: ResponsesOptions) -> Params:
    own: dict[str, object] = {name: value for name, value in options.items() if name in _DIRECT}
    own["reasoning"] = _reasoning(options)
    own["text"] = {"verbosity": options["verbosity"]} if options.get("verbosity") else None
    params = joined(own, options, _ELSEWHERE)
    if params.body.get("store") is False:
        # Without it, a provider that keeps nothing cannot go on from its own reasoning.
        params.body["include"] = _with_sealed(params.body.get("include"))
    return params


def _reasoning(options: ResponsesOptions) -> dict[str, object] | None:
    if options.keys().isdisjoint(_REASONING):
        return None
    reasoning = Given({"effort": options.get("reasoning_effort")})
    reasoning.join(members_at(options, "reasoning"))
    if summary := options.get("reasoning_summary"):
        reasoning.join({"summary": summary})
    reasoning.check("reasoning")
    return reasoning.values or None


def _with_sealed(include: object) -> object:
    given = Given({"include": include})
    given.join({"include": [_SEALED]})
    given.check("request_params")
    return given.values["include"]
