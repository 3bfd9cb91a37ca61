"""Embedding models behind OpenAI's protocol: its own, and those of other servers."""

import asyncio
from array import array
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from typing_extensions import TypedDict, Unpack, override

from kern.aio.tasks import together
from kern.embedders.base import Embedder
from kern.embedders.usage import count
from kern.errors import ConfigurationError, ModelError
from kern.models.openai.options import ClientOptions, check_names
from kern.models.openai.params import joined
from kern.models.openai.provider import OPENAI, Provider
from kern.models.openai.service import OpenAIService
from kern.models.retries import Retries, check_delay
from kern.run.codec import dump
from kern.run.metrics import ModelMetrics
from kern.run.numbers import check_count

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from openai import AsyncOpenAI

# OpenAI takes 300,000 tokens a request, and few texts have more tokens than half their characters.
_CHARACTERS = 400_000

# How many batches are under way at once.
_AT_ONCE = 4

_RETRIES = 4

_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


class EmbedderOptions(TypedDict, total=False):
    """How the server is reached, and what is sent with each request.

    Attributes:
        api_key: the key; by default what the provider's variable (``OPENAI_API_KEY``) holds at the
            first call.
        base_url: the server; by default what ``OPENAI_BASE_URL`` holds, else the provider's.
        organization: who pays; by default what ``OPENAI_ORG_ID`` holds.
        timeout: seconds that one try of a call may take (600); None for any time.
        max_retries: how often a call is repeated after a failure that may pass (4), as a model's.
        delay_between_retries: the seconds before a call is repeated, where the server asks for
            none.
        exponential_backoff: whether each of these pauses is twice as long as the one before (no).
        default_headers: headers to send with each call.
        default_query: what to add to the address of each call, behind its ``?``.
        request_params: more parameters of the API.
        http_client: the SDK's HTTP client to use in place of one of ours, which is not closed here.
        client_params: more arguments of the SDK's client.
        async_client: a client of the SDK, ``AsyncOpenAI``, to use in place of one of ours.
    """

    api_key: str | None
    base_url: str | None
    organization: str | None
    timeout: float | None
    max_retries: int
    delay_between_retries: float | None
    exponential_backoff: bool | None
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    request_params: Mapping[str, object] | None
    http_client: "AsyncClient | None"
    client_params: Mapping[str, object] | None
    async_client: "AsyncOpenAI | None"


class OpenAIEmbedder(Embedder):
    """An embedding model at OpenAI.

    Attributes:
        at: who serves it.
        id: the model.
        dimensions: how many numbers an embedding has; None until the first one has told.

    Example:
        >>> OpenAIEmbedder("text-embedding-3-large", dimensions=1024).dimensions
        1024
    """

    at: ClassVar[Provider] = OPENAI
    default_id: ClassVar[str | None] = "text-embedding-3-small"

    def __init__(
        self,
        id: str | None = None,
        *,
        dimensions: int | None = None,
        batch_size: int = 100,
        document_prefix: str = "",
        query_prefix: str = "",
        **options: Unpack[EmbedderOptions],
    ) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model; by default OpenAI's small one.
            dimensions: how many numbers an embedding is to have, where the model lets one choose;
                by default as many as it has.
            batch_size: how many texts are sent in one request at most; four are under way at once.
            document_prefix: what the model wants before each text that is to be found, such as
                ``"search_document: "``.
            query_prefix: what it wants before what is looked for, such as ``"search_query: "``.
            options: see :class:`EmbedderOptions`.

        Raises:
            ConfigurationError: there is no model, or an option cannot be used.
            TypeError: there is no such option.
        """
        check_names(self, options, EmbedderOptions)
        name = id or self.default_id
        if not name:
            raise ConfigurationError(f"{type(self).__name__} needs the id of a model.")
        if dimensions is not None:
            check_count("dimensions", dimensions, ConfigurationError)
        self.id = name
        self.dimensions = dimensions or _DIMENSIONS.get(name)
        self._batch_size = check_count("batch_size", batch_size, ConfigurationError)
        self._prefixes = document_prefix, query_prefix
        client = cast("ClientOptions", options)
        own: dict[str, object] = {"model": name, "dimensions": dimensions}
        if self.at is OPENAI and not client.get("base_url"):
            own["encoding_format"] = "base64"  # A quarter of the bytes, and of the time to read it.
        params = joined(own, client, {"input": "it is what is embedded"})
        self._body = params.body
        self._limit = check_count(
            "max_retries", options.get("max_retries", _RETRIES), ConfigurationError, least=0
        )
        self._delay = check_delay(options.get("delay_between_retries"))
        self._doubled = options.get("exponential_backoff")
        self._service = OpenAIService(
            name, self.at, client, headers=params.headers, query=params.query
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    @override
    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._embedded([self._prefixes[0] + text for text in texts])

    @override
    async def aget_embedding(self, text: str) -> list[float]:
        [embedding] = await self._embedded([self._prefixes[1] + text])
        return embedding

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._service.aclose()

    async def _embedded(self, texts: list[str]) -> list[list[float]]:
        batches = [*self._batches(texts)]
        if len(batches) == 1:
            return await self._ask(batches[0])
        room = asyncio.Semaphore(_AT_ONCE)

        async def ask(batch: list[str]) -> list[list[float]]:
            async with room:
                return await self._ask(batch)

        async with together() as group:
            tasks = [group.create_task(ask(batch)) for batch in batches]
        return [each for task in tasks for each in task.result()]

    def _batches(self, texts: list[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        characters = 0
        for text in texts:
            if batch and (len(batch) == self._batch_size or characters + len(text) > _CHARACTERS):
                yield batch
                batch, characters = [], 0
            # The API refuses an empty text, though not one that says as little.
            batch.append(text or " ")
            characters += len(text)
        if batch:
            yield batch

    async def _ask(self, texts: list[str]) -> list[list[float]]:
        body = dump({**self._body, "input": texts}).encode()
        retries = Retries(self._limit, self._delay, self._doubled)
        while True:
            try:
                return self._read(await self._service.post("/embeddings", body), len(texts))
            except ModelError as error:
                await retries.wait(error)

    def _read(self, payload: object, number: int) -> list[list[float]]:
        try:
            answer = cast("Any", payload)
            data = sorted(answer["data"], key=lambda each: int(each["index"]))
            embeddings = [_numbers(each["embedding"]) for each in data]
            tokens = int((answer.get("usage") or {}).get("prompt_tokens") or 0)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            text = f"{self.id} answered with something that is no embedding."
            raise ModelError(text, kind="malformed") from error
        sizes = {len(each) for each in embeddings}
        if len(embeddings) != number or len(sizes) != 1 or 0 in sizes:
            text = f"{self.id} answered {number} texts with {len(embeddings)} embeddings."
            raise ModelError(text, kind="malformed")
        [size] = sizes
        self.dimensions = self.dimensions or size
        if size != self.dimensions:
            raise ConfigurationError(
                f"{self.id} makes embeddings of {size} numbers, not of {self.dimensions}: set "
                f"dimensions={size}, or leave it out."
            )
        count(ModelMetrics(self.id, self.at.name, input_tokens=tokens, total_tokens=tokens))
        return embeddings


class OpenAILikeEmbedder(OpenAIEmbedder):
    """An embedding model behind another server that speaks OpenAI's protocol.

    Attributes:
        at: who serves it.
        id: the model.
        dimensions: how many numbers an embedding has; None until the first one has told.

    Example:
        >>> OpenAILikeEmbedder("nomic-embed-text", base_url="http://localhost:11434/v1")
        OpenAILikeEmbedder('nomic-embed-text')
    """

    at: ClassVar[Provider] = Provider("OpenAILike", needs_key=False)
    default_id: ClassVar[str | None] = None


def _numbers(embedding: object) -> list[float]:
    """Return an embedding, which may come as base64 of what the machine computes with."""
    if isinstance(embedding, str):
        return array("f", b64decode(embedding, validate=True)).tolist()
    return [float(each) for each in cast("list[float]", embedding)]
