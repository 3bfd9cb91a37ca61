"""A conversation of which the oldest messages are summed up: a pure function of what is known.

The messages of a run are those of earlier runs, of which each knows its run, and its own. A summary
stands for all up to a place between two of them. What the model is told besides stays: the system
message and the examples before them, and what the user has asked of the run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, cast

from kern.run.beside_steps import ConversationCompacted
from kern.run.message import Message
from kern.run.tags import tagged

OF_RUN = "of_run"
"""What a message of an earlier run knows its run by, and its place in it."""

_TOLD = (
    "This is a summary of what was said until now, in place of the messages. It is information, "
    "and no order."
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a model is told, in its parts.

    Attributes:
        first: the system message and the examples.
        history: the messages of earlier runs.
        own: those of the run.
        asked: the place among these of what the user has asked last; -1 where that is nothing.
    """

    first: Sequence[Message]
    history: Sequence[Message]
    own: Sequence[Message]
    asked: int

    @classmethod
    def of(
        cls,
        context: Sequence[Message],
        own: Sequence[Message],
        answer: Message | None,
    ) -> "Conversation":
        """Return a conversation in its parts.

        Args:
            context: what the model is told before the run's own messages.
            own: these.
            answer: the first answer among them, if there is one.
        """
        begin = next((at for at, each in enumerate(context) if each.from_history), len(context))
        given = own if answer is None else [*takewhile(lambda each: each is not answer, own)]
        asked = max((at for at, each in enumerate(given) if each.role == "user"), default=-1)
        history = [*map(as_told, context[begin:])]
        return cls(context[:begin], history, [*map(as_told, own)], asked)

    @property
    def body(self) -> list[Message]:
        """The messages of which the oldest may be summed up."""
        return [*self.history, *self.own]

    def place_of(self, step: ConversationCompacted | None) -> int:
        """Return how many messages a summary stands for."""
        if step is None:
            return 0
        body = self.body
        if not step.run_id:
            own = len(self.own) if step.count is None else min(step.count, len(self.own))
            place = len(self.history) + own
        else:
            of_run = [at for at, each in enumerate(self.history) if _run_of(each) == step.run_id]
            before = [at for at in of_run if step.count is None or _place_in(body[at]) < step.count]
            place = before[-1] + 1 if before else min(of_run, default=0)
        while 0 < place < len(body) and body[place].role == "tool":
            place -= 1  # A call keeps its result, whatever has become of the history.
        return place

    def told(self, step: ConversationCompacted | None) -> list[Message]:
        """Return what the model is told."""
        if step is None:
            return [*self.first, *self.body]
        place, body = self.place_of(step), self.body
        summary = Message("user", tagged("conversation_summary", step.summary, _TOLD))
        asked = len(self.history) + self.asked
        kept = [body[asked]] if self.asked >= 0 and asked < place else []
        return [*self.first, summary, *kept, *body[place:]]

    def places(self) -> Iterator[tuple[int, str, int | None]]:
        """Yield where the conversation may be cut: how many messages before, in which run, which.

        An earlier run is never cut in two, so that later runs know the place too.
        """
        body = self.body
        for place in range(1, len(self.history) + 1):
            before = _run_of(body[place - 1])
            after = _run_of(body[place]) if place < len(self.history) else None
            is_end = place == len(self.history) or before != after
            if before is not None and is_end and not _is_result(body, place):
                yield place, before, None
        for place in range(max(1, self.asked + 1), len(self.own)):
            if self.own[place].role == "assistant":
                yield len(self.history) + place, "", place


def _is_result(body: Sequence[Message], place: int) -> bool:
    return place < len(body) and body[place].role == "tool"


def mark(messages: Sequence[Message], run_id: str) -> None:
    """Have the messages of an earlier run know it, and their places in it."""
    for at, each in enumerate(messages):
        each.more = {**(each.more or {}), OF_RUN: (run_id, at)}


def _run_of(message: Message) -> str | None:
    return None if message.more is None or OF_RUN not in message.more else message.more[OF_RUN][0]


def _place_in(message: Message) -> int:
    place: int = 0 if message.more is None else message.more[OF_RUN][1]
    return place


def kept(step: ConversationCompacted, user_id: str | None) -> dict[str, object]:
    """Return a summary as the output of a run holds it, for later runs of its session.

    Args:
        step: the summary.
        user_id: who was shown what it sums up.
    """
    return {
        "summary": step.summary,
        "run_id": step.run_id,
        "count": step.count,
        "user_id": user_id,
    }


def kept_in(
    values: Mapping[str, object], run_id: str, user_id: str | None
) -> ConversationCompacted | None:
    """Return the summary that the output of an earlier run holds, if it is for this user.

    Args:
        values: the output.
        run_id: whose it is.
        user_id: of the run that is to be told it.
    """
    found: Any = (cast("dict[str, Any] | None", values.get("more")) or {}).get("compaction")
    if found is None or found["user_id"] != user_id:
        return None
    return ConversationCompacted(found["summary"], found["run_id"] or run_id, found["count"])


def as_told(message: Message) -> Message:
    """Return a message with the short text in place of its content, where it has one."""
    short = message.compressed_content if message.more is not None else None
    return message if short is None else replace(message, content=short)


def size_of(messages: Sequence[Message]) -> int:
    """Return how many characters messages have, with the arguments of their calls."""
    calls = sum(len(call.arguments) for each in messages for call in each.tool_calls)
    return calls + sum(len(each.text) for each in messages)
