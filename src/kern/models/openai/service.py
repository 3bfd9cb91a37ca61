"""The servers that speak OpenAI's protocols."""

from collections.abc import AsyncGenerator, Coroutine, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.extras import extra
from kern.models.failures import failure_of, refusal
from kern.models.openai.options import ClientOptions
from kern.models.openai.provider import OPENAI, Provider
from kern.models.origin import server_at
from kern.models.service import held
from kern.models.stainless import StainlessService, headers_with
from kern.run.numbers import check_seconds

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from openai import APIStatusError, AsyncOpenAI


class OpenAIService(StainlessService["AsyncOpenAI"]):
    """The server of one model; it is asked through ours or through the user's client."""

    def __init__(
        self,
        model: str,
        provider: Provider,
        options: ClientOptions,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, object],
    ) -> None:
        """Prepare, without opening anything.

        Args:
            model: the model's id, for errors.
            provider: whose server it is.
            options: how it is reached.
            headers: headers to send with each call.
            query: what to add to the address of each call, behind its ``?``.

        Raises:
            ConfigurationError: the client that is to be used is no asynchronous one, or the
                timeout is no number of seconds.
        """
        self.client: AsyncOpenAI | None
        self._asked_through: AsyncOpenAI | None
        self.base_url: str | None = options.get("base_url")
        self.api_key: str | None = options.get("api_key")
        timeout = options.get("timeout", 600.0)
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        super().__init__(model, timeout)
        self._provider = provider
        self._options = options
        self._headers = headers
        self._query = query
        self._opened = (self.base_url, self.api_key)
        self.use(options.get("async_client") or options.get("client"))

    def use(self, client: "AsyncOpenAI | None") -> None:
        """Ask through a client of the user's from the next call on, or no more.

        Raises:
            ConfigurationError: it is no asynchronous one.
        """
        if client is not None and not iscoroutinefunction(getattr(client, "post", None)):
            raise ConfigurationError(
                f"The model's client is a {type(client).__name__}; kern needs an asynchronous one: "
                "pass async_client=AsyncOpenAI(...)."
            )
        self.client, self._asked_through = client, None
        if client is not None:
            # kern repeats, the SDK does not.
            self._asked_through = client.with_options(
                max_retries=0, default_headers=self._headers, default_query=self._query
            )

    @property
    @override
    def server(self) -> str:
        if self.client is not None:
            return server_at(str(self.client.base_url))
        if self.base_url is self._opened[0] is None and (opened := self._clients.opened):
            return self._server_of(opened)
        return server_at(self._address())

    def _address(self) -> str:
        return self.base_url or self._provider.address()

    @override
    def _key(self) -> str | None:
        return self.client.api_key if self.client else self.api_key or self._provider.key()

    @override
    def _ready(self) -> Coroutine[Any, Any, "AsyncOpenAI"]:
        if self._asked_through is None and (self.base_url, self.api_key) == self._opened:
            return self._clients.get()
        return self._changed()

    async def _changed(self) -> "AsyncOpenAI":
        """Return the user's client, or one with the address and key of this moment."""
        if self._asked_through is not None:
            return self._asked_through
        client = await self._clients.get()
        return client.with_options(base_url=self._address(), api_key=self._key())

    @override
    async def _open(self) -> AsyncGenerator["AsyncOpenAI", None]:
        with extra("openai"):
            from httpx2 import InvalidURL
            from openai import DefaultAioHttpClient

            from kern.models.network import LIMITS

        key, address, hint = self._key(), self._address(), self._provider.address_hint
        if not key:
            raise MissingKeyError(
                f"There is no API key for {self._model}: set {self._provider.key_variable}, or "
                "pass api_key. For a server of your own that asks for none, any value will do.",
                kind="authentication",
            )
        if not address:
            variable = self._provider.url_variable
            remedy = "Pass base_url" + (f", or set {variable}." if variable else ".")
            raise ConfigurationError(f"{self._model} has no address. {remedy}")
        given = self._options.get("http_client")
        http_client = given or DefaultAioHttpClient(limits=LIMITS)
        try:
            client = self._made(key, address, http_client)
        except InvalidURL as error:
            if given is None:
                await http_client.aclose()
            raise ConfigurationError(
                f"{self._model} has no usable address: {error}. Check {hint}."
            ) from error
        if given is not None:
            yield client
            return
        with held(client):
            try:
                yield client
            finally:
                await client.close()

    def _made(self, key: str, address: str, http_client: "AsyncClient") -> "AsyncOpenAI":
        from openai import AsyncOpenAI, omit

        given: dict[str, Any] = {
            "api_key": key,
            "base_url": address,
            "organization": self._options.get("organization"),
            "timeout": self._timeout,
            "max_retries": 0,
            "default_headers": headers_with(self._headers, omit),
            "default_query": self._query,
            "http_client": http_client,
            **(self._options.get("client_params") or {}),
        }
        client = AsyncOpenAI(**given)
        if self._provider is not OPENAI:
            # The SDK takes these from OpenAI's variables, and they concern nobody else.
            client.organization, client.project = given["organization"], given.get("project")
        return client

    @override
    def _stream_class(self) -> object:
        from openai import AsyncStream

        return AsyncStream[object]

    @override
    def _explained(self, error: Exception) -> ModelError:
        from openai import APIStatusError

        from kern.models.network import network_error

        if isinstance(error, APIStatusError):
            return self._refused(error)
        address, server = self._provider.address_hint, self._provider.url_variable or "base_url"
        return network_error(error, self._model, self._timeout, address=address, server=server)

    def _refused(self, error: "APIStatusError") -> ModelError:
        status, said = error.status_code, str(error)
        return refusal(
            self._model,
            failure_of(error.code or error.type, status, said),
            said.removeprefix(f"Error code: {status} - "),
            status=status,
            headers=error.response.headers,
            key=self._provider.key_variable or "api_key",
            server=self._provider.url_variable or "base_url",
        )
