"""The servers of Google's models: the Gemini API, and Vertex AI.

The SDK knows where a request goes and signs it, on Vertex AI with the credentials of Google Cloud;
its aiohttp client sends it. A middleware of that client, which is aiohttp's own way to look at
requests and answers, puts the body in and takes the answer out. The SDK's types would hold every
part against every type that it can have, refuse those that they do not know, and leave out members
which the API wants back.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

from typing_extensions import override

from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.extras import extra
from kern.models.google.failures import failed
from kern.models.origin import server_at
from kern.models.service import Service, Stream, held
from kern.models.values import Json
from kern.run.codec import parse

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession
    from google.genai import Client

_GOOGLE = "https://generativelanguage.googleapis.com"


class GoogleService(Service["Client"]):
    """The server of one model, which is asked by the model's id."""

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None,
        vertexai: bool | None,
        project_id: str | None,
        location: str | None,
        timeout: float | None,
        default_headers: Mapping[str, str],
    ) -> None:
        """Prepare, without opening anything.

        Args:
            model: the model's id, for errors.
            api_key: the key; by default what ``GOOGLE_API_KEY`` or else ``GEMINI_API_KEY`` holds
                at the first call.
            base_url: the server; by default ``GOOGLE_GEMINI_BASE_URL`` or, on Vertex AI,
                ``GOOGLE_VERTEX_BASE_URL``, else Google's.
            vertexai: whether it is on Vertex AI; by default ``GOOGLE_GENAI_USE_VERTEXAI`` says so.
            project_id: the project on Vertex AI; by default ``GOOGLE_CLOUD_PROJECT``.
            location: where on Vertex AI; by default ``GOOGLE_CLOUD_LOCATION``.
            timeout: seconds to wait for an answer in all, from the connection to its last byte;
                None for any time.
            default_headers: headers to send with each call.
        """
        super().__init__(model, timeout)
        self._api_key = api_key
        self._base_url = base_url
        self._vertexai = vertexai
        self._project_id = project_id
        self._location = location
        self._default_headers = default_headers

    @property
    def on_vertex(self) -> bool:
        """Whether the model is on Vertex AI."""
        if self._vertexai is not None:
            return self._vertexai
        names = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")
        said = next((value for name in names if (value := os.environ.get(name)) is not None), "")
        return said.lower() in ("true", "1")

    @property
    @override
    def server(self) -> str:
        name = "GOOGLE_VERTEX_BASE_URL" if self.on_vertex else "GOOGLE_GEMINI_BASE_URL"
        address = self._base_url or os.environ.get(name) or _GOOGLE
        if self.on_vertex and address == _GOOGLE:
            location = self._location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
            return f"aiplatform.googleapis.com/{location}"
        return server_at(address)

    @override
    def _key(self) -> str | None:
        given = self._api_key or os.environ.get("GOOGLE_API_KEY")
        return given or os.environ.get("GEMINI_API_KEY") or None

    @override
    async def _open(self) -> AsyncGenerator["Client", None]:
        with extra("google"):
            from aiohttp import ClientSession, TCPConnector

            # Any number of connections: how many runs are in flight is limited elsewhere.
            session = ClientSession(
                connector=TCPConnector(limit=0), middlewares=(_exchange,), trust_env=True
            )
        with held(session):
            try:
                # In a thread: it reads certificates, and on Vertex AI asks for credentials.
                client = await asyncio.to_thread(self._opened, session)
                try:
                    yield client
                finally:
                    await client.aio.aclose()
                    client.close()
            finally:
                await session.close()

    def _opened(self, session: "ClientSession") -> "Client":
        with extra("google"):
            from google.auth.exceptions import GoogleAuthError
            from google.genai import Client
            from google.genai.types import HttpOptions, HttpRetryOptions
        logging.getLogger("google_genai.models").addFilter(_is_of_others)
        if not (self.on_vertex or self._key()):
            raise MissingKeyError(
                f"There is no API key for {self._model}: set GOOGLE_API_KEY, or pass api_key. On "
                "Vertex AI pass vertexai=True.",
                kind="authentication",
            )
        options = HttpOptions(
            aiohttp_client=session,
            base_url=self._base_url,
            headers=dict(self._default_headers),
            # Else it would wait up to ten seconds and try once more.
            retry_options=HttpRetryOptions(attempts=1),
        )
        try:
            return Client(
                vertexai=self.on_vertex,
                api_key=self._api_key,
                project=self._project_id,
                location=self._location,
                http_options=options,
            )
        except GoogleAuthError as error:
            raise MissingKeyError(
                f"There are no credentials of Google Cloud for {self._model}: {error}",
                kind="authentication",
            ) from error
        except ValueError as error:
            raise ConfigurationError(f"{self._model} cannot be called: {error}") from error

    @override
    async def _whole(self, client: "Client", method: str, path: str, body: bytes | None) -> bytes:
        response = await _send(client, path, body or b"", stream=False)
        try:
            content = await response.read()
        finally:
            response.release()
        if response.status != 200:
            raise _refused(response, content, path)
        return content

    @override
    async def _stream(self, client: "Client", path: str, body: bytes | None) -> Stream:
        response = await _send(client, path, body or b"", stream=True)

        async def close() -> None:
            response.close()

        try:
            if response.status != 200:
                raise _refused(response, await response.read(), path)
            if response.content_type == "application/json":
                # No stream: an error, or a proxy that answers whole.
                return Stream(_one_event(await response.read()), close)
        except BaseException:
            response.close()
            raise
        return Stream(response.content.iter_any(), close)

    @override
    def _explained(self, error: Exception) -> ModelError:
        from google.auth.exceptions import GoogleAuthError, TransportError

        from kern.models.network import network_error

        if isinstance(error, TransportError):  # Google Cloud was not reached for credentials.
            error = ConnectionError(str(error))
        if isinstance(error, GoogleAuthError):
            text = (
                f"Google Cloud gives no access to {self._model}: {str(error).rstrip('.')}. Check "
                "GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud."
            )
            return ModelError(text, kind="authentication")
        address, server = "base_url and GOOGLE_GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"
        return network_error(error, self._model, self._timeout, address=address, server=server)


async def _send(client: "Client", model: str, body: bytes, *, stream: bool) -> "ClientResponse":
    """Return the answer to a request as it begins, not read yet."""
    asked, models = _body.set(body), client.aio.models
    try:
        # The SDK wants something to say; the body that is sent stands in its place.
        if stream:
            async for _ in await models.generate_content_stream(model=model, contents="-"):
                break
        else:
            await models.generate_content(model=model, contents="-")
    except _Answered as answered:
        return answered.response
    finally:
        _body.reset(asked)
    raise AssertionError("an answer does not get to the SDK")


_body: ContextVar[bytes] = ContextVar("body")


class _Answered(Exception):  # noqa: N818 # No error: carries an answer past the SDK.
    def __init__(self, response: "ClientResponse") -> None:
        self.response = response


def _is_of_others(_: logging.LogRecord) -> bool:
    """Keep out of the log that the SDK would call functions: it is not given any."""
    return _body.get(None) is None


async def _exchange(request: "ClientRequest", handler: "ClientHandlerType") -> "ClientResponse":
    """Send the caller's own body, and hand the answer to the caller.

    A redirect is an answer, too: the key is not sent to anybody else.
    """
    await request.update_body(_body.get())
    raise _Answered(await handler(request))


async def _one_event(content: bytes) -> AsyncIterator[bytes]:
    """Yield an answer as the one event of a stream: its JSON in one line."""
    text = content.strip()
    if text.startswith(b"["):
        text = text[1:-1]  # So answers come where no events were asked for.
    yield b"data: %b\n\n" % text.translate(_IN_ONE_LINE)


_IN_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


def _an_object(value: object) -> Json:
    if isinstance(value, list) and len(value) == 1:
        [value] = value
    return value if isinstance(value, dict) else {}


def _refused(response: "ClientResponse", content: bytes, model: str) -> ModelError:
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        payload = _an_object(parse(content))
    except (ValueError, RecursionError):
        payload = {}
    if not isinstance(payload.get("error"), dict):
        said = content.decode(errors="replace").strip()[:500]
        payload = {"error": {"message": said or response.reason or "it does not say why"}}
    return failed(payload, model, response.status, headers)
