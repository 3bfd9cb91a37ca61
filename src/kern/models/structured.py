"""A model is asked for an answer of a form in the way in which it can be brought to it.

Where its provider takes the schema, that is all. Else it is told in words, in the provider's JSON
mode; or it gives its answer as the arguments of a tool, which kern then takes for the answer.
"""

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import replace

from kern.models.base import (
    CallArguments,
    Model,
    ModelRequest,
    ModelResponse,
    OutputSchema,
    Piece,
    Text,
)
from kern.run.codec import dump
from kern.run.content import Content, ReasoningPart, TextPart
from kern.run.message import Message
from kern.run.tool import ToolSchema

_FINAL = "final_answer"

_USE = (
    "Gives the final answer. Call it once, with the whole answer, when nothing is left to do; "
    "what is said beside it is not read."
)

_WORDS = "Answer with nothing but JSON that fits this JSON Schema:\n"


def respond(model: Model, request: ModelRequest) -> Awaitable[ModelResponse]:
    """Have a model answer; see :meth:`kern.models.base.Model.respond`.

    Raises:
        ModelError: there was no usable answer.
    """
    return model.respond(request) if request.output_schema is None else _formed(model, request)


async def _formed(model: Model, request: ModelRequest) -> ModelResponse:
    request, tool = _shaped(model, request)
    return _answered(await model.respond(request), tool)


async def stream(model: Model, request: ModelRequest) -> AsyncGenerator[Piece, None]:
    """Have a model answer piece by piece; see :meth:`kern.models.base.Model.stream`.

    Raises:
        ModelError: there was no usable answer.
    """
    request, tool = _shaped(model, request)
    finals: set[int] = set()
    async with aclosing(model.stream(request)) as pieces:
        async for piece in pieces:
            match piece:
                case CallArguments(index=index, name=name, text=text) if tool is not None:
                    if name == tool:
                        finals.add(index)
                    yield Text(text) if index in finals else piece
                case ModelResponse():
                    yield _answered(piece, tool)
                case _:
                    yield piece


def _shaped(model: Model, request: ModelRequest) -> tuple[ModelRequest, str | None]:
    """Return what the model is asked, and the tool by which it gives its answer."""
    form = request.output_schema
    if form is None:
        return request, None
    mode = form.mode or model.output_mode(request)
    request = replace(request, output_schema=replace(form, mode=mode))
    if mode == "native":
        return request, None
    if mode == "json":
        return replace(request, messages=_with_words(request.messages, form)), None
    names, name = {tool.name for tool in request.tools}, _FINAL
    while name in names:
        name += "_"
    tool = ToolSchema(name, _USE, dict(form.schema))
    if request.tool_choice == "none":  # That is said of the others: without this one is no answer.
        return replace(request, tools=[tool], tool_choice="required"), name
    choice = request.tool_choice or "required"
    return replace(request, tools=[*request.tools, tool], tool_choice=choice), name


def _with_words(messages: Sequence[Message], form: OutputSchema) -> Sequence[Message]:
    """Return the messages with what the form is, after what the model is told at first."""
    begin = next((at for at, each in enumerate(messages) if each.role != "system"), len(messages))
    told = Message("system", _WORDS + dump(form.schema))
    return [*messages[:begin], told, *messages[begin:]]


def _answered(response: ModelResponse, tool: str | None) -> ModelResponse:
    """Return a response in which the arguments of the final tool are the answer."""
    message = response.message
    said = [call.arguments for call in message.tool_calls if call.name == tool]
    if not said:
        return response
    content: Content = said[0]
    if isinstance(message.content, tuple):
        thoughts = [part for part in message.content if isinstance(part, ReasoningPart)]
        content = (*thoughts, TextPart(said[0])) if thoughts else content
    # Its items hold a call for which there is no result: they are not handed back.
    return replace(response, message=Message("assistant", content), finish_reason="stop")
