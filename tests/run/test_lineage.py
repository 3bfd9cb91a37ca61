"""Where a run is cut off for another one to begin with what it has said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import InvalidInputError
from kern.run.lineage import asked_at, check_place, kept, own_start, without_answer
from kern.run.message import Message
from kern.run.tool import ToolCall


def call(*names: str) -> Message:
    return Message("assistant", tool_calls=[ToolCall(each, "work", "{}") for each in names])


def result(name: str) -> Message:
    return Message("tool", f"{name} is done", tool_call_id=name)


USER, ANSWER = Message("user", "Work."), Message("assistant", "Done.")
SAID = [USER, call("a", "b"), result("a"), result("b"), call("a"), result("a"), ANSWER]


@pytest.mark.parametrize(
    ("count", "left"), [(0, 0), (1, 1), (2, 1), (3, 1), (4, 4), (5, 4), (6, 6), (7, 7), (99, 7)]
)
def test_no_call_loses_its_result(count: int, left: int) -> None:
    assert kept(SAID, count) == left
    assert kept(SAID, count + 1, before=1) == left, "the system message counts"


def test_calls_that_have_no_result_yet_are_left_out() -> None:
    open_calls = [USER, call("a", "b"), result("a")]
    assert kept(open_calls, "end") == 1
    assert without_answer(open_calls) == 1
    assert kept([USER, ANSWER, USER, call("a")], "last_user") == 3


def test_what_the_user_said_last_is_found() -> None:
    assert kept(SAID, "last_user") == 1
    assert kept([ANSWER, USER, ANSWER, USER], "last_user") == 4
    assert kept([ANSWER], "last_user") == 1, "there is none, so all are kept"
    assert asked_at([ANSWER, USER, ANSWER]) == 1
    assert asked_at([]) == 0


def test_an_answer_is_left_out_and_the_results_before_it_are_kept() -> None:
    assert without_answer(SAID) == 6
    assert without_answer([USER, ANSWER, ANSWER]) == 1
    assert without_answer([ANSWER]) == 0
    assert without_answer([]) == 0


@pytest.mark.parametrize("wrong", ["start", "", -1, 1.5, True, None, [1]])
def test_a_place_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInputError, match="continue_from"):
        check_place(wrong)


def test_own_messages_begin_after_what_was_shown() -> None:
    system, example = Message("system", "Be brief."), Message("user", "For example")
    earlier = Message("user", "Earlier", from_history=True)
    assert own_start([system, example, earlier, *SAID], [USER]) == 3
    assert own_start([system, earlier, *SAID], []) == 2, "the input is not known"
    assert own_start(SAID, [USER]) == 0
    assert own_start([ANSWER, *SAID], [USER]) == 0, "an introduction is a part of the run"
    given_system = [system, USER]
    assert own_start([system, *given_system, ANSWER], given_system) == 1
    assert own_start([*given_system, ANSWER], given_system) == 0
    branch = [Message("user", "Work.", from_history=True), USER]
    assert own_start([earlier, *branch, ANSWER], branch) == 1


MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([USER, ANSWER]),
        st.integers(1, 3).map(lambda many: call(*"abc"[:many])),
        st.sampled_from("abc").map(result),
    ),
    max_size=12,
)


@given(MESSAGES, st.one_of(st.sampled_from(["end", "last_user"]), st.integers(0, 15)))
def test_wherever_it_is_cut_every_call_has_its_results(messages: list[Message], place: int) -> None:
    count = kept(messages, place)
    assert 0 <= count <= len(messages)
    if isinstance(place, int):
        assert count <= place
    assert kept(messages[:count], "end") == count, "nothing is left to cut off"
