"""Google's Gemini API, over the official SDK; with the same class on Vertex AI.

Source: https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from typing_extensions import override

from kern.errors import ConfigurationError
from kern.keywords import explained
from kern.models.base import ModelRequest, OutputMode
from kern.models.cache import ResponseCache, response_cache
from kern.models.google.call import ContentCall
from kern.models.google.params import is_before_3, joined
from kern.models.google.service import GoogleService
from kern.models.google.wire import request_body
from kern.models.hosted import Call, HostedModel
from kern.models.prices import Price, check_price
from kern.models.retries import Retries
from kern.models.schema import for_gemini
from kern.models.values import Json
from kern.run.numbers import check_seconds


class Gemini(HostedModel):
    """A model behind Google's Gemini API, or on Vertex AI.

    Example:
        >>> Gemini("gemini-3.7-flash", thinking_level="low", search=True)
        Gemini('gemini-3.7-flash')
    """

    provider = "Google"
    _service: GoogleService

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
        price: Price | None = None,
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
            price: what the model costs; by default what genai-prices says.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself; or a number
                cannot be used.
        """
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        self.price: Price | None = check_price(price)
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
        params = joined(own, request_params or {}, default_headers)
        self._body = params.body
        self.response_cache: ResponseCache | None = response_cache(
            cache_response, cache_ttl, cache_dir, params.body
        )
        service = GoogleService(
            id,
            api_key=api_key,
            base_url=base_url,
            vertexai=vertexai,
            project_id=project_id,
            location=location,
            timeout=timeout,
            default_headers=params.headers,
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
        form = request.output_schema
        if request.tools and is_before_3(str(request.settings.get("model", self.id))):
            return "tool"  # It takes tools, or a form of its answer, and not both.
        return "native" if form is None or for_gemini(form.schema) is not None else "json"

    @override
    def _call(self, request: ModelRequest, retries: Retries) -> Call:
        asked, on_vertex = self.asked(request), self._service.on_vertex
        body = request_body(request, asked, self._body, on_vertex=on_vertex)
        return ContentCall(self._service, asked, body, request.messages)


def _thinking(include: bool | None, budget: int | None, level: str | None) -> Json | None:
    config = {
        "include_thoughts": include,
        "thinking_budget": budget,
        "thinking_level": level.upper() if level else None,
    }
    return {name: value for name, value in config.items() if value is not None} or None


def _provided(**tools: bool) -> list[Json] | None:
    return [{name: {}} for name, wanted in tools.items() if wanted] or None
