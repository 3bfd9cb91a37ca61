"""A session as its users see it."""

import pytest

from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.session import AgentSession, SessionSummary


def run(run_id: str, *messages: Message, status: RunStatus = RunStatus.completed) -> RunOutput:
    return RunOutput(run_id, "session", "agent", status=status, messages=[*messages])


def test_runs_are_read_once_on_their_first_use() -> None:
    reads: list[int] = []

    def load() -> list[RunOutput]:
        reads.append(1)
        return [run("1"), run("2")]

    session = AgentSession("session", load_runs=load)
    session.upsert_run(run("2", Message("user", "Mine")))
    session.upsert_run(run("3"))
    assert reads == []
    assert [each.run_id for each in session.runs] == ["1", "2", "3"]
    assert session.runs[1].messages[0].text == "Mine"
    assert reads == [1]
    assert [each.run_id for each in session.changed_runs] == ["2", "3"]


def test_messages_of_earlier_runs_are_shown_once() -> None:
    earlier = Message("user", "One")
    earlier.from_history = True
    runs = [run("1", Message("user", "One")), run("2", earlier, Message("user", "Two"))]
    session = AgentSession("session", runs=runs)
    assert [each.text for each in session.get_messages()] == ["One", "Two"]
    assert len(session.get_messages(skip_history_messages=False)) == 3


def test_a_failed_run_is_no_part_of_the_conversation() -> None:
    failed = run("1", Message("user", "Lost"), status=RunStatus.error)
    session = AgentSession("session", runs=[failed, run("2", Message("user", "Kept"))])
    assert [each.text for each in session.get_chat_history()] == ["Kept"]


def test_a_session_is_json_and_back() -> None:
    session = AgentSession("session", "agent", "ada", {"session_name": "Trip"}, runs=[run("1")])
    session.summary = SessionSummary("About it.", ["it"])
    again = AgentSession.from_dict(session.to_dict())
    assert again.to_dict() == session.to_dict()
    assert again.session_name == "Trip"


def test_a_damaged_summary_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a summary"):
        SessionSummary.from_dict({"summary": 1})
