"""Why a run goes on, or does not: every reason, from values alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from journals import answer, row

from kern.db.overview import Standing
from kern.db.processes import Process
from kern.dispatch.explanation import Reason, Why, explain, step_under_way
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement, requirements_to_json
from kern.run.steps import VERSION, AnyStep, AttemptBegun, CallBegun, Continued, TextSlice
from kern.run.tool import ToolCall, ToolExecution
from kern.run.tool_steps import ToolEnded

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

RUN = RunRecord("run", "session", "agent", "ann", RunStatus.pending, 0, NOW)

WORKER = Process("worker", "host", 7, ("agent",), "1.0", 5, 1, 15.0, beat_at=NOW, silence=1.0)
OTHER = replace(WORKER, executor="other", pid=8, agents=("else",))
GONE = replace(WORKER, beat_at=NOW - timedelta(seconds=41), silence=41.0)
FULL = replace(WORKER, executing=5)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def why(
    changes: dict[str, Any], standing: dict[str, Any], fleet: tuple[Process, ...] = (WORKER,)
) -> Why:
    """Return the answer for a run that differs in this from a plain one."""
    record = msgspec.structs.replace(RUN, **changes)
    values = {"due_at": NOW - seconds(2), **standing}
    found = explain(record, Standing("run", record.status, NOW, **values), fleet)
    assert found is not None
    return found


RUNNING = {"status": RunStatus.running, "executor": "worker", "attempt": 1}
EXECUTES = {"due_at": None, "begun_at": NOW - seconds(9), "lease_until": NOW + seconds(9)}
EXPIRED = {**EXECUTES, "lease_until": NOW - seconds(3)}
REFUSED = {"refusal": "There is no tool «x».", "executor": "worker", "attempt": 2}
LATER = {"due_at": NOW + seconds(90)}
OF_AGENT = {"due_at": None, "limit": "agent"}
WAITS = {"due_at": None, "waits_for_session": True}


@pytest.mark.parametrize(
    ("reason", "text", "changes", "standing", "fleet"),
    [
        ("executing", "executed by process 7 on host", RUNNING, EXECUTES, (WORKER,)),
        (
            "executing",
            "executed by a process that takes no runs of others (executor worker)",
            RUNNING,
            EXECUTES,
            (),
        ),
        (
            "cancelling",
            "is being cancelled since 4.0s by process 7 on host",
            RUNNING,
            {**EXECUTES, "cancel_requested_at": NOW - seconds(4)},
            (WORKER,),
        ),
        (
            "silent",
            "its worker is silent since 41s: process 7 on host; its lease ends in 9.0s",
            RUNNING,
            EXECUTES,
            (GONE,),
        ),
        (
            "lost",
            "its worker is gone since 41s: process 7 on host; no worker serves the agent 'agent' "
            "(none is alive)",
            RUNNING,
            EXPIRED,
            (GONE,),
        ),
        (
            "lost",
            "its worker is gone since 41s: process 7 on host; no worker serves the agent 'agent' "
            "(1 serves others)",
            RUNNING,
            EXPIRED,
            (GONE, OTHER),
        ),
        (
            "lost",
            "its worker is gone since 3.0s: process 7 on host; no worker serves the agent 'agent' "
            "(none is alive)",
            RUNNING,
            EXPIRED,
            (WORKER,),
        ),
        (
            "lost",
            "its worker is gone since 3.0s: executor lost; another one goes on with it",
            {**RUNNING, "executor": "lost"},
            EXPIRED,
            (WORKER,),
        ),
        (
            "session",
            "waits for run first of its session, which is PAUSED",
            {},
            {**WAITS, "holder": "first", "holder_status": RunStatus.paused},
            (),
        ),
        ("session", "waits for its session, whose lock is being handed off", {}, WAITS, ()),
        (
            "limit",
            "over the limit max_concurrent_runs: 3 runs of the agent 'agent' execute",
            {},
            {**OF_AGENT, "counted": 3},
            (),
        ),
        (
            "limit",
            "over the limit max_concurrent_runs_per_user: 1 run of the user 'ann' of the agent "
            "'agent' executes",
            {},
            {"due_at": None, "limit": "user", "counted": 1},
            (WORKER,),
        ),
        (
            "limit",
            "waits for max_concurrent_runs of the agent 'agent', where there is room again",
            {},
            OF_AGENT,
            (WORKER,),
        ),
        ("unserved", "no worker serves the agent 'agent' (none is alive)", {}, OF_AGENT, (GONE,)),
        (
            "scheduled",
            "scheduled for 2026-01-31 12:01:30 UTC, in 1m 30s",
            {"run_at": NOW + seconds(90)},
            LATER,
            (),
        ),
        (
            "sleeping",
            "sleeps until 2026-01-31 12:01:30 UTC, for 1m 30s",
            {"attempt": 1, "run_at": NOW + seconds(90)},
            LATER,
            (),
        ),
        (
            "retrying",
            "2 attempts failed; the next one begins in 1m 30s",
            {"failures": 2, "run_at": NOW + seconds(90)},
            LATER,
            (WORKER,),
        ),
        (
            "refused",
            "refused by process 7 on host (refused 3 times): There is no tool «x». "
            "It is offered again in 1m 30s.",
            REFUSED,
            {**LATER, "refusals": 3},
            (WORKER,),
        ),
        (
            "refused",
            "refused by executor worker: There is no tool «x». Now no worker serves the agent "
            "'agent' (1 serves others).",
            REFUSED,
            {"refusals": 1},
            (OTHER,),
        ),
        (
            "newer",
            f"needs a newer kern, which writes version {VERSION + 1} of the journal; this one "
            f"knows version {VERSION}",
            {"journal_version": VERSION + 1},
            {},
            (WORKER,),
        ),
        ("unserved", "no worker serves the agent 'agent' (none is alive)", {}, {}, ()),
        ("unserved", "no worker serves the agent 'agent' (2 serve others)", {}, {}, (OTHER,) * 2),
        (
            "full",
            "no free slot: all 10 of 2 workers for the agent 'agent' are in use",
            {},
            {},
            (FULL, FULL, GONE),
        ),
        ("due", "due since 2.0s; 1 worker may claim it", {}, {}, (WORKER, GONE, OTHER)),
        ("due", "due since 0.0s; 1 worker may claim it", {}, LATER, (WORKER,)),
        ("due", "due since 2.0s; 2 workers may claim it", {}, {}, (WORKER, FULL)),
    ],
)
def test_every_reason_is_said(
    reason: str,
    text: str,
    changes: dict[str, Any],
    standing: dict[str, Any],
    fleet: tuple[Process, ...],
) -> None:
    found = why(changes, standing, fleet)
    assert (found.reason.value, found.text) == (reason, text)


def test_what_a_paused_run_waits_for_is_named() -> None:
    calls = [ToolExecution("1", "refund", '{"amount": 5}'), ToolExecution("2", "send\x1b[2J", "{}")]
    wanted = [
        RunRequirement("a", "confirmation", calls[0], created_at=NOW.timestamp()),
        RunRequirement("b", "unknown_outcome", calls[1], created_at=NOW.timestamp() - 5),
        RunRequirement("c", "confirmation", calls[0], created_at=0.0, confirmation=True),
    ]
    paused = {"status": RunStatus.paused, "requirements": requirements_to_json(wanted)}
    found = why(paused, {"due_at": None})
    assert found.reason is Reason.paused
    assert found.since == NOW - seconds(5)
    assert found.text == (
        'waits for a person: confirmation of refund({"amount": 5}), outcome of send\ufffd[2J({}), '
        "which was interrupted"
    )
    assert why({**paused, "requirements": "[]]"}, {}).text == "waits for a person: a decision"


def test_a_run_that_has_moved_on_between_two_looks_has_no_reason_yet() -> None:
    assert explain(RUN, Standing("run", RunStatus.running, NOW), [WORKER]) is None
    ended = msgspec.structs.replace(RUN, status=RunStatus.completed)
    assert explain(ended, Standing("run", RunStatus.completed, NOW), [WORKER]) is None


def test_moments_are_those_of_the_database() -> None:
    assert why(RUNNING, EXECUTES).since == NOW - seconds(9)
    assert why(RUNNING, EXPIRED, (GONE,)).since == NOW - seconds(41)
    assert why({"run_at": NOW + seconds(90)}, LATER).until == NOW + seconds(90)
    assert why({}, {}, ()).since == NOW - seconds(2)
    held = why({}, {**WAITS, "holder": "first", "holder_status": RunStatus.running})
    assert held.run_id == "first"


TWO = (ToolCall("1", "search", '{"q":"heat"}'), ToolCall("2", "send", "{}"))


@pytest.mark.parametrize(
    ("text", "after", "steps"),
    [
        ("model call", 0, []),
        ("model call", 1, [CallBegun()]),
        ("model call", 1, [CallBegun(), TextSlice("Heat")]),
        ('search({"q":"heat"}), send({})', 1, [answer(None, *TWO, starts=(0, 1))]),
        ("send({})", 1, [answer(None, *TWO, starts=(0, 1)), ToolEnded(0, "warm")]),
        (
            "model call",
            3,
            [answer(None, *TWO, starts=(0, 1)), ToolEnded(1, "sent"), ToolEnded(0, "warm")],
        ),
        (
            "send({})",
            4,
            [
                answer(None, *TWO, starts=(0,)),
                ToolEnded(0, "warm"),
                Continued((1,)),
                AttemptBegun(2, (1,)),
            ],
        ),
        ("storing its end", 1, [answer("Done.")]),
    ],
)
def test_the_step_under_way_is_said_and_since_when(
    text: str, after: int, steps: list[AnyStep]
) -> None:
    rows = [
        msgspec.structs.replace(
            row("run", seq, step, 100 + 10 * seq), created_at=NOW.timestamp() + seq
        )
        for seq, step in enumerate(steps, 1)
    ]
    assert step_under_way(rows, NOW) == (text, NOW + seconds(after))


def test_a_later_attempt_has_begun_its_step_itself() -> None:
    rows = [msgspec.structs.replace(row("run", 1, CallBegun()), created_at=NOW.timestamp() - 60)]
    assert step_under_way(rows, NOW).since == NOW
