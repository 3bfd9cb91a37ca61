"""Google's Gemini API, over the official SDK; with the same class on Vertex AI.

Source: https://ai.google.dev/api/generate-content
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from typing_extensions import override

from kern.errors import ConfigurationError, ModelError
from kern.keywords import explained
from kern.models.base import Model, ModelRequest, ModelResponse, Piece, Reasoning
from kern.models.cache import response_cache
from kern.models.google.answer import read_response, response_in
from kern.models.google.params import joined
from kern.models.google.pieces import Pieces
from kern.models.google.service import Service
from kern.models.google.values import Json
from kern.models.google.wire import Origin, continued, request_body
from kern.models.retries import Retries, check_delay
from kern.run.numbers import check_count, check_seconds

# How long more is waited for once it was said why an answer ended, in seconds: some models say so
# with each event, and a connection that is read to its end serves the next call.
_MORE = 2.0


class Gemini(Model):
    """A model behind Google's Gemini API, or on Vertex AI."""

    provider = "Google"

    @explained
    def __init__(
        self,
        id: str = "gemini-3.7-flash",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        vertexai: bool | None = None,
        project_id: str | None = None,
        location: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        max_output_tokens: int | None = None,
        stop_sequences: Sequence[str] | None = None,
        seed: int | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        include_thoughts: bool | None = None,
        thinking_budget: int | None = None,
        thinking_level: str | None = None,
        response_modalities: Sequence[str] | None = None,
        speech_config: Mapping[str, object] | None = None,
        safety_settings: Sequence[object] | None = None,
        search: bool = False,
        grounding: bool = False,
        url_context: bool = False,
        code_execution: bool = False,
        cached_content: str | None = None,
        timeout: float | None = 600.0,
        max_retries: int = 4,
        default_headers: Mapping[str, str] | None = None,
        request_params: Mapping[str, object] | None = None,
        retries: int | None = None,
        delay_between_retries: float | None = None,
        exponential_backoff: bool | None = None,
        cache_response: bool = False,
        cache_ttl: float | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model's name.
            api_key: the key; by default what ``GOOGLE_API_KEY`` or else ``GEMINI_API_KEY`` holds
                at the first call.
            base_url: the server; by default ``GOOGLE_GEMINI_BASE_URL`` or, on Vertex AI,
                ``GOOGLE_VERTEX_BASE_URL``, else Google's.
            vertexai: whether the model is on Vertex AI, with the credentials of Google Cloud; by
                default ``GOOGLE_GENAI_USE_VERTEXAI`` says so.
            project_id: the project on Vertex AI; by default ``GOOGLE_CLOUD_PROJECT``.
            location: the region on Vertex AI; by default ``GOOGLE_CLOUD_LOCATION``.
            temperature: the sampling temperature, 0 to 2.
            top_p: the share of probability to sample from, 0 to 1.
            top_k: how many tokens to sample from.
            max_output_tokens: tokens of an answer at most, thoughts included; one that is cut off
                is an error.
            stop_sequences: texts at which the answer ends.
            seed: what to sample by, so that the same call tends to give the same answer.
            presence_penalty: how much to avoid what was said before, -2 to 2.
            frequency_penalty: the same, by how often it was said.
            include_thoughts: whether the model's thoughts are shown, summed up.
            thinking_budget: tokens of thoughts at most; 0 for none, -1 for as many as it takes.
            thinking_level: how much models since Gemini 3 think: ``"minimal"``, ``"low"``,
                ``"medium"`` or ``"high"``.
            response_modalities: what the answer consists of, such as ``["TEXT", "IMAGE"]`` or
                ``["AUDIO"]``.
            speech_config: the voice of an answer in sound, as the SDK's ``SpeechConfig``.
            safety_settings: what is blocked, as the SDK's ``SafetySetting`` objects or dicts.
            search: let the model search with Google; its sources are cited.
            grounding: the same, by its older name.
            url_context: let the model read the addresses that it is told.
            code_execution: let the model run code at the provider.
            cached_content: the name of a cache that the conversation goes on from.
            timeout: seconds that one try of a call may take, from the connection to the last byte
                of the answer, whole or streamed. Each repetition has as many again. None for any
                time.
            max_retries: how often a call is repeated after a failure that may pass: 408, 429, 5xx,
                a lost connection, and a failure of that kind within an answer. The pauses are those
                that the server asks for (``Retry-After`` or ``retryDelay``; above two minutes the
                call fails at once), or else 0.5 s and twice as long each time, up to 8 s. What has
                been streamed in part is repeated only by the run.
            default_headers: headers to send with each call.
            request_params: more parameters, by the names of the SDK's ``GenerateContentConfig``.
                Tools, ``thinking_config``, ``labels`` and the like are joined with what kern sends;
                ``extra_headers`` and ``extra_body`` as well.
            retries: another name of ``max_retries``.
            delay_between_retries: the seconds before a call is repeated, in place of those above.
            exponential_backoff: whether each of these pauses is twice as long as the one before
                (no).
            cache_response: give the same answer to the same request again, from files of this
                machine; for development.
            cache_ttl: for how many seconds such an answer is of use; by default for any time.
            cache_dir: where the files are; by default in ``~/.cache/kern/responses``.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself; or a number
                cannot be used.
        """
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        self.id = id
        self._max_retries = check_count(
            "max_retries", max_retries if retries is None else retries, ConfigurationError, least=0
        )
        self.delay_between_retries = check_delay(delay_between_retries)
        self.exponential_backoff = exponential_backoff
        own: dict[str, object] = {
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "max_output_tokens": max_output_tokens,
            "stop_sequences": stop_sequences,
            "seed": seed,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "thinking_config": _thinking(include_thoughts, thinking_budget, thinking_level),
            "response_modalities": [each.upper() for each in response_modalities or ()] or None,
            "speech_config": speech_config,
            "safety_settings": safety_settings,
            "cached_content": cached_content,
            "tools": _provided(
                google_search=search or grounding,
                url_context=url_context,
                code_execution=code_execution,
            ),
        }
        params = joined(own, request_params or {}, default_headers or {})
        self._body = params.body
        self.response_cache = response_cache(cache_response, cache_ttl, cache_dir, params.body)
        self._service = Service(
            id,
            api_key=api_key,
            base_url=base_url,
            vertexai=vertexai,
            project_id=project_id,
            location=location,
            timeout=timeout,
            default_headers=params.headers,
        )

    def __repr__(self) -> str:
        return f"Gemini({self.id!r})"

    def _retries(self) -> Retries:
        return Retries(self._max_retries, self.delay_between_retries, self.exponential_backoff)

    @property
    @override
    def origin(self) -> str:
        return " ".join((self.provider, self._service.server, self.id))

    @override
    async def prepare(self) -> None:
        await self._service.prepare()

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        origin = self._origin(request)
        body, retries = self._request(request, origin), self._retries()
        while True:
            try:
                return await self._whole(origin, body, Pieces(origin.model, request.messages))
            except ModelError as error:
                failure = self._service.failed(error)
            await retries.wait(failure)

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        origin = self._origin(request)
        body, retries = self._request(request, origin), self._retries()
        while True:
            pieces, is_handed_out = Pieces(origin.model, request.messages), False
            try:
                async with aclosing(self._answer(origin, body, pieces)) as answer:
                    async for piece in answer:
                        is_handed_out = is_handed_out or not isinstance(piece, Reasoning)
                        yield piece
                return
            except ModelError as error:
                failure = self._service.failed(error)
                failure.content = failure.content or pieces.text
            if is_handed_out:
                raise failure
            await retries.wait(failure)

    @override
    async def aclose(self) -> None:
        await self._service.aclose()

    @override
    def close(self) -> None:
        self._service.close()

    async def _whole(self, origin: Origin, body: bytes, pieces: Pieces) -> ModelResponse:
        """Ask once, and go on where the answer is longer than a request may bring."""
        asked = body
        while True:
            payload = await self._service.post(origin.model, asked)
            pieces.read(response_in(payload, origin.model))
            if (token := pieces.go_on()) is None:
                return read_response(pieces.whole(), origin, pieces.ids)
            asked = continued(body, token)

    async def _answer(
        self, origin: Origin, body: bytes, pieces: Pieces
    ) -> AsyncGenerator[Piece, None]:
        """Do the same, and yield the pieces of the answer as ``pieces`` reads them."""
        asked = body
        while True:
            async with aclosing(self._service.events(origin.model, asked)) as events:
                while (event := await _next(events, pieces.is_complete)) is not None:
                    for piece in pieces.read(event):
                        yield piece
            if not pieces.is_complete:
                raise ModelError(
                    f"{origin.model} ended its answer before it was complete.",
                    kind="connection",
                    transient=True,
                )
            if (token := pieces.go_on()) is None:
                yield read_response(pieces.whole(), origin, pieces.ids)
                return
            asked = continued(body, token)

    def _request(self, request: ModelRequest, origin: Origin) -> bytes:
        return request_body(request, origin, self._body, on_vertex=self._service.on_vertex)

    def _origin(self, request: ModelRequest) -> Origin:
        model = request.settings.get("model", self.id)
        return Origin(self.provider, self._service.server, str(model))


async def _next(events: AsyncGenerator[Json, None], is_complete: bool) -> Json | None:
    """Return the next event, or None at the end; what would come after a complete answer need not.

    Raises:
        ModelError: the stream broke off before the answer was complete.
    """
    if not is_complete:
        return await anext(events, None)
    try:
        async with asyncio.timeout(_MORE):
            return await anext(events, None)
    except (TimeoutError, ModelError):
        return None


def _thinking(include: bool | None, budget: int | None, level: str | None) -> Json | None:
    config = {
        "include_thoughts": include,
        "thinking_budget": budget,
        "thinking_level": level.upper() if level else None,
    }
    return {name: value for name, value in config.items() if value is not None} or None


def _provided(**tools: bool) -> list[Json] | None:
    return [{name: {}} for name, wanted in tools.items() if wanted] or None
