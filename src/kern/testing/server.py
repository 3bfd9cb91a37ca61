"""The server: takes requests, answers with the scripted replies, records what happened."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeAlias

from kern.extras import extra
from kern.testing.embedder import WordsEmbedder
from kern.testing.exchange import Exchange
from kern.testing.generation import BackgroundGeneration, paced, whole
from kern.testing.listener import Listener
from kern.testing.prefixes import PrefixCache
from kern.testing.protocols import Json, anthropic, chat, google, responses
from kern.testing.record import RequestRecord, Watch
from kern.testing.reply import RawAnswer, Reply

with extra("testing"):
    from aiohttp import ClientConnectionResetError, web

_GOOGLE_ACTIONS = (":generateContent", ":streamGenerateContent")

Lookup: TypeAlias = Callable[[BackgroundGeneration, Exchange], Awaitable[None]]

Script: TypeAlias = Reply | Callable[[dict[str, Any]], Reply]
"""A reply, or what makes one from the request's body; called on the server's thread."""


class ProtocolServer:
    """An HTTP server on 127.0.0.1 that speaks four providers' protocols and answers by script.

    ``async with`` runs it on the caller's event loop, ``with`` on a thread of its own. It serves,
    whole and streamed:

    - ``POST /v1/responses`` (OpenAI Responses, in the background as well), with
      ``GET /v1/responses/{id}`` (polled, and streamed from ``starting_after`` on) and
      ``POST /v1/responses/{id}/cancel`` for what was asked for in the background;
    - ``POST /v1/chat/completions`` (OpenAI Chat Completions);
    - ``POST /v1/messages`` (Anthropic Messages);
    - ``POST /v1/embeddings`` (OpenAI), by :class:`~kern.testing.embedder.WordsEmbedder`, without a
      script;
    - ``POST /v1beta/models/{id}:generateContent`` and ``:streamGenerateContent`` (Google Gemini).

    What stands before these names in a path does not matter. All attributes can be used from any
    thread.

    Attributes:
        script: the next replies, first in first out.
        default: the reply when the script is empty.
        port: the TCP port.
        requests: the requests for an answer of the model, in the order of their arrival.
        lookups: the other requests, in the order of their arrival.
        cancelled: the ids of the responses that were cancelled through the API.
        disconnects: how many clients closed the connection before their reply was complete.
        in_flight: how many requests are being answered now.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.models.openai import OpenAIChat
        >>> with ProtocolServer([Reply.text("Paris.")]) as server:
        ...     model = OpenAIChat("any", base_url=server.base_url, api_key="none")
        ...     Agent("Researcher", model).run("What is the capital of France?").content
        'Paris.'
    """

    def __init__(
        self,
        script: Iterable[Script] = (),
        *,
        default: Script | None = None,
        port: int = 0,
        record: bool = True,
        prefix_cache: bool = False,
    ) -> None:
        """Prepare, without listening yet.

        Args:
            script: the first replies.
            default: the reply when the script is empty; None for the text "Hello.".
            port: the port to listen on; 0 takes a free one.
            record: whether to keep the requests, so that they can be waited for; a benchmark
                does better without.
            prefix_cache: whether the usage of the replies counts the tokens of each request, and
                those of the beginnings that earlier requests had as cached ones.
        """
        self.script: deque[Script] = deque(script)
        self.default: Script = Reply.text("Hello.") if default is None else default
        self.port = port
        self.requests: list[RequestRecord] = []
        self.lookups: list[RequestRecord] = []
        self.cancelled: list[str] = []
        self.disconnects = 0
        self.in_flight = 0
        self._record = record
        self._watch = Watch(self._describe)
        self._listener = Listener(self._handle)
        self._background: dict[str, BackgroundGeneration] = {}
        self._forgotten: set[str | None] = set()
        self._prefixes = PrefixCache() if prefix_cache else None

    @property
    def url(self) -> str:
        """What Anthropic's and Google's clients take as their base URL: with no path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What OpenAI's clients take as their base URL; ends in ``/v1``."""
        return f"{self.url}/v1"

    @property
    def connections(self) -> int:
        """How many connections are open, idle ones included."""
        return self._listener.connections

    async def __aenter__(self) -> Self:
        self.port = await self._listener.start(self.port)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._listener.close()
        await asyncio.gather(*(generation.close() for generation in self._background.values()))

    def __enter__(self) -> Self:
        ready: Future[Callable[[], object]] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="protocol-server", daemon=True
        )
        self._thread.start()
        if error := ready.exception():
            self._thread.join()
            raise error
        self._stop = ready.result()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        self._thread.join()

    def forget(self) -> None:
        """Have no request go on from the answers until now (``previous_response_id``)."""
        self._forgotten |= {each.response_id for each in self.requests}

    async def wait_for_requests(self, count: int, timeout: float = 20.0) -> None:
        """Wait until so many requests to generate have arrived.

        Args:
            count: how many there must be since the server began.
            timeout: seconds.

        Raises:
            TimeoutError: fewer arrived in time.
        """
        await self._watch.wait(lambda: len(self.requests) >= count, timeout)

    def wait_for_requests_sync(self, count: int, timeout: float = 20.0) -> None:
        """Do what :meth:`wait_for_requests` does, blocking the calling thread."""
        self._watch.wait_sync(lambda: len(self.requests) >= count, timeout)

    async def wait_for_disconnects(self, count: int, timeout: float = 20.0) -> None:
        """Wait until so many clients have left before their reply was complete.

        Args:
            count: how many there must be since the server began.
            timeout: seconds.

        Raises:
            TimeoutError: fewer left in time.
        """
        await self._watch.wait(lambda: self.disconnects >= count, timeout)

    def wait_for_disconnects_sync(self, count: int, timeout: float = 20.0) -> None:
        """Do what :meth:`wait_for_disconnects` does, blocking the calling thread."""
        self._watch.wait_sync(lambda: self.disconnects >= count, timeout)

    async def wait_until(
        self, condition: Callable[["ProtocolServer"], bool], timeout: float = 20.0
    ) -> None:
        """Wait until a condition on what the server saw holds.

        Args:
            condition: takes this server; is looked at whenever a request arrives, is answered in
                part or in whole, is left by its client, or cancels a response.
            timeout: seconds.

        Raises:
            TimeoutError: it did not hold in time.
            Exception: what the condition raised.
        """
        await self._watch.wait(lambda: condition(self), timeout)

    def wait_until_sync(
        self, condition: Callable[["ProtocolServer"], bool], timeout: float = 20.0
    ) -> None:
        """Do what :meth:`wait_until` does, blocking the calling thread."""
        self._watch.wait_sync(lambda: condition(self), timeout)

    def _describe(self) -> str:
        return (
            f"{len(self.requests)} requests, {len(self.lookups)} lookups, {self.in_flight} in "
            f"flight, {self.disconnects} disconnects, {len(self.cancelled)} cancelled"
        )

    async def _serve(self, ready: Future[Callable[[], object]]) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self.__aenter__()
        except Exception as error:
            ready.set_exception(error)
            return
        ready.set_result(lambda: loop.call_soon_threadsafe(stop.set))
        await stop.wait()
        await self.__aexit__(None, None, None)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        content = await request.content.read()
        exchange = Exchange(request, self._watch.changed)
        record = exchange.record
        self.in_flight += 1
        try:
            await self._answer(content, exchange)
            record.finished = time.monotonic()
        except asyncio.CancelledError:
            self._left(record)
            raise
        except ClientConnectionResetError:  # It left while it was written to.
            self._left(record)
            exchange.hang_up()
        except Exception as error:  # The script's own code failed; its author sees it there.
            if record.started is None:
                await exchange.send_error(500, f"The script failed: {error!r}")
            else:
                exchange.hang_up()
        finally:
            self.in_flight -= 1
            self._watch.changed()
        return exchange.response

    def _left(self, record: RequestRecord) -> None:
        if not self._listener.closing:
            record.disconnected = time.monotonic()
            self.disconnects += 1

    async def _answer(self, content: bytes, exchange: Exchange) -> None:
        method, path = exchange.record.method, exchange.record.path
        match (method, *path.strip("/").split("/")):
            case ("POST", *_, "responses"):
                exchange.protocol = responses
            case ("POST", *_, "chat", "completions"):
                exchange.protocol = chat
            case ("POST", *_, "messages"):
                exchange.protocol = anthropic
            case ("POST", *_, "models", action) if action.endswith(_GOOGLE_ACTIONS):
                exchange.protocol = google
            case ("GET", *_, "responses", identifier):
                await self._look_up(identifier, self._retrieve, exchange)
                return
            case ("POST", *_, "responses", identifier, "cancel"):
                await self._look_up(identifier, self._cancel, exchange)
                return
            case ("POST", *_, "embeddings"):
                await self._embed(content, exchange)
                return
            case _:
                await exchange.send_error(404, f"Unknown URL: {method} {path}")
                return
        await self._create(content, exchange)

    async def _embed(self, content: bytes, exchange: Exchange) -> None:
        """Answer with embeddings by words: as many numbers as are asked for, or OpenAI's."""
        self._keep(self.lookups, exchange.record)
        exchange.record.body = body = json.loads(content)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        found = await WordsEmbedder(body.get("dimensions") or 1536).aembed(texts)
        data = [
            {"object": "embedding", "index": index, "embedding": each}
            for index, each in enumerate(found)
        ]
        used = sum(len(each.split()) for each in texts)
        usage = {"prompt_tokens": used, "total_tokens": used}
        answer = {"object": "list", "data": data, "model": body.get("model"), "usage": usage}
        headers = {"content-type": "application/json"}
        await exchange.send_raw(RawAnswer(200, json.dumps(answer).encode(), headers))

    async def _look_up(self, identifier: str, answer: Lookup, exchange: Exchange) -> None:
        self._keep(self.lookups, exchange.record)
        exchange.record.response_id = identifier
        if generation := self._background.get(identifier):
            await answer(generation, exchange)
        else:
            await exchange.send_error(404, f"Response with id '{identifier}' not found.")

    async def _create(self, content: bytes, exchange: Exchange) -> None:
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            await exchange.send_error(400, "The body must be a JSON object.")
            return
        exchange.record.body = body
        self._keep(self.requests, exchange.record)
        if (previous := body.get("previous_response_id")) and previous not in self._stored():
            said = f"Previous response with id '{previous}' not found."
            lost = Reply.http_error(400, said, code="previous_response_not_found")
            await self._fail(lost, exchange)
            return
        script = self.script.popleft() if self.script else self.default
        reply = script if isinstance(script, Reply) else script(body)
        if self._prefixes is not None and reply.usage is not None:
            tokens = reply.usage.output_tokens
            reply = replace(reply, usage=self._prefixes.usage(exchange.protocol, body, tokens))
        exchange.trickle, exchange.trickles_head = reply.trickle, reply.trickle_from == "head"
        if reply.raw or isinstance(reply.drop, str):
            await self._fail(reply, exchange)
        elif body.get("background") and exchange.protocol is responses:
            background = BackgroundGeneration(reply, body)
            self._background[background.id] = background
            exchange.record.response_id = background.id
            if body.get("stream"):
                await exchange.send_stream(background.follow(), reply.drop)
            else:
                await exchange.send(background.response, reply.drop)
        else:
            await reply.begin()
            await self._generate(reply, body, exchange)

    async def _generate(self, reply: Reply, body: Json, exchange: Exchange) -> None:
        streamed = body.get("stream")
        if exchange.protocol is google:
            model, _, action = exchange.record.path.rpartition("/")[2].partition(":")
            body = {"model": model, **body}
            streamed = action == "streamGenerateContent"
        if streamed:
            frames = exchange.protocol.frames(reply, body)
            await exchange.send_stream(paced(reply, frames), reply.drop)
        else:
            await exchange.send(await whole(exchange.protocol, reply, body), reply.drop)

    def _stored(self) -> set[str | None]:
        """Return the ids of the answers from which a request may go on."""
        asked = (each for each in self.requests if each.body.get("store") is not False)
        return {each.response_id for each in asked} - {None} - self._forgotten

    async def _fail(self, reply: Reply, exchange: Exchange) -> None:
        await reply.begin()
        if reply.raw:
            await exchange.send_raw(reply.raw)
        else:
            exchange.break_off(within_headers=reply.drop == "headers")

    async def _retrieve(self, generation: BackgroundGeneration, exchange: Exchange) -> None:
        query = exchange.record.query
        if query.get("stream") == "true" and not generation.reply.resumable:
            await exchange.send_error(400, "This response cannot be streamed.")
        elif query.get("stream") == "true":
            after = int(query.get("starting_after", -1))
            await exchange.send_stream(generation.follow(after))
        else:
            await exchange.send(generation.response)

    async def _cancel(self, generation: BackgroundGeneration, exchange: Exchange) -> None:
        if generation.cancel():
            self.cancelled.append(generation.id)
        await exchange.send(generation.response)

    def _keep(self, records: list[RequestRecord], record: RequestRecord) -> None:
        if self._record:
            records.append(record)
        self._watch.changed()
