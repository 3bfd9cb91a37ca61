"""Runs that begin with what another one has said: where that is cut off, and what tells of it."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Literal, TypeAlias, TypedDict

import msgspec
from typing_extensions import TypeIs

from kern.errors import InvalidInputError
from kern.run.message import Message
from kern.run.numbers import check_count
from kern.run.state import StatePatch

ContinueFrom: TypeAlias = Literal["end", "last_user"] | int
"""With what of a run another begins: all, up to the user's last message, or so many messages."""

BRANCHED = "branched"
"""The option of a stored input that begins with messages of another run: a :class:`Begun`."""


class Begun(TypedDict):
    """What the executor of a run has to know that begins with messages of another.

    Attributes:
        session_id: the session whose earlier runs it is shown, if its agent shows any.
        before: the run before which they were accepted.
        checked: how many of its messages the pre-hooks have seen, or are not to see.
    """

    session_id: str
    before: str
    checked: int


class Lineage(TypedDict, total=False):
    """What the output of a run says of the one with whose steps it began.

    Attributes:
        forked_from_run_id: the run.
        forked_from_message_index: how many of its messages it began with.
        forked_from_session_id: the session of that, where it is another one.
        regenerated_from: the run in whose place this one stands.
        input_at: the place among its messages at which its own input begins.
    """

    forked_from_run_id: str
    forked_from_message_index: int
    forked_from_session_id: str
    regenerated_from: str
    input_at: int


class Branch(msgspec.Struct, frozen=True, gc=False):
    """What is written when a run is accepted that branches off another.

    Attributes:
        origin: the other run, of whose blobs it has copies.
        seq: the number of the last row of the other's journal with which its own begins, or 0.
        state: what those steps change in the state of its session.
        replaces: whether it stands in the other's place from then on.
    """

    origin: str
    seq: int = 0
    state: StatePatch | None = None
    replaces: bool = False


def check_place(continue_from: object) -> TypeIs[ContinueFrom]:
    """Return True if this says where a run is cut off.

    Raises:
        InvalidInputError: it does not.
    """
    if isinstance(continue_from, str):
        if continue_from in ("end", "last_user"):
            return True
        raise InvalidInputError(
            "continue_from must be 'end', 'last_user', or how many messages are kept, not "
            f"{continue_from!r:.50}."
        )
    check_count("continue_from", continue_from, least=0)
    return True


def kept(messages: Sequence[Message], continue_from: ContinueFrom, before: int = 0) -> int:
    """Return with how many messages of a run another one begins.

    No tool call loses its result: where one would, the messages end before the call.

    Args:
        messages: the run's own messages.
        continue_from: where they are cut off; a number that is larger than theirs keeps all.
        before: how many messages are counted before them: the system message, say.

    Example:
        >>> from kern.run.tool import ToolCall
        >>> said = [
        ...     Message("user", "How is the weather?"),
        ...     Message("assistant", tool_calls=[ToolCall("call", "look", "{}")]),
        ...     Message("tool", "Sunny.", tool_call_id="call"),
        ...     Message("assistant", "Sunny!"),
        ... ]
        >>> [kept(said, count) for count in (1, 2, 3, 4)]
        [1, 1, 3, 4]
        >>> kept(said, "last_user")
        1
    """
    if continue_from == "end":
        count = len(messages)
    elif continue_from == "last_user":
        asked = (place for place, each in enumerate(messages, 1) if each.role == "user")
        count = max(asked, default=len(messages))
    else:
        count = min(max(0, continue_from - before), len(messages))
    return _with_results(messages, count)


def without_answer(messages: Sequence[Message]) -> int:
    """Return how many messages of a run are left without its answer.

    Example:
        >>> without_answer([Message("user", "Hi"), Message("assistant", "Hello.")])
        1
    """
    count = _with_results(messages, len(messages))
    while count and messages[count - 1].role == "assistant":
        count -= 1
    return count


def asked_at(messages: Sequence[Message]) -> int:
    """Return the place of the message that says last what a run is to do."""
    asked = (place for place, each in enumerate(messages) if each.role == "user")
    return max(asked, default=0)


def _with_results(messages: Sequence[Message], count: int) -> int:
    for place, message in enumerate(messages[:count]):
        if message.tool_calls:
            after = messages[place + 1 : count]
            results = sum(1 for _ in takewhile(lambda each: each.role == "tool", after))
            if results < len(message.tool_calls):
                return place
    return count


def own_start(messages: Sequence[Message], given: Sequence[Message]) -> int:
    """Return how many messages a run was shown before its own.

    Args:
        messages: as its output has them: as they are stored, or with the system message, examples
            and history, as they are handed out to who has executed it.
        given: its input; empty where that is not known.
    """
    wanted = [(each.role, each.text) for each in given]
    for start in range(len(messages) - len(wanted) + 1 if wanted else 0):
        if [(each.role, each.text) for each in messages[start : start + len(wanted)]] == wanted:
            # An introduction comes before the input of a session's first run.
            return 0 if start == 1 and messages[0].role == "assistant" else start
    return sum(
        1 for _ in takewhile(lambda each: each.role == "system" or each.from_history, messages)
    )


def begun_of(options: Mapping[str, object]) -> Begun | None:
    """Return what the options of a stored input say of the run with whose messages it begins."""
    found = options.get(BRANCHED)
    return None if found is None else msgspec.convert(found, Begun)
