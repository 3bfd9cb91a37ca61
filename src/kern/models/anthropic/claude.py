"""Claude, behind Anthropic's Messages API, over the official SDK.

Source: https://platform.claude.com/docs/en/api/messages
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from kern.errors import ConfigurationError
from kern.keywords import explained
from kern.models.anthropic.caching import Options
from kern.models.anthropic.call import MessageCall
from kern.models.anthropic.params import joined
from kern.models.anthropic.service import AnthropicService
from kern.models.anthropic.wire import request_body
from kern.models.base import ModelRequest, OutputMode
from kern.models.cache import ResponseCache, response_cache
from kern.models.hosted import Call, HostedModel
from kern.models.prices import Price, check_price
from kern.models.retries import Retries
from kern.models.schema import for_claude
from kern.run.numbers import check_seconds

_OWN_KEYWORDS = frozenset(
    ("api_key", "auth_token", "base_url", "timeout", "max_retries", "default_headers")
)


class Claude(HostedModel):
    """A model behind Anthropic's Messages API.

    Example:
        >>> Claude("claude-sonnet-5-5", max_tokens=16_000, thinking={"type": "adaptive"})
        Claude('claude-sonnet-5-5')
    """

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
        price: Price | None = None,
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
            price: what the model costs; by default what genai-prices says.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself; or a number
                cannot be used.
        """
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        self.price: Price | None = check_price(price)
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
        params = joined(own, request_params or {}, default_headers, betas or ())
        self._params: Mapping[str, object] = params.body
        sent = {**params.body, "citations": citations}
        self.response_cache: ResponseCache | None = response_cache(
            cache_response, cache_ttl, cache_dir, sent
        )
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
        super().__init__(
            id,
            service,
            max_retries if retries is None else retries,
            delay_between_retries,
            exponential_backoff,
        )

    @override
    def output_mode(self, request: ModelRequest) -> OutputMode:
        form, model = request.output_schema, str(request.settings.get("model", self.id))
        is_sayable = form is None or for_claude(form.schema) is not None
        return "native" if is_sayable and not _WITHOUT_FORMS.match(model) else "tool"

    @override
    def _call(self, request: ModelRequest, retries: Retries) -> Call:
        asked = self.asked(request)
        body = request_body(request, asked, {"model": self.id, **self._params}, self._options)
        return MessageCall(self._service, asked, body, request.messages)


# The models that take no form of an answer.
_WITHOUT_FORMS = re.compile(r"claude-(2|3|instant|(opus|sonnet)-4-(0|2025))")
