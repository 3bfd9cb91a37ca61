"""The run loop: what an attempt at a run does between its claim and its settlement."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from kern.db.base import Store
from kern.engine.definition import Definition
from kern.models.base import ModelResponse
from kern.run.agent import RunEvent, RunInput, RunOutput, RunOutputEvent, messages_of
from kern.run.codec import decode_object
from kern.run.message import Message

Emit = Callable[[RunOutputEvent], None]


@dataclass(slots=True, eq=False)
class Attempt:
    """One executor's try at a run.

    Attributes:
        definition: the agent.
        input: what the run adds to the conversation, as JSON text.
        output: what the run has come to; filled as it goes.
        number: which attempt it is, from 1 on; the database hears only the newest one.
        foreground: whether it belongs to a caller who waits, and ends when the caller goes.
        emit: told of each event, where somebody streams the run.
        failure: what the run failed of, once it has.
    """

    definition: Definition
    input: str
    output: RunOutput
    number: int = 1
    foreground: bool = False
    emit: Emit | None = None
    failure: BaseException | None = None

    def tell(self, event: RunEvent, content: str | None = None) -> None:
        """Tell whoever streams the run what happened."""
        if self.emit is not None:
            output = self.output
            self.emit(
                RunOutputEvent(event, output.run_id, output.session_id, output.agent_id, content)
            )


async def take_turns(attempt: Attempt, store: Store | None) -> None:
    """Carry the run to its answer.

    Raises:
        ModelError: the model gave no usable answer.
        ValueError: what is stored of the run or its session is damaged.
        DatabaseError: the session's history could not be read.
    """
    attempt.tell(RunEvent.run_started)
    output = attempt.output
    output.messages = list(RunInput.from_json(attempt.input).messages)
    conversation = [*await _context(attempt, store), *output.messages]
    attempt.tell(RunEvent.model_request_started)
    response = await _ask(attempt, conversation)
    output.messages.append(response.message)
    output.metrics.add(response.metrics)
    output.content = response.message.content
    attempt.tell(RunEvent.model_request_completed)
    attempt.tell(RunEvent.run_content_completed, output.content)


async def _context(attempt: Attempt, store: Store | None) -> list[Message]:
    """Return what the model is told before the run's own messages."""
    definition, output = attempt.definition, attempt.output
    system = definition.system_message
    context = [Message("system", system)] if system else []
    if store is not None and definition.history_runs:
        limit = definition.history_runs
        for text in await store.history(output.session_id, output.run_id, limit):
            context += messages_of(decode_object(text))
    return context


async def _ask(attempt: Attempt, conversation: Sequence[Message]) -> ModelResponse:
    model = attempt.definition.model
    if attempt.emit is None:
        return await model.respond(conversation)
    attempt.output.content = ""
    response: ModelResponse | None = None
    async with aclosing(model.stream(conversation)) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                attempt.output.content += piece
                attempt.tell(RunEvent.run_content, piece)
            else:
                response = piece
    assert response is not None, "a model's stream ends with its response"
    return response
