"""The server of a model of Google: JSON and events go in and out, what fails is ours.

The SDK knows where a request goes and signs it, on Vertex AI with the credentials of Google Cloud;
its aiohttp client sends it. A middleware of that client, which is aiohttp's own way to look at
requests and answers, puts the body in and takes the answer out. The SDK's types would hold every
part against every type that it can have, refuse those that they do not know, and leave out members
which the API wants back. The SDK repeats nothing: ``kern.models.retries`` does.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kern.aio.limit import Allowance
from kern.aio.per_loop import PerLoop
from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.extras import extra
from kern.models.google.failures import failed
from kern.models.google.values import Json
from kern.models.sse import read_events
from kern.run.codec import parse

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession
    from google.genai import Client

_GOOGLE = "https://generativelanguage.googleapis.com"


class Service:
    """The server of one model, with its connections for each event loop."""

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
        self._model = model
        self._api_key = api_key
        self._base_url = base_url
        self._vertexai = vertexai
        self._project_id = project_id
        self._location = location
        self._timeout = timeout
        self._default_headers = default_headers
        self._clients = PerLoop(self._client)

    @property
    def on_vertex(self) -> bool:
        """Whether the model is on Vertex AI."""
        if self._vertexai is not None:
            return self._vertexai
        names = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")
        said = next((value for name in names if (value := os.environ.get(name)) is not None), "")
        return said.lower() in ("true", "1")

    @property
    def server(self) -> str:
        """Which server it is: its host, port and path, with nothing secret."""
        name = "GOOGLE_VERTEX_BASE_URL" if self.on_vertex else "GOOGLE_GEMINI_BASE_URL"
        address = self._base_url or os.environ.get(name) or _GOOGLE
        if self.on_vertex and address == _GOOGLE:
            location = self._location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
            return f"aiplatform.googleapis.com/{location}"
        try:
            url = urlsplit(address)
        except ValueError:  # The first call will say so.
            return ""
        return url.netloc.rpartition("@")[2].lower() + url.path.rstrip("/")

    async def prepare(self) -> None:
        """Load the SDK and open a client.

        Raises:
            MissingKeyError: there is no key, or on Vertex AI no credentials.
            ConfigurationError: the SDK cannot use what it was given.
            MissingExtraError: the SDK is not installed.
        """
        await self._clients.get()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()

    def close(self) -> None:
        """Close the connections of the loops in other threads.

        Raises:
            ConfigurationError: it was called on an event loop that uses them.
        """
        self._clients.close()

    async def post(self, model: str, body: bytes) -> object:
        """Return the JSON with which a model answers.

        Raises:
            ModelError: it refused, or did not answer with JSON.
        """
        client = await self._clients.get()
        try:
            with Allowance(self._timeout) as allowance:
                response = await allowance.wait(_send(client, model, body, stream=False))
                content = await allowance.wait(_whole(response))
            if response.status != 200:
                raise _refused(response, content, model)
            return _parsed(content, model)
        except Exception as error:
            raise self.failed(error) from None

    async def events(self, model: str, body: bytes) -> AsyncGenerator[Json, None]:
        """Yield the events with which a model answers, those that are JSON objects.

        Raises:
            ModelError: it refused, or the stream broke off or is no JSON.
        """
        client = await self._clients.get()
        try:
            with Allowance(self._timeout) as allowance:
                response = await allowance.wait(_send(client, model, body, stream=True))
                try:
                    if response.status != 200:
                        raise _refused(response, await allowance.wait(_whole(response)), model)
                    if response.content_type == "application/json":
                        # No stream: an error, or a proxy that answers whole.
                        content = await allowance.wait(_whole(response))
                        yield _an_object(_parsed(content, model))
                        return
                    async with (
                        aclosing(allowance.each(response.content.iter_any())) as chunks,
                        aclosing(_events(chunks, model)) as events,
                    ):
                        async for event in events:
                            if isinstance(event, dict):
                                yield event
                finally:
                    response.close()
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> ModelError:
        """Return what went wrong in words of ours, without the key, which the server may quote.

        Args:
            error: what went wrong; not to be shown beside the result, for the same reason.
        """
        from kern.models.google.transport import model_error

        return model_error(error, self._model, self._timeout, self._key or "")

    @property
    def _key(self) -> str | None:
        given = self._api_key or os.environ.get("GOOGLE_API_KEY")
        return given or os.environ.get("GEMINI_API_KEY") or None

    async def _client(self) -> AsyncGenerator["Client", None]:
        with extra("google"):
            from aiohttp import ClientSession, TCPConnector

            # Any number of connections: how many runs are in flight is limited elsewhere.
            session = ClientSession(
                connector=TCPConnector(limit=0), middlewares=(_exchange,), trust_env=True
            )
        _forget_closed_loops()
        _open_sessions[session] = asyncio.get_running_loop()
        try:
            # In a thread: it reads certificates, and on Vertex AI asks for credentials.
            client = await asyncio.to_thread(self._open, session)
            try:
                yield client
            finally:
                await client.aio.aclose()
                client.close()
        finally:
            _open_sessions.pop(session, None)
            await session.close()

    def _open(self, session: "ClientSession") -> "Client":
        with extra("google"):
            from google.auth.exceptions import GoogleAuthError
            from google.genai import Client
            from google.genai.types import HttpOptions, HttpRetryOptions
        logging.getLogger("google_genai.models").addFilter(_is_of_others)
        if not (self.on_vertex or self._key):
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


# Held while they are open: a session that becomes garbage together with its model would complain
# that nobody has closed it, before the model's generator can do that.
_open_sessions: "dict[ClientSession, asyncio.AbstractEventLoop]" = {}


def _forget_closed_loops() -> None:
    for session, loop in list(_open_sessions.items()):
        if loop.is_closed():
            _open_sessions.pop(session, None)


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


async def _whole(response: "ClientResponse") -> bytes:
    try:
        return await response.read()
    finally:
        response.release()


async def _events(chunks: AsyncGenerator[bytes, None], model: str) -> AsyncGenerator[object, None]:
    async with aclosing(read_events(chunks, ())) as events:
        try:
            async for event in events:
                yield event
        except (ValueError, RecursionError):
            raise _no_json(model) from None


def _parsed(content: bytes, model: str) -> object:
    try:
        return parse(content)
    except (ValueError, RecursionError):
        raise _no_json(model) from None


def _an_object(value: object) -> Json:
    if isinstance(value, list) and len(value) == 1:
        [value] = value  # So answers come where no events were asked for.
    return value if isinstance(value, dict) else {}


def _no_json(model: str) -> ModelError:
    return ModelError(f"{model} answered with something that is no JSON.", kind="malformed")


def _refused(response: "ClientResponse", content: bytes, model: str) -> ModelError:
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        payload = _an_object(json.loads(content))
    except (ValueError, RecursionError):
        payload = {}
    if not isinstance(payload.get("error"), dict):
        said = content.decode(errors="replace").strip()[:500]
        payload = {"error": {"message": said or response.reason or "it does not say why"}}
    return failed(payload, model, response.status, headers)
