"""A conversation of which the oldest messages are summed up: a pure function."""

from kern.execution.compacted import Conversation, mark
from kern.run.beside_steps import ConversationCompacted
from kern.run.message import Message
from kern.run.tool import ToolCall


def earlier(run_id: str, *messages: Message) -> list[Message]:
    """Return messages as those of an earlier run."""
    for each in messages:
        each.from_history = True
    mark(messages, run_id)
    return [*messages]


CALL = ToolCall("call", "look", "{}")
HISTORY = [
    *earlier("one", Message("user", "A?"), Message("assistant", "A.")),
    *earlier(
        "two",
        Message("user", "B?"),
        Message("assistant", None, [CALL]),
        Message("tool", "b", tool_call_id="call"),
        Message("assistant", "B."),
    ),
]
ANSWER = Message("assistant", None, [CALL])
OWN = [Message("user", "C?"), ANSWER, Message("tool", "c", tool_call_id="call")]
SYSTEM = Message("system", "Be kind.")
CONVERSATION = Conversation.of([SYSTEM, *HISTORY], OWN, ANSWER)


def texts(step: ConversationCompacted | None) -> list[str]:
    """Return what the model is told, the summary as such."""
    told = [each.text for each in CONVERSATION.told(step)]
    return ["Sum." if "\nSum.\n" in each else each for each in told]


def test_an_earlier_run_is_never_cut_in_two_and_a_call_keeps_its_result() -> None:
    assert [*CONVERSATION.places()] == [(2, "one", None), (6, "two", None), (7, "", 1)]


def test_a_summary_stands_for_what_it_says() -> None:
    whole = [each.text for each in (SYSTEM, *HISTORY, *OWN)]
    assert texts(None) == whole
    assert texts(ConversationCompacted("Sum.", "one")) == ["Be kind.", "Sum.", *whole[3:]]
    assert texts(ConversationCompacted("Sum.", "two")) == ["Be kind.", "Sum.", *whole[7:]]
    assert texts(ConversationCompacted("Sum.", "", 1)) == ["Be kind.", "Sum.", *whole[7:]]


def test_a_part_of_an_earlier_run_is_known_by_its_messages() -> None:
    assert texts(ConversationCompacted("Sum.", "two", 1))[2:4] == ["", "b"]
    assert texts(ConversationCompacted("Sum.", "two", 0))[2] == "B?"


def test_a_result_never_loses_its_call() -> None:
    assert texts(ConversationCompacted("Sum.", "two", 2))[2:4] == ["", "b"]
    assert texts(ConversationCompacted("Sum.", "", 2)) == ["Be kind.", "Sum.", "C?", "", "c"]


def test_a_run_that_is_not_shown_any_more_is_summed_up_all_the_same() -> None:
    assert texts(ConversationCompacted("Sum.", "zero"))[:3] == ["Be kind.", "Sum.", "A?"]
