"""The servers that speak Anthropic's Messages API."""

import os
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from typing_extensions import override

from kern.errors import ConfigurationError, KernError, MissingKeyError, ModelError
from kern.extras import extra
from kern.models.failures import failure_of, refusal
from kern.models.origin import server_at
from kern.models.service import held
from kern.models.stainless import StainlessService, headers_with

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic, AsyncAnthropicBedrockMantle

Client: TypeAlias = "AsyncAnthropic | AsyncAnthropicBedrockMantle"
"""The SDK's clients that speak the Messages API as Anthropic's own server does."""

_ANTHROPIC = "https://api.anthropic.com"
_SIGNED = ("authorization", "x-api-key")


class AnthropicService(StainlessService[Client]):
    """The server of one model.

    Attributes:
        extra: the extra of the distribution that brings the SDK.
        key_variables: the environment variables that may hold the key.
        url_variable: the one that may hold the server.
    """

    extra: ClassVar[str] = "anthropic"
    key_variables: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    url_variable: ClassVar[str] = "ANTHROPIC_BASE_URL"

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        auth_token: str | None,
        base_url: str | None,
        timeout: float | None,
        headers: Mapping[str, str],
        query: Mapping[str, object],
        client_params: Mapping[str, object],
    ) -> None:
        """Prepare, without opening anything.

        Args:
            model: the model's id, for errors.
            api_key: the key; by default what the environment holds at the first call.
            auth_token: in place of a key.
            base_url: the server; by default the environment's, else the provider's.
            timeout: seconds to wait for an answer in all, from the connection to its last byte;
                None for any time.
            headers: headers to send with each call.
            query: what to add to the address of each call, behind its ``?``.
            client_params: more arguments of the SDK's client.
        """
        super().__init__(model, timeout)
        self._api_key = api_key
        self._auth_token = auth_token
        self._base_url = base_url
        self._headers = headers
        self._query = query
        self._client_params = client_params

    @property
    @override
    def server(self) -> str:
        address = self._base_url
        if address is None and (client := self._clients.opened) is not None:
            return self._server_of(client)
        return server_at(address or os.environ.get(self.url_variable) or self._usual_address())

    def _usual_address(self) -> str:
        """Return the provider's own server."""
        return _ANTHROPIC

    @override
    def _key(self) -> str | None:
        environment = map(os.environ.get, self.key_variables)
        return self._api_key or self._auth_token or next(filter(None, environment), None)

    @override
    async def _open(self) -> AsyncGenerator[Client, None]:
        with extra(self.extra):
            from anthropic import AnthropicError, DefaultAioHttpClient, omit
            from httpx2 import InvalidURL

            from kern.models.network import LIMITS

        http_client = DefaultAioHttpClient(limits=LIMITS)
        given: dict[str, Any] = {
            "api_key": self._api_key,
            "auth_token": self._auth_token,
            "base_url": self._base_url,
            "timeout": self._timeout,
            "max_retries": 0,
            "default_headers": headers_with(self._headers, omit),
            "default_query": self._query,
            "http_client": http_client,
            **self._client_params,
        }
        try:
            client = self._made(given)
        except KernError:
            await http_client.aclose()
            raise
        except (AnthropicError, InvalidURL, TypeError, ValueError) as error:
            await http_client.aclose()
            raise ConfigurationError(
                f"{self._model} cannot be asked: {error}. Check base_url, {self.url_variable} and "
                "client_params."
            ) from error
        with held(client):
            try:
                yield client
            finally:
                await client.close()

    def _made(self, given: dict[str, Any]) -> Client:
        """Return a client of the SDK.

        Args:
            given: its arguments, at which the SDK looks.

        Raises:
            MissingKeyError: there is no key.
        """
        from anthropic import AsyncAnthropic, CredentialsError

        try:
            client = AsyncAnthropic(**given)
        except CredentialsError as error:
            raise MissingKeyError(
                f"There is no API key for {self._model}: {error}", kind="authentication"
            ) from error
        has_header = any(name in _SIGNED for name in self._headers)
        if not (has_header or client.api_key or client.auth_token or client.credentials):
            raise MissingKeyError(
                f"There is no API key for {self._model}: set ANTHROPIC_API_KEY, or pass api_key. "
                "For a server of your own that asks for none, any value will do.",
                kind="authentication",
            )
        return client

    @override
    def _stream_class(self) -> object:
        from anthropic import AsyncStream

        return AsyncStream[object]

    @override
    def _explained(self, error: Exception) -> ModelError:
        from anthropic import APIStatusError, CredentialsError

        from kern.models.network import network_error

        if isinstance(error, APIStatusError):
            return self._refused(error)
        if isinstance(error, CredentialsError):
            text = f"There is no key for {self._model}: {error}"
            return ModelError(text, kind="authentication")
        server = self.url_variable
        address = f"base_url and {server}"
        return network_error(error, self._model, self._timeout, address=address, server=server)

    def _refused(self, error: "APIStatusError") -> ModelError:
        status = error.status_code
        said = error.api_message or str(error).removeprefix(f"Error code: {status} - ")
        failure = failure_of(error.error_code, status, said)
        if failure == failure_of(None, status):  # The type says more than an unknown code.
            failure = failure_of(error.type, status, said)
        return refusal(
            self._model,
            failure,
            said,
            status=status,
            headers=error.response.headers,
            key=self.key_variables[0],
            server=self.url_variable,
        )
