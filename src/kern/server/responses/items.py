"""Items of an input, as OpenAI's Responses API writes them, read as messages."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kern.errors import InvalidInputError
from kern.run.codec import dump
from kern.run.content import Part, ReasoningPart, TextPart, parts_from_json
from kern.run.message import Message
from kern.run.openai_form import own_part
from kern.run.tool import ToolCall
from kern.server.problems import RequestError

Item = Mapping[str, Any]
"""An item, or a part of its content, as JSON values."""

_SOURCES = ("https://", "http://", "data:")

# What is in the history of a client and says nothing that the model has to be told again.
_SILENT = ("mcp_list_tools", "mcp_approval_request")


# What an agent says once an approval was given; the request itself may come with its answer.
_SAID = ("function_call", "mcp_call", "reasoning")

_APPROVAL = "mcp_approval_response"


class Approval(NamedTuple):
    """What a person has decided of a call.

    Attributes:
        request: the id of the ``mcp_approval_request``.
        approve: whether the call may be made.
        reason: what was said with that, or None.
        param: where in the input it is.
    """

    request: str
    approve: bool
    reason: str | None
    param: str


class Said(NamedTuple):
    """What the input of a response says.

    Attributes:
        messages: what is added to the conversation: first the results of the client's calls that
            were open before it.
        answers: the ids of these calls.
        approvals: what people have decided of calls of a run that waits.
    """

    messages: list[Message]
    answers: list[str]
    approvals: list[Approval]


def refused(
    param: str, detail: str, code: str = "invalid_value", status: int = 400
) -> RequestError:
    """Return what a request is refused with for one of its parameters."""
    return RequestError(status, detail, code=code, param=param or None)


def first_approval(given: str | Sequence[Item]) -> int:
    """Return the place of the first ``mcp_approval_response`` that is new; 0 where there is none.

    In an input without ``previous_response_id`` what comes before it is a history, which the run
    that goes on has itself.
    """
    if isinstance(given, str):
        return 0
    start = _history(given)
    kinds = [each.get("type") for each in given[start:]]
    return start + kinds.index(_APPROVAL) if _APPROVAL in kinds else 0


def _history(given: Sequence[Item]) -> int:
    """Return how many items there are up to the last that an agent has said.

    An approval among them was given to the run that has said it.
    """
    places = [place for place, each in enumerate(given, 1) if _is_said(each)]
    return places[-1] if places else 0


def _is_said(item: Item) -> bool:
    """Say whether an item, or what it refers to, is one that an agent has said."""
    name, kind = item.get("id"), item.get("type")
    if isinstance(name, str) and kind in (None, "item_reference") and "role" not in item:
        return not (name.startswith("mcpr_") or "_i" in name[name.rfind("_") :])
    return kind in _SAID or item.get("role") == "assistant"


def read_input(given: str | Sequence[Item], start: int = 0) -> Said:
    """Return what an input says.

    Args:
        given: a text of the user, or items.
        start: the place of the first item that is read.

    Raises:
        RequestError: an item cannot be used, or a call in it has no result (400).
    """
    if isinstance(given, str):
        return Said([Message("user", given)] if given.strip() else [], [], [])
    reader = InputReader()
    history = _history(given)
    for place, item in enumerate(given[start:], start):
        if place >= history or item.get("type") != _APPROVAL:
            reader.read(item, f"input[{place}]")
    return reader.said()


class InputReader:
    """Reads items one by one; calls of one answer become one message, their results follow it."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._results: dict[str, Message] = {}
        self._calls: dict[str, str] = {}
        self._thoughts: list[Part] = []
        self._approvals: list[Approval] = []
        self._open = False  # Whether the last message may get further calls.

    def read(self, item: Item, param: str) -> None:
        """Read the next item."""
        kind = item.get("type", "message" if "role" in item else None)
        match kind:
            case "message":
                self._read_message(item, param)
            case "function_call":
                name, arguments = _text(item, "name", param), _text(item, "arguments", param)
                self._add_call(ToolCall(_text(item, "call_id", param), name, arguments), param)
            case "function_call_output":
                call_id = _text(item, "call_id", param)
                self._add_result(call_id, _content(item, "output", param), param)
            case "mcp_call":
                self._read_own_call(item, param)
            case "reasoning":
                self._thoughts += _thoughts(item, param)
            case str() if kind == _APPROVAL:
                self._read_approval(item, param)
            case str() if kind in _SILENT:
                pass
            case str():
                raise refused(
                    f"{param}.type",
                    f"Items of the type {kind!r:.50} are not supported in an input.",
                    "unsupported_value",
                )
            case _:
                raise refused(f"{param}.type", "An item of an input needs a type, or a role.")

    def said(self) -> Said:
        """Return what all items say.

        Raises:
            RequestError: a call has no result.
        """
        called = {each.id for message in self._messages for each in message.tool_calls}
        if missing := called - self._results.keys():
            call_id = sorted(missing)[0]
            raise refused(
                self._calls[call_id],
                f"There is no function_call_output for the call {call_id!r:.100}. An input that "
                "has a call needs its output, too.",
                "missing_tool_output",
            )
        answers = [each for each in self._results if each not in called]
        messages = [self._results[each] for each in answers]
        for message in self._messages:
            messages += [message, *(self._results[each.id] for each in message.tool_calls)]
        return Said(messages, answers, self._approvals)

    def _read_message(self, item: Item, param: str) -> None:
        role = item.get("role")
        if role not in ("user", "assistant", "system", "developer"):
            raise refused(
                f"{param}.role",
                f"A message needs a role, 'user', 'assistant', 'system' or 'developer', not "
                f"{role!r:.50}.",
            )
        content = _content(item, "content", param)
        if role == "assistant":
            declined = _refusal(item)
            if not content and declined is None:  # It was voided, or says nothing.
                return
            if declined is not None:
                content = declined
            said = Message("assistant", self._with_thoughts(content), refusal=declined is not None)
        else:
            said = Message("system" if role == "developer" else role, content)
        self._messages.append(said)
        self._open = role == "assistant"

    def _read_own_call(self, item: Item, param: str) -> None:
        """Read a call that an agent has made itself, as its response tells of it."""
        name, arguments = _text(item, "name", param), _text(item, "arguments", param)
        call_id = _text(item, "id", param)
        failed, output = item.get("error"), item.get("output")
        self._add_call(ToolCall(call_id, name, arguments), param)
        if failed is not None:
            output = _failure(failed)
        text = output if isinstance(output, str) and output else "No output."
        is_error = failed is not None
        self._results[call_id] = Message("tool", text, tool_call_id=call_id, is_error=is_error)

    def _read_approval(self, item: Item, param: str) -> None:
        approve, reason = item.get("approve"), item.get("reason")
        if not isinstance(approve, bool):
            raise refused(f"{param}.approve", "An mcp_approval_response needs approve, a boolean.")
        if not isinstance(reason, str | None):
            raise refused(f"{param}.reason", "The reason of an mcp_approval_response is a text.")
        request = _text(item, "approval_request_id", param)
        self._approvals.append(Approval(request, approve, reason, f"{param}.approval_request_id"))

    def _add_call(self, call: ToolCall, param: str) -> None:
        if call.id in self._calls:
            raise refused(
                param, f"The call {call.id!r:.100} is twice in the input.", "duplicate_item"
            )
        self._calls[call.id] = param
        if self._open:
            self._messages[-1].tool_calls.append(call)
        else:
            self._messages.append(
                Message("assistant", self._with_thoughts(None), tool_calls=[call])
            )
            self._open = True

    def _add_result(self, call_id: str, content: object, param: str) -> None:
        if call_id in self._results:
            raise refused(param, f"The call {call_id!r:.100} has two outputs.", "duplicate_item")
        self._results[call_id] = Message("tool", content, tool_call_id=call_id)  # type: ignore[arg-type] # It was read as a content.
        if call_id in self._calls:
            self._open = False  # A later call is of another answer.

    def _with_thoughts(self, content: Any) -> Any:
        """Return the content of an answer with what the model has thought before it."""
        thoughts, self._thoughts = self._thoughts, []
        if not thoughts:
            return content
        said = (TextPart(content),) if isinstance(content, str) else content or ()
        return (*thoughts, *said)


def _text(item: Item, name: str, param: str) -> str:
    value = item.get(name)
    if isinstance(value, str) and (value or name == "arguments"):
        return value
    raise refused(
        f"{param}.{name}",
        f"An item of the type {item.get('type', 'message')!r:.50} needs {name}, a text.",
        "missing_required_parameter" if value is None else "invalid_type",
    )


def _content(item: Item, name: str, param: str) -> str | tuple[Part, ...]:
    """Return a text, or parts, of an item."""
    value, where = item.get(name), f"{param}.{name}"
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise refused(where, f"{where} must be a text, or a list of parts.", "invalid_type")
    parts = [_part(each, f"{where}[{place}]") for place, each in enumerate(value)]
    return parts_from_json([each for each in parts if each is not None])


def _part(value: object, where: str) -> object:
    """Return a part in kern's own form; None for a refusal, which is looked at elsewhere."""
    if not isinstance(value, dict):
        raise refused(where, "A part of a content is an object with a type.", "invalid_type")
    match value:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "refusal", "refusal": str()}:
            return None
        case {"type": "input_image" | "input_file", "file_id": str()}:
            raise refused(
                f"{where}.file_id",
                "file_id is not supported: this server keeps no files. Send the content itself, "
                "as a data: URL, or a URL.",
                "unsupported_parameter",
            )
        case {"type": "input_image" | "input_file" | "input_audio"}:
            return _media(value, where)
    raise refused(
        f"{where}.type",
        f"Content of the type {value.get('type')!r:.50} is not supported, or incomplete.",
        "unsupported_value",
    )


def _thoughts(item: Item, param: str) -> list[ReasoningPart]:
    """Return what a reasoning item says."""
    found: list[ReasoningPart] = []
    for name in ("summary", "content"):
        parts = item.get(name) or []
        if not isinstance(parts, list) or not all(isinstance(each, dict) for each in parts):
            raise refused(f"{param}.{name}", f"{name} must be a list of parts.", "invalid_type")
        found += [
            ReasoningPart(each["text"]) for each in parts if isinstance(each.get("text"), str)
        ]
    return found


def _media(value: dict[str, Any], where: str) -> object:
    for name in ("image_url", "file_url", "file_data"):
        url = value.get(name)
        if url is not None and not (isinstance(url, str) and url.lower().startswith(_SOURCES)):
            raise refused(
                f"{where}.{name}", f"{name} must be a URL that begins with https:, http: or data:."
            )
    try:
        return own_part(value)
    except InvalidInputError as error:
        raise refused(where, str(error)) from error


def _failure(error: object) -> str:
    """Return what an agent's own call has failed of, as a text."""
    parts = error.get("content") if isinstance(error, dict) else None
    if isinstance(parts, list):
        return "".join(str(each.get("text", "")) for each in parts if isinstance(each, dict))
    return error if isinstance(error, str) else dump(error)


def _refusal(item: Item) -> str | None:
    """Return how an assistant has declined to answer, in an item of it; or None."""
    content = item.get("content")
    parts = content if isinstance(content, list) else ()
    texts = [each.get("refusal") for each in parts if each.get("type") == "refusal"]
    return "".join(map(str, texts)) if texts else None
