"""What users can choose of a model: the keywords of the classes in this room.

They are dictionaries with types, so that type checkers and editors know each keyword wherever a
class passes them on.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from kern.keywords import explanation
from kern.models.prices import Price

if TYPE_CHECKING:
    from pathlib import Path

    from httpx2 import AsyncClient
    from openai import AsyncOpenAI


class ClientOptions(TypedDict, total=False):
    """How the server is reached, and what is sent with each request.

    Attributes:
        api_key: the key; by default what the provider's variable (``OPENAI_API_KEY``) holds at the
            first call.
        base_url: the server; by default what ``OPENAI_BASE_URL`` holds, else the provider's.
        organization: who pays; by default what ``OPENAI_ORG_ID`` holds.
        timeout: seconds that one try of a call may take, from the connection to the last byte of
            the answer, whole or streamed, with redirects (600). Each repetition has as many again;
            with ``background``, each look at the answer. None for any time.
        max_retries: how often a call is repeated after a failure that may pass (4): 408, 409, 429,
            5xx, a lost connection, and a failure of that kind within an answer. The pauses are
            those that the server asks for (``Retry-After``; above two minutes the call fails at
            once), or else 0.5 s and twice as long each time, up to 8 s. What has been streamed in
            part is repeated only by the run.
        retries: another name of ``max_retries``.
        delay_between_retries: the seconds before a call is repeated, in place of those above.
        exponential_backoff: whether each of these pauses is twice as long as the one before (no).
        default_headers: headers to send with each call; ``extra_headers`` are joined with them.
        default_query: what to add to the address of each call, behind its ``?``; ``extra_query``
            is joined with it.
        extra_headers: more headers.
        extra_query: more members of the query.
        extra_body: more parameters of the API, such as those of a gateway.
        request_params: more parameters of the API. Lists and objects are joined with what kern
            sends; ``extra_headers``, ``extra_query`` and ``extra_body`` as well.
        http_client: the SDK's HTTP client to use in place of one of ours, which is not closed here.
        client_params: more arguments of the SDK's client.
        async_client: a client of the SDK, ``AsyncOpenAI``, to use in place of one of ours. It is
            asked for its own address and key, and is not closed here; it serves one event loop.
        client: the same.
        cache_response: give the same answer to the same request again, from files of this machine;
            for development.
        cache_ttl: for how many seconds such an answer is of use; by default for any time.
        cache_dir: where the files are; by default in ``~/.cache/kern/responses``.
        price: what the model costs; by default what genai-prices says.
    """

    api_key: str | None
    base_url: str | None
    organization: str | None
    timeout: float | None
    max_retries: int
    retries: int | None
    delay_between_retries: float | None
    exponential_backoff: bool | None
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, object] | None
    extra_body: Mapping[str, object] | None
    request_params: Mapping[str, object] | None
    http_client: "AsyncClient | None"
    client_params: Mapping[str, object] | None
    async_client: "AsyncOpenAI | None"
    client: "AsyncOpenAI | None"
    cache_response: bool
    cache_ttl: float | None
    cache_dir: "str | Path | None"
    price: Price | None


class CommonOptions(ClientOptions, total=False):
    """What both protocols know.

    Attributes:
        temperature: the sampling temperature, 0 to 2.
        top_p: the share of probability to sample from, 0 to 1.
        reasoning_effort: how long the model thinks: ``"none"``, ``"minimal"``, ``"low"``,
            ``"medium"``, ``"high"`` or ``"xhigh"``, as the model knows them.
        verbosity: how long its answers are: ``"low"``, ``"medium"`` or ``"high"``.
        parallel_tool_calls: whether it may call several tools at once; by default it may.
        store: whether the provider keeps the answer; by default the provider decides.
        metadata: texts to keep with a stored answer.
        user: who asks, as the provider is to know them.
        service_tier: which class of service answers, such as ``"flex"`` or ``"priority"``.
        prompt_cache_key: which requests are to meet in the provider's prompt cache. By default, at
            OpenAI's server, those of one session; an empty text sends none. For runs that have a
            long beginning in common and are fewer than some 15 a minute, give them one key.
        strict_output: whether the provider holds the model to the form of an answer (True).
    """

    temperature: float | None
    top_p: float | None
    reasoning_effort: str | None
    verbosity: str | None
    parallel_tool_calls: bool | None
    store: bool | None
    metadata: Mapping[str, str] | None
    user: str | None
    service_tier: str | None
    prompt_cache_key: str | None
    strict_output: bool


class ResponsesOptions(CommonOptions, total=False):
    """What the Responses API knows beside :class:`CommonOptions`.

    Attributes:
        max_output_tokens: tokens of an answer at most, with its reasoning; one that is cut off is
            an error.
        reasoning: how the model thinks, in the API's form; joined with the next and with
            ``reasoning_effort``.
        reasoning_summary: which summary of its thoughts is shown: ``"auto"``, ``"concise"`` or
            ``"detailed"``.
        max_tool_calls: how often an answer may use tools of the provider.
        include: what else the answer is to hold, by the API's names.
        truncation: ``"auto"`` has the provider leave out the middle of a conversation that is too
            long; ``"disabled"`` makes it an error.
    """

    max_output_tokens: int | None
    reasoning: Mapping[str, object] | None
    reasoning_summary: str | None
    max_tool_calls: int | None
    include: Sequence[str] | None
    truncation: str | None


class ChatOptions(CommonOptions, total=False):
    """What the Chat Completions API knows beside :class:`CommonOptions`.

    Attributes:
        max_completion_tokens: tokens of an answer at most, with its reasoning; one that is cut off
            is an error.
        max_tokens: the same, as older models and many servers call it.
        frequency_penalty: how strongly words that were frequent are avoided, -2 to 2.
        presence_penalty: how strongly words that have occurred are avoided, -2 to 2.
        seed: a number with which the same request is sampled alike.
        stop: up to four texts that end the answer.
        logit_bias: how much likelier tokens are made, by their ids.
        logprobs: whether the probabilities of its tokens are asked for.
        top_logprobs: of how many tokens in each place.
        modalities: what the answer is: ``["text"]`` or ``["text", "audio"]``.
        audio: voice and format of an answer as sound, ``{"voice": ..., "format": ...}``. A stream
            of it is of the format ``"pcm16"``.
        role_map: the names under which roles are sent; by default ``{"system": "developer"}`` at
            OpenAI's server, and no other names elsewhere.
    """

    max_completion_tokens: int | None
    max_tokens: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    seed: int | None
    stop: str | Sequence[str] | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    top_logprobs: int | None
    modalities: Sequence[str] | None
    audio: Mapping[str, object] | None
    role_map: Mapping[str, str] | None


def check_names(model: object, options: Mapping[str, object], known: type) -> None:
    """Check that there are options of these names.

    Args:
        model: whose they are.
        options: what was given.
        known: the typed dictionary of the options that there are.

    Raises:
        TypeError: there is no such option; the text names the nearest one.
    """
    for name in options.keys() - known.__annotations__.keys():
        raise TypeError(explanation(type(model).__name__, name, ["id", *known.__annotations__]))
