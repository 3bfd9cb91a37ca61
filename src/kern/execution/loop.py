"""The run loop: replay what is done, then turn after turn, until the model has answered."""

from contextlib import aclosing

from kern.execution.attempt import Attempt, Turn
from kern.execution.calls import use_tools
from kern.models.base import Kept, ModelRequest, ModelResponse, Text
from kern.run.agent import RunEvent


async def carry_out(attempt: Attempt) -> None:
    """Carry the run to its answer.

    Args:
        attempt: the attempt, just claimed.

    Raises:
        ModelError: the model gave no usable answer.
        JournalError: what earlier attempts have done cannot be read.
        MissingToolError: a tool that has to be called is gone.
        PausedError: a person has to decide first.
        StaleAttemptError: the run has a later attempt.
    """
    journal = attempt.journal
    journal.note(RunEvent.run_started)
    if attempt.number > 1:
        journal.keep(RunEvent.run_resumed, {"attempt": attempt.number})
    await attempt.replay()
    while not attempt.is_answered:
        if attempt.turns and attempt.turns[-1].open_calls:
            await use_tools(attempt, attempt.turns[-1])
        else:
            await _ask(attempt)
    content = attempt.output.content
    journal.note(RunEvent.run_content_completed, {"content": content}, content=content)


async def _ask(attempt: Attempt) -> None:
    """Have the model answer, and write the answer down before anything follows from it."""
    journal, output = attempt.journal, attempt.output
    journal.note(RunEvent.model_request_started)
    response = await _respond(attempt)
    attempt.handle = None
    turn = Turn(len(attempt.turns) + 1, response.message)
    attempt.turns.append(turn)
    attempt.show()
    output.metrics.add(response.metrics)
    payload: dict[str, object] = {
        "message": response.message.to_dict(),
        "metrics": response.metrics.to_dict(),
    }
    if turn.number == 1 and attempt.history:
        payload["history"] = attempt.history
    content = response.message.text
    if turn.open_calls:
        await journal.record(RunEvent.model_request_completed, payload, content=content)
    else:  # Nothing follows but the run's end, and that is written with it.
        journal.keep(RunEvent.model_request_completed, payload, content=content)


async def _respond(attempt: Attempt) -> ModelResponse:
    spec = attempt.spec
    request = ModelRequest(
        attempt.conversation, [tool.schema for tool in spec.tools.values()], attempt.handle
    )
    if not (attempt.journal.is_read or spec.model.keeps_answers):
        return await spec.model.respond(request)
    text = ""
    response: ModelResponse | None = None
    async with aclosing(spec.model.stream(request)) as pieces:
        async for piece in pieces:
            match piece:
                case Text(more):
                    text += more
                    attempt.output.content = text
                    attempt.journal.text(more)
                case Kept(handle):
                    attempt.handle = handle
                    event = RunEvent.model_request_started
                    await attempt.journal.record(event, {"handle": handle})
                case ModelResponse():
                    response = piece
    assert response is not None, "a model's stream ends with its response"
    return response
