"""The agent whose runs load a knowledge base: no model of a provider's decides anything there.

So a load is a run like any other: accepted durably, resumed, streamed, cancelled, on any worker.
"""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

from typing_extensions import override

from kern.agent.agent import Agent
from kern.db.database import Database
from kern.errors import ConfigurationError, ContentError
from kern.knowledge.loading import Base, Loaded, Loading
from kern.knowledge.sources import Request
from kern.models.base import Model, ModelRequest, ModelResponse, Piece, Text
from kern.models.prices import Price
from kern.run.base import RunContext
from kern.run.codec import dump
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall
from kern.tools.function import tool

_TOOL = "load"


class LoadingModel(Model):
    """Has what it is given loaded by a tool, and says what came of it; it asks nobody.

    Example:
        >>> LoadingModel().provider
        'kern'
    """

    id = "loading"
    provider = "kern"
    price: Price = Price(0, 0)

    def __repr__(self) -> str:
        return "LoadingModel()"

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        last = request.messages[-1]
        is_retry = last.is_error and self.provider not in request.memo
        if last.role != "tool" or is_retry:  # What an earlier attempt has failed at is done anew.
            request.memo[self.provider] = True
            asked = next(each for each in reversed(request.messages) if each.role == "user")
            arguments = json.dumps({"request": asked.text})
            name = f"load-{len(request.messages)}" if is_retry else "load"
            message = Message("assistant", tool_calls=[ToolCall(name, _TOOL, arguments)])
            return ModelResponse(message, Metrics(model_calls=1), "tool_calls")
        if last.is_error:
            raise ContentError(f"The load failed: {last.text}")
        return ModelResponse(Message("assistant", last.text), Metrics(model_calls=1))

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        response = await self.respond(request)
        if response.message.text:
            yield Text(response.message.text)
        yield response


class Loader(Agent[Any, Loaded]):
    """The agent whose runs load a knowledge base: :meth:`kern.knowledge.Knowledge.loader`.

    It reads the files of the machine that its runs name, so ``kern serve`` refuses it.

    Example:
        >>> from kern.db.sqlite import SqliteDb
        >>> from kern.knowledge import Knowledge
        >>> Knowledge("plants").loader(SqliteDb("kern.db")).id
        'plants-loader'
    """

    reads_files = True

    def __init__(self, name: str, base: Callable[[], Base], db: Database) -> None:
        """Make the agent.

        Args:
            name: the name of the knowledge base, by which every process knows it.
            base: returns what is loaded.
            db: where the runs are kept.

        Raises:
            ConfigurationError: there is no name.
        """
        if not name.strip():
            raise ConfigurationError("A knowledge base that runs load needs a name.")

        @tool(name=_TOOL)
        async def load(request: str, run_context: RunContext) -> str:
            """Load what a request says.

            Args:
                request: the request, as JSON.
                run_context: of the run.
            """
            loading = Loading(
                base(),
                Request.of_text(request),
                step=run_context.step,
                tell=run_context.emit,
                run_id=run_context.run_id,
                waits=True,
            )
            return dump(await loading.all())

        super().__init__(
            f"{name} loader", LoadingModel(), tools=[load], db=db, output_schema=Loaded
        )
