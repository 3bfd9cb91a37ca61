"""Claude, behind Anthropic's Messages API, over the official SDK.

Source: https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from typing_extensions import override

from kern.errors import ConfigurationError
from kern.keywords import explained
from kern.models.anthropic.call import MessageCall
from kern.models.anthropic.params import joined
from kern.models.anthropic.service import AnthropicService
from kern.models.anthropic.wire import Options, request_body
from kern.models.base import ModelRequest
from kern.models.hosted import Call, HostedModel
from kern.models.retries import Retries
from kern.run.numbers import check_seconds

_OWN_KEYWORDS = frozenset(
    ("api_key", "auth_token", "base_url", "timeout", "max_retries", "default_headers")
)


class Claude(HostedModel):
    """A model behind Anthropic's Messages API."""

    provider = "Anthropic"
    _service: AnthropicService
    _service_class: ClassVar[type[AnthropicService]] = AnthropicService

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
            extended_cache_time: keep these for an hour instead of five minutes.
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

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself; or a number
                cannot be used.
        """
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        self._options = Options(cache_system_prompt, cache_tools, extended_cache_time, citations)
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
        params = joined(own, request_params or {}, default_headers, betas or ())
        self._params: Mapping[str, object] = {"model": id, **params.body}
        service = self._service_class(
            id,
            api_key=api_key,
            auth_token=auth_token,
            base_url=base_url,
            timeout=timeout,
            headers=params.headers,
            query=params.query,
            client_params=client_params or {},
        )
        super().__init__(id, service, max_retries)

    @override
    def _call(self, request: ModelRequest, retries: Retries) -> Call:
        asked = self.asked(request)
        body = request_body(request, asked, self._params, self._options)
        return MessageCall(self._service, asked, body, request.messages)
