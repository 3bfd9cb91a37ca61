"""Claude, behind Anthropic's Messages API, over the official SDK.

Source: https://platform.claude.com/docs/en/api/messages
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path

from typing_extensions import override

from kern.errors import ConfigurationError, ModelError
from kern.keywords import explained
from kern.models.anthropic.answer import is_paused, read_answer
from kern.models.anthropic.params import joined
from kern.models.anthropic.pieces import Pieces
from kern.models.anthropic.service import Service
from kern.models.anthropic.values import Json, Origin
from kern.models.anthropic.wire import Options, continued, request_body
from kern.models.base import Model, ModelRequest, ModelResponse, Piece, Reasoning, Text
from kern.models.cache import response_cache
from kern.models.retries import Retries, check_delay
from kern.run.numbers import check_count, check_seconds

# How long the end of a stream is waited for once the answer is complete, in seconds: a connection
# that is read to its end serves the next call.
_DRAIN = 0.1

# How often a model that pauses within an answer, for its own tools take long, is asked to go on.
_MOST_PAUSES = 16

# An answer of more tokens may take longer than an idle connection lives, so it is streamed though
# nobody reads it. The SDK refuses to ask for one otherwise.
_MOST_TOKENS_AT_ONCE = 21_333

_OWN_KEYWORDS = frozenset(
    ("api_key", "auth_token", "base_url", "timeout", "max_retries", "default_headers")
)


class Claude(Model):
    """A model behind Anthropic's Messages API."""

    provider = "Anthropic"

    @explained
    def __init__(
        self,
        id: str = "claude-sonnet-5-5",
        *,
        max_tokens: int = 8192,
        thinking: Mapping[str, object] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        stop_sequences: Sequence[str] | None = None,
        cache_system_prompt: bool = False,
        cache_tools: bool = False,
        extended_cache_time: bool = False,
        cache_conversation: bool | None = None,
        betas: Sequence[str] | None = None,
        mcp_servers: Sequence[Mapping[str, object]] | None = None,
        citations: bool = False,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | None = None,
        timeout: float | None = 600.0,
        max_retries: int = 4,
        default_headers: Mapping[str, str] | None = None,
        client_params: Mapping[str, object] | None = None,
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
            max_tokens: tokens of an answer at most, thinking included; one that is cut off is an
                error.
            thinking: how the model thinks before it answers: ``{"type": "adaptive"}``, or
                ``{"type": "enabled", "budget_tokens": 4096}``. A model that thinks cannot be made
                to call a tool: ``tool_choice="required"`` leaves it free there.
            temperature: the sampling temperature, 0 to 1.
            top_p: the share of probability to sample from, 0 to 1.
            top_k: from how many of the likeliest tokens to sample.
            stop_sequences: texts that end the answer.
            cache_system_prompt: have the provider keep what goes before the conversation.
            cache_tools: have the provider keep the tools.
            extended_cache_time: keep all that is kept for an hour instead of five minutes.
            cache_conversation: have the provider keep the conversation, and what goes before it;
                by default where tools are offered, or the conversation goes on.
            betas: abilities that are asked for by name, in the header ``anthropic-beta``.
            mcp_servers: MCP servers whose tools the provider calls itself, each with ``type``,
                ``name``, ``url`` and the like. The header and the tools that belong to it are added
                unless ``betas`` names one of ``mcp-client-…``.
            citations: have the model name the passages of given documents that it rests on.
            api_key: the key; by default what ``ANTHROPIC_API_KEY`` holds at the first call.
            auth_token: in place of a key; by default what ``ANTHROPIC_AUTH_TOKEN`` holds.
            base_url: the server; by default ``ANTHROPIC_BASE_URL``, else Anthropic's.
            timeout: seconds that one try of a call may take, from the connection to the last byte
                of the answer, whole or streamed. Each repetition has as many again. None for any
                time.
            max_retries: how often a call is repeated after a failure that may pass: 408, 409, 429,
                5xx, 529, a lost connection, and a failure of that kind within an answer. The
                pauses are those that the server asks for (``Retry-After``; above two minutes the
                call fails at once), or else 0.5 s and twice as long each time, up to 8 s. What has
                been streamed in part is repeated only by the run.
            default_headers: headers to send with each call.
            client_params: more arguments of the SDK's client.
            request_params: more parameters of the API. Tools, ``metadata``, ``output_config`` and
                the like are joined with what kern sends; ``extra_headers``, ``extra_query``,
                ``extra_body`` and ``betas`` as well.
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
        self._options = Options(
            cache_system_prompt, cache_tools, extended_cache_time, citations, cache_conversation
        )
        if api_key and auth_token:
            raise ConfigurationError("Give Claude an api_key or an auth_token, not both.")
        if known := _OWN_KEYWORDS & (client_params or {}).keys():
            raise ConfigurationError(
                f"client_params cannot hold {', '.join(sorted(known))}: pass it to the model."
            )
        own: dict[str, object] = {
            "max_tokens": max_tokens,
            "thinking": thinking,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "stop_sequences": list(stop_sequences) if stop_sequences else None,
            "mcp_servers": list(mcp_servers) if mcp_servers else None,
        }
        params = joined(own, request_params or {}, default_headers or {}, betas or ())
        self._params: Mapping[str, object] = {"model": id, **params.body}
        sent = {**params.body, "citations": citations}
        self.response_cache = response_cache(cache_response, cache_ttl, cache_dir, sent)
        self._service = Service(
            id,
            api_key=api_key,
            auth_token=auth_token,
            base_url=base_url,
            timeout=timeout,
            headers=params.headers,
            query=params.query,
            client_params=client_params or {},
        )

    def __repr__(self) -> str:
        return f"Claude({self.id!r})"

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
        asked, retries = self._asked(request), self._retries()
        body, paused = self._body(request), list[Json]()
        while True:
            try:
                answer = await self._whole(continued(body, paused))
                if not is_paused(answer) or len(paused) == _MOST_PAUSES:
                    return read_answer([*paused, answer], asked, request.messages)
            except ModelError as error:
                failure = self._service.failed(error)
            else:
                paused.append(answer)
                retries.reset()
                continue
            await retries.wait(failure)

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        asked, retries = self._asked(request), self._retries()
        body, paused, said = self._body(request), list[Json](), ""
        while True:
            pieces, is_handed_out = Pieces(self.id), False
            try:
                async with aclosing(self._pieces(continued(body, paused), pieces)) as answer:
                    async for piece in answer:
                        if not isinstance(piece, Reasoning) and piece != Text(""):
                            is_handed_out = True
                        yield piece
                message = pieces.message
                if not is_paused(message) or len(paused) == _MOST_PAUSES:
                    response = read_answer([*paused, message], asked, request.messages)
                    if not (said or pieces.text) and response.message.text:
                        yield Text(response.message.text)
                    yield response
                    return
            except ModelError as error:
                failure = self._service.failed(error)
                failure.content = failure.content or said + pieces.text
            else:
                paused.append(message)
                said += pieces.text
                retries.reset()
                continue
            if is_handed_out:
                raise failure
            await retries.wait(failure)

    @override
    async def aclose(self) -> None:
        await self._service.aclose()

    @override
    def close(self) -> None:
        self._service.close()

    async def _whole(self, body: Mapping[str, bytes]) -> object:
        """Ask once, and return the answer."""
        tokens = body["max_tokens"]
        if not tokens.isdigit() or int(tokens) <= _MOST_TOKENS_AT_ONCE:
            return await self._service.post(body)
        pieces = Pieces(self.id)
        async with aclosing(self._pieces(body, pieces)) as answer:
            async for _ in answer:
                pass
        return pieces.message

    async def _pieces(
        self, body: Mapping[str, bytes], pieces: Pieces
    ) -> AsyncGenerator[Piece, None]:
        """Ask once, and yield the pieces of the answer as ``pieces`` reads them."""
        async with aclosing(self._service.events(body)) as events:
            async for event in events:
                if (piece := pieces.read(event)) is not None:
                    yield piece
                if pieces.is_complete:
                    await _drain(events)
                    return
        raise ModelError(
            f"{self.id} ended its answer before it was complete.", kind="connection", transient=True
        )

    def _body(self, request: ModelRequest) -> Mapping[str, bytes]:
        return request_body(request, self._asked(request), self._params, self._options)

    def _asked(self, request: ModelRequest) -> Origin:
        model = request.settings.get("model", self.id)
        return Origin(self.provider, self._service.server, str(model))


async def _drain(events: AsyncGenerator[Json, None]) -> None:
    with suppress(TimeoutError, ModelError):
        async with asyncio.timeout(_DRAIN):
            async for _ in events:
                pass
