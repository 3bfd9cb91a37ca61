"""What kern promises of the runs in the store: who writes, in which order, and how they end."""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, cast

from kern.db.sqlite.connection import Transaction
from kern.run.record import Settlement
from tests.simulation.agents import AGENT_LIMIT, USER_LIMIT, answer
from tests.simulation.promises.calls import MOST_ANSWERS, Calls
from tests.simulation.promises.seen import Row, Seen
from tests.simulation.store import at_once
from tests.simulation.weather import HEARTBEAT

if TYPE_CHECKING:
    from tests.simulation.world import Process

_MOVES = {
    None: {"PENDING", "RUNNING", "CANCELLED"},
    "PENDING": {"RUNNING", "CANCELLED", "ERROR"},
    "RUNNING": {"PENDING", "PAUSED", "COMPLETED", "ERROR", "CANCELLED"},
    "PAUSED": {"PENDING", "CANCELLED"},
    "ERROR": set(),
    "COMPLETED": set(),
    "CANCELLED": set(),
}

# The writes of an attempt, with the places of run id and attempt in their arguments.
_FENCED = ("append", "settle", "postpone", "sleep", "release", "refuse", "set_counted")

# How often a process may look for runs within a heartbeat; a run that begins or ends is a reason.
_MOST_ASKED = 300

# What a run fails of that has used as much as it may.
_OF_LIMITS = (
    "The model was asked max_turns=",
    "The run has reached its limit of requests=",
    "The run has made its tool_call_limit=",
)


class States:
    """Watches the store."""

    def __init__(self, seen: Seen, calls: Calls) -> None:
        """Look at what is seen."""
        self._seen = seen
        self._calls = calls
        self._changes = 0
        self._asked: defaultdict[Process, list[float]] = defaultdict(list)

    def set_budget(self) -> None:
        """Give everybody a budget that is never used up."""

        def put(transaction: Transaction) -> None:
            transaction.execute(
                "INSERT INTO kern_sessions_budgets (user_id, per, tokens) "
                "VALUES ('', 'month', 1000000)"
            )

        at_once(self._seen.world.file.write(put))

    def check_budgets(self) -> None:
        """What is journaled is counted once: each answer has taken one token."""
        counted = self._seen.world.rows(
            "SELECT user_id, used_tokens FROM kern_sessions_budgets WHERE user_id <> ''"
        )
        journaled = self._seen.world.rows(
            "SELECT user_id, count(*) FROM kern_sessions_run_events JOIN kern_sessions_runs "
            "USING (run_id) WHERE type = 'ModelAnswered' AND user_id IS NOT NULL GROUP BY user_id"
        )
        used, answers = dict(map(tuple, counted)), dict(map(tuple, journaled))
        if used != answers:
            self._seen.breach(f"budgets count {used}, though the answers are {answers}")

    def asked(self, process: "Process", name: str) -> None:
        """See that a process does not ask all the time."""
        if name != "dequeue":
            return
        asked = self._asked[process]
        asked.append(self._seen.world.universe.now)
        if len(asked) > _MOST_ASKED and asked[-1] - asked[-_MOST_ASKED] < HEARTBEAT:
            self._seen.breach(
                f"{process.name} has asked for runs {_MOST_ASKED} times in a heartbeat"
            )

    def stored(
        self, process: "Process", name: str, args: tuple[object, ...], result: object
    ) -> None:
        """See what an operation has changed, which was just carried out for a process."""
        seen = self._seen
        if seen.world.is_over:
            return
        if name in _FENCED and result:
            self._check_writer(name, args)
        if (changes := seen.world.changes()) == self._changes:
            return
        self._changes = changes
        before = seen.look()
        for run_id in before.keys() - seen.rows.keys():
            if seen.known[run_id].accepted:
                seen.breach(f"{run_id} was accepted, and is gone")
        for run_id, row in seen.rows.items():
            old = before.get(run_id)
            if old != row:
                self._changed(process, name, old, row)

    def _check_writer(self, name: str, args: tuple[object, ...]) -> None:
        """One writer: a stale attempt is refused."""
        if name == "settle":
            settlement = cast(Settlement, args[0])
            run_id, attempt = settlement.run_id, settlement.attempt
        else:
            run_id, attempt = cast(str, args[0]), cast(int, args[1])
        row = self._seen.rows[run_id]
        if (row.status, row.attempt) != ("RUNNING", attempt):
            self._seen.breach(
                f"{name} by attempt {attempt} of {run_id} was not refused, though it was "
                f"{row.status} in attempt {row.attempt}"
            )

    def _changed(self, process: "Process", name: str, old: Row | None, row: Row) -> None:
        breach, status = self._seen.breach, None if old is None else old.status
        if old is None or (status, old.attempt) != (row.status, row.attempt):
            text = f"{name}: {row.run_id} {status or '-'} → {row.status} (attempt {row.attempt})"
            self._seen.world.write(text, process.name)
        if old is not None and row.attempt < old.attempt:
            breach(f"the attempt of {row.run_id} went back from {old.attempt}")
        if old is not None and row.failures > old.failures and name not in ("sweep", "postpone"):
            breach(f"{name} of {row.run_id} was counted as a failure")
        if old is None or status != row.status:
            return self._moved(process, name, status, row)
        if status == "RUNNING" and old.attempt != row.attempt:
            breach(f"attempt {row.attempt} of {row.run_id} began while another was RUNNING")
        if row.has_ended and (old.output, old.error) != (row.output, row.error):
            breach(f"{row.run_id} has ended, and its output changed")

    def _moved(self, process: "Process", name: str, status: str | None, row: Row) -> None:
        known, breach = self._seen.known[row.run_id], self._seen.breach
        goes_on = row.status in ("PENDING", "RUNNING")
        resumes = name == "resume" and status in ("ERROR", "PAUSED") and goes_on
        if row.status not in _MOVES[status] and not resumes:
            breach(f"{row.run_id} went from {status} to {row.status}")
        if resumes and status == "ERROR":
            known.resumed += 1
        rests = row.has_ended or row.status == "PAUSED"
        known.ended_at = self._seen.world.universe.now if rests else None
        if known.cancelled_at is not None and row.status != "CANCELLED":
            breach(f"{row.run_id} went to {row.status}, though its cancel was stored")
        match row.status:
            case "RUNNING":
                known.holder = process
                self._begins(name, row)
                if row.journal_version > process.version:
                    breach(f"{row.run_id} began where its journal cannot be read")
            case "PAUSED":
                self._pauses(row)
            case "COMPLETED":
                self._completes(row)
            case "CANCELLED":
                self._check_cause(row)
            case "ERROR":
                self._fails(row)

    def _begins(self, name: str, row: Row) -> None:
        if row.cancelling:
            self._seen.breach(f"{row.run_id} began, though it was cancelled")
        self._check_tree(row, "began")
        if row.ordered:
            self._check_order(row)
        if name == "claim" and row.agent_id == "scarce":
            self._check_limits(row)

    def _check_order(self, row: Row) -> None:
        """The runs of a session execute one at a time, in order of acceptance."""
        for other in self._seen.rows.values():
            known = self._seen.known[other.run_id]
            if other is row or other.session_id != row.session_id:
                continue
            if not other.ordered or other.has_ended:
                continue
            if other.status == "RUNNING" or (other.attempt > 0 and not known.resumed):
                self._seen.breach(
                    f"{row.run_id} began, though {other.run_id} has the session's lock"
                )
            elif (
                other.position < row.position
                and other.run_at is None
                and not other.cancelling
                and not known.resumed
                and row.attempt == 1
            ):
                self._seen.breach(
                    f"{row.run_id} began before {other.run_id}, which was accepted first"
                )

    def _check_limits(self, row: Row) -> None:
        # Those above may wait for it, so they do not count.
        excepted = [row, *self._seen.ancestors(row)]
        running = [
            each
            for each in self._seen.rows.values()
            if each.agent_id == row.agent_id and each.status == "RUNNING" and each.counted
            if each not in excepted
        ]
        if len(running) >= AGENT_LIMIT:
            self._seen.breach(f"{row.run_id} began above the limit of its agent")
        of_user = [each for each in running if each.user_id == row.user_id]
        if row.user_id is not None and len(of_user) >= USER_LIMIT:
            self._seen.breach(f"{row.run_id} began above the limit of its user")

    def _pauses(self, row: Row) -> None:
        """It waits for something, and people have the time that was given to answer."""
        world, waiting = self._seen.world, json.loads(row.requirements or "[]")
        if not waiting:
            self._seen.breach(f"{row.run_id} paused, and waits for nothing")
        for until in (each.get("expires_at") for each in waiting):
            if until is None:
                continue
            asked_at = until - world.expires_in
            if not row.created_at - 0.1 <= asked_at <= world.wall() + 0.1:
                late = asked_at - world.wall()
                self._seen.breach(f"{row.run_id} can be answered {late:+.1f} s longer than given")

    def _completes(self, row: Row) -> None:
        if row.cancelling:
            self._seen.breach(f"{row.run_id} completed, though it was cancelled")
        self._check_tree(row, "completed")
        content = json.loads(row.output or "{}").get("content") or ""
        expected = answer(self._calls.journaled(row.run_id).values())
        if content != expected:
            self._seen.breach(f"{row.run_id} answered {content!r} instead of {expected!r}")

    def _check_tree(self, row: Row, what: str) -> None:
        """The children of a cancelled run neither begin nor complete."""
        world, breach = self._seen.world, self._seen.breach
        for ancestor in self._seen.ancestors(row):
            known = self._seen.known[ancestor.run_id]
            if known.cancelled_at is not None:
                breach(f"{row.run_id} {what}, though {ancestor.run_id} was cancelled")
            if ancestor.status == "CANCELLED" and known.ended_at is not None:
                since = max(known.ended_at, world.troubled_until)
                if world.universe.now - since > world.patience:
                    breach(f"{row.run_id} {what} long after {ancestor.run_id} was CANCELLED")
            if ancestor.status in ("COMPLETED", "ERROR"):
                return  # It has left its children to themselves.

    def _check_cause(self, row: Row) -> None:
        """Only a cancel cancels."""
        for each in (row, *self._seen.ancestors(row)):
            known = self._seen.known[each.run_id]
            is_interrupted = each.session_id in self._seen.interrupting
            if known.may_be_cancelled or known.foreground or is_interrupted:
                return
        self._seen.breach(f"{row.run_id} ended CANCELLED, and nobody has cancelled it")

    def _fails(self, row: Row) -> None:
        """A run fails only of what was planned, or of too many lost attempts."""
        world, breach = self._seen.world, self._seen.breach
        message: str = json.loads(row.error or "{}").get("message") or ""
        if row.cancelling:
            breach(f"{row.run_id} failed, though it was cancelled")
        elif message.startswith("The workers of ") and not world.storm.is_calm:
            return
        elif message.startswith("The run was not done within its timeout"):
            if row.timeout is None or row.started_at is None:
                breach(f"{row.run_id} failed of a time limit that it does not have")
            elif world.wall() - row.started_at < row.timeout - 0.1:
                breach(f"{row.run_id} failed of its time limit before that was over")
        elif message.startswith(_OF_LIMITS) and row.agent_id in MOST_ANSWERS:
            rows = self._seen.rows.values()
            below = [each.run_id for each in rows if row in self._seen.ancestors(each)]
            answers = self._calls.answers([row.run_id, *below])
            if answers < MOST_ANSWERS[row.agent_id] and "tool_call_limit" not in message:
                breach(f"{row.run_id} failed of a limit after {answers} answers")
        elif message.startswith("Nobody has answered in time"):
            if "final" not in self._calls.asked(row.run_id):
                breach(f"{row.run_id} failed, as nobody has answered what does not expire")
        elif not message.startswith("planned failure"):
            breach(f"{row.run_id} failed: {message}")
