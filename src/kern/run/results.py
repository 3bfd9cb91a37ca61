"""Tool calls and their results between runs: which calls are open, and what answers them."""

from collections.abc import Sequence
from itertools import takewhile

from kern.errors import InvalidInputError
from kern.run.message import Message
from kern.run.tool import ToolCall

_NO_RESULT = "The result of this call is not known."


def open_calls(messages: Sequence[Message]) -> list[ToolCall]:
    """Return the calls with which messages end that have no result.

    Args:
        messages: those of a run, or of several.

    Example:
        >>> calls = [ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")]
        >>> result = Message("tool", "A cat.", tool_call_id="a")
        >>> [call.id for call in open_calls([Message("assistant", tool_calls=calls), result])]
        ['b']
    """
    given: set[str | None] = set()
    for message in reversed(messages):
        if message.role != "tool":
            return [call for call in message.tool_calls if call.id not in given]
        given.add(message.tool_call_id)
    return []


def check_results(calls: Sequence[ToolCall], given: Sequence[Message]) -> None:
    """Make sure that messages begin with the results of calls: of all of them, and of no others.

    Args:
        calls: the calls without a result that come before.
        given: the messages.

    Raises:
        InvalidInputError: a result is missing, or nobody asked for one.
    """
    results = [each.tool_call_id or "" for each in takewhile(_is_result, given)]
    known = [call.id for call in calls]
    unknown = [each for each in results if each not in known]
    twice = sorted({each for each in results if results.count(each) > 1} - {*unknown})
    missing = [each for each in known if each not in results]
    told = [
        f"{what}: {', '.join([repr(each[:100]) for each in ids])}"
        for what, ids in (("unknown", unknown), ("given twice", twice), ("missing", missing))
        if ids
    ]
    if told:
        raise InvalidInputError(
            "The input must begin with a result of each call that the run before left to its "
            f"client, and of no other. By their tool_call_id: {'; '.join(told)}."
        )


def in_pairs(messages: Sequence[Message]) -> list[Message]:
    """Return messages of several runs as models take them: no call without result, and none twice.

    Branches of one run each begin with results of its calls, and only those of the first follow
    them here. The calls with which the messages end may be without.

    Args:
        messages: the messages, the oldest first.
    """
    shown: list[Message] = []
    waiting: dict[str, ToolCall] = {}
    for each in messages:
        if each.role == "tool":
            if waiting.pop(each.tool_call_id or "", None) is not None:
                shown.append(each)
            continue
        shown += map(without_result, waiting.values())
        waiting = {call.id: call for call in each.tool_calls}
        shown.append(each)
    return shown


def without_result(call: ToolCall) -> Message:
    """Return what a model is told of a call whose client gave no result."""
    more = {"tool_name": call.name}
    return Message("tool", _NO_RESULT, tool_call_id=call.id, is_error=True, more=more)


def _is_result(message: Message) -> bool:
    return message.role == "tool"
