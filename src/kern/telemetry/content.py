"""What was said, in the form of the semantic conventions, where a program asks for that."""

from collections.abc import Sequence
from itertools import takewhile

from kern.models.base import ModelRequest, ModelResponse
from kern.run.agent import RunOutput
from kern.run.codec import dump, parse
from kern.run.content import ReasoningPart, TextPart, parts_to_json
from kern.run.message import Message
from kern.run.tool import ToolCall, ToolSchema
from kern.telemetry.spans import Attributes

_SYSTEM = "gen_ai.system_instructions"
_INPUT, _OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"


def content_of_call(request: ModelRequest, response: ModelResponse | None) -> Attributes:
    """Return what a model was told, and what it has answered."""
    told = [*takewhile(lambda each: each.role == "system", request.messages)]
    found = {_INPUT: _messages(request.messages[len(told) :])}
    if told:
        found[_SYSTEM] = dump([{"type": "text", "content": each.text} for each in told])
    if request.tools:
        found["gen_ai.tool.definitions"] = dump([_tool(each) for each in request.tools])
    if response is not None:
        found[_OUTPUT] = _messages([response.message])
    return found


def content_of_run(output: RunOutput) -> Attributes:
    """Return what a run was told, and what it has answered."""
    asked = [each for each in output.messages if each.role == "user" and not each.from_history]
    answer = output.content if isinstance(output.content, str) else output.get_content_as_string()
    return {
        _INPUT: _messages(asked),
        _OUTPUT: _messages([Message("assistant", answer)] if answer else []),
    }


def _messages(messages: Sequence[Message]) -> str:
    return dump([{"role": each.role, "parts": _parts(each)} for each in messages])


def _parts(message: Message) -> list[dict[str, object]]:
    if message.role == "tool":
        response = {"type": "tool_call_response", "response": message.text}
        return [{**response, "id": message.tool_call_id}]
    content = message.content
    said = (TextPart(content),) if isinstance(content, str) and content else message.parts
    parts: list[dict[str, object]] = []
    for part in said:
        match part:
            case TextPart(text):
                parts.append({"type": "text", "content": text})
            case ReasoningPart(text):
                parts.append({"type": "reasoning", "content": text})
            case _:  # Media: what it is, and its hash.
                parts += parts_to_json([part])
    return parts + [_call(each) for each in message.tool_calls]


def _call(call: ToolCall) -> dict[str, object]:
    try:
        arguments = parse(call.arguments)
    except (ValueError, RecursionError):  # What a model writes may be no JSON.
        arguments = call.arguments
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def _tool(tool: ToolSchema) -> dict[str, object]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
