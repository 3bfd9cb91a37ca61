"""A run as it is stored: what every database takes and gives back.

Each run makes several of these. A frozen ``Struct`` is made in a tenth of the time that a frozen
dataclass takes, and the garbage collector need not look at it: it holds values only, no cycles.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from kern.run.approval import Approval
from kern.run.base import RunStatus
from kern.run.lineage import Branch
from kern.run.state import StatePatch

PARENT = "kern:parent"
"""The webhook of a run of whose end its parent is told: an address that no user can give."""


class NewRun(msgspec.Struct, frozen=True, gc=False):
    """A run about to be accepted.

    Attributes:
        run_id: its identity.
        session_id: the conversation it belongs to.
        agent_id: whose definition executes it.
        user_id: on whose behalf, where that is known.
        input: the input as JSON text.
        metadata: what the caller attached, as JSON text, or None.
        cancelled: whether it was cancelled before it arrived.
        parent_run_id: the run whose tool started it, or None.
        streamed: whether somebody reads its events as they come.
        lease: for a run that begins where it is accepted, unless it has to wait for the session
            lock, the seconds for which its first attempt is protected from others; None for a run
            that is enqueued.
        executor: for such a run, who begins it, by a name that nobody else has.
        ordered: whether it waits for the runs of its session that were accepted before it.
        priority: among the runs that are due the highest comes first.
        run_at: the moment before which it does not start, with a time zone; None for now.
        timeout: seconds after its first start at which it ends in ERROR; None for any.
        max_attempts: how many attempts may fail or be lost before it ends in ERROR; None for
            the default.
        webhook: the URL that is notified of its end, or None.
        traceparent: the trace that it belongs to, as W3C Trace Context writes it, or None.
        journal_version: the version of kern's journal that who executes it must know.
        usage_limits: how much it may use beside what its agent allows, as JSON text, or None.
        output_schema: the form of its answer where it is not its agent's, as JSON text, or None.
        lineage: from which run it was branched off, as JSON text, or None.
        branch: what is written with it where it was branched off.
        foreground: whether it belongs to a caller who waits for it.
        unstored: whether nothing of it is kept once it has ended.
        media: what the blobs in its input stand for, by their hash; it is written beside the row.
        is_new_session: whether its session is one that nobody else knows of.
        session_type: whose its session is where that begins with it: ``"team"``, or None for an
            agent.
        chosen: which of ``"run_id"`` and ``"session_id"`` its caller has named; what others call
            by the same name is another user's.
    """

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    input: str
    metadata: str | None = None
    cancelled: bool = False
    parent_run_id: str | None = None
    streamed: bool = False
    lease: float | None = None
    executor: str | None = None
    ordered: bool = False
    priority: int = 0
    run_at: datetime | None = None
    timeout: float | None = None
    max_attempts: int | None = None
    webhook: str | None = None
    traceparent: str | None = None
    journal_version: int = 1
    usage_limits: str | None = None
    output_schema: str | None = None
    lineage: str | None = None
    foreground: bool = False
    unstored: bool = False
    branch: Branch | None = None
    is_new_session: bool = False
    session_type: str | None = None
    chosen: tuple[str, ...] = ()
    media: Mapping[str, bytes] | None = None

    def __repr__(self) -> str:
        return f"NewRun({self.run_id!r})"  # What else it holds is long, and not for logs.


class RunRecord(msgspec.Struct, frozen=True, gc=False):
    """The row of a run. ``input``, ``output``, ``error`` and ``metadata`` are JSON text.

    ``last_seq`` is the number of its journal's last row, where the run was claimed; ``failures``
    counts the attempts that failed or were lost. ``waiting`` says whether it waits for the session
    lock or for a limit, and will be enqueued by what it waits for; only a read run has it.
    ``remaining`` is what is left of its timeout in seconds, by the database's clock, where it was
    claimed, and ``claimed_at`` when that was, in seconds since 1970. ``requirements`` is what a
    paused run waits for, as JSON text; ``error_kind`` the class of what it failed of; ``refusal``
    why the last executor that could not execute it has refused it. ``usage_limits`` is how much it
    may use beside what its agent allows, as JSON text; ``output_schema`` the form of its answer
    where it is not its agent's, likewise. ``lineage`` says from which run it was branched off, as
    JSON text, ``replaced_by`` which one stands in its place, ``foreground`` whether it belongs to a
    caller who waits, and ``unstored`` whether nothing of it is kept once it has ended. ``budgeted``
    says of a run that was accepted or claimed whether its user has a budget. ``usage``, and
    ``beginning``, the first characters of the input's JSON text, only a listed run has; it has
    neither ``input`` nor ``output``. ``media`` is what the blobs in the input stand for, by their
    hash; only a run that was just accepted has it. So it is with ``is_new_session``: whether its
    session was made with it. ``traceparent``, the trace that it was submitted in, only one has that
    is to be executed.
    """

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    status: RunStatus
    attempt: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    metadata: str | None = None
    output: str | None = None
    error: str | None = None
    priority: int = 0
    run_at: datetime | None = None
    timeout: float | None = None
    max_attempts: int | None = None
    failures: int = 0
    webhook: str | None = None
    parent_run_id: str | None = None
    executor: str | None = None
    journal_version: int = 1
    usage_limits: str | None = None
    output_schema: str | None = None
    refusal: str | None = None
    requirements: str | None = None
    error_kind: str | None = None
    lineage: str | None = None
    foreground: bool = False
    replaced_by: str | None = None
    unstored: bool = False
    remaining: float | None = None
    claimed_at: float | None = None
    waiting: bool = False
    input: str | None = None
    streamed: bool = False
    last_seq: int = 0
    budgeted: bool = False
    usage: str | None = None
    beginning: str | None = None
    media: Mapping[str, bytes] | None = None
    is_new_session: bool = False
    traceparent: str | None = None

    def __repr__(self) -> str:
        return f"RunRecord({self.run_id!r}, {self.status})"


class JournalRow(msgspec.Struct, frozen=True, gc=False):
    """A row of a run's journal: a step, see :mod:`kern.run.steps`.

    Attributes:
        run_id: the run.
        seq: its number within the run, from 1 on.
        event: the number of the first event that it stands for.
        type: its kind.
        skippable: whether a reader that does not know the kind may go on without it.
        payload: what happened, as JSON text.
        created_at: when it was written, in seconds since 1970; 0 before it is.
        cost: what it adds to what its user has used of budgets, in US dollars.
        tokens: the same, in tokens.
        state: what the step has changed in the state of the run's session, or None.
    """

    run_id: str
    seq: int
    event: int
    type: str
    skippable: bool
    payload: str
    created_at: float = 0.0
    cost: float = 0.0
    tokens: int = 0
    state: StatePatch | None = None


class KeptRun(msgspec.Struct, frozen=True):
    """What a paused run goes on from that no database holds: its output carries it.

    Attributes:
        input: what it was given, as JSON text.
        journal: its steps.
        timeout: its time limit in seconds, or None.
        usage_limits: how much it may use beside what its agent allows, as JSON text, or None.
        media: what the blobs in its messages stand for, by their hash.
    """

    input: str
    journal: list[JournalRow]
    timeout: float | None = None
    usage_limits: str | None = None
    media: dict[str, bytes] = {}


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended: what is written to the run's row, once.

    Attributes:
        run_id: whose end it is.
        attempt: which attempt says so; all but the newest one are refused.
        status: the terminal status that it reached, or PAUSED.
        output: what the run produced, as JSON text.
        error: what went wrong, as JSON text, or None.
        usage: the tokens used, as JSON text.
        error_kind: the class of what went wrong, such as ``"ModelError"``, or None.
        model: the model that answered, as its provider names it, or None.
        requirements: what a paused run waits for, as JSON text, or None.
        journal: the journal's rows that were not written yet.
        fold_before: the number before which the pieces of streamed text have served their
            purpose, or 0.
        expires_at: until when a paused run can be answered, in seconds since 1970; None for any
            time.
        approvals: the records of what a paused run waits for.
    """

    run_id: str
    attempt: int
    status: RunStatus
    output: str
    error: str | None
    usage: str
    error_kind: str | None = None
    model: str | None = None
    requirements: str | None = None
    journal: tuple[JournalRow, ...] = ()
    fold_before: int = 0
    expires_at: float | None = None
    approvals: tuple[Approval, ...] = ()
