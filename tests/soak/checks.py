"""The promises, held against what is known. A breach is a text that says where to look."""

from collections.abc import Iterator
from itertools import pairwise

from tests.soak.facts import ENDS, LATE_LINE, Facts, Run
from tests.soak.ledger import Line
from tests.soak.plan import ATTEMPTS, POISON_ATTEMPTS, answer_of

# The clocks of processes are one clock, but not read at the same moment.
_MOMENT = 0.001


def breaches(facts: Facts) -> Iterator[str]:
    """Yield what must not have happened."""
    for run in facts.runs:
        if run.came:
            for breach in _breaches_of(run):
                yield f"{run.id}: {breach}"
        elif run.accepted is not None:
            yield f"{run.id}: it was accepted, and never came: {run.accepted}"
    yield from _take_turns(facts)
    for takeover in facts.takeovers:
        if takeover.cause in (None, "cut"):
            yield (
                f"{takeover.run.id}: attempt {takeover.attempt} took over although nothing had "
                f"happened but {takeover.cause}; {takeover.run.changes} {takeover.run.pids}"
            )
    for stray in facts.strays:
        yield f"{stray}: nobody has submitted it"


def _breaches_of(run: Run) -> Iterator[str]:
    for check in (
        _has_one_end,
        _ends_as_it_should,
        _is_told,
        _begins_where_it_may,
        _repeats_nothing,
        _goes_on,
    ):
        yield from check(run)


def _has_one_end(run: Run) -> Iterator[str]:
    """Promises 1 and 2: an accepted run is there, ends once, and keeps its end."""
    if run.stored is None:
        yield "it was accepted, and is lost"
        return
    ends = [change for change in run.changes if change.status in ENDS]
    if run.stored.status not in ENDS:
        yield f"it has not ended: {run.stored}, {run.changes}"
    elif len(ends) != 1 or run.changes[-1] != ends[0] or ends[0].status != run.stored.status:
        yield f"it did not keep its end: {run.changes}, {run.stored}"
    attempts = [change.attempt for change in run.changes if change.status == "RUNNING"]
    if any(later != earlier + 1 for earlier, later in pairwise([0, *attempts])):
        yield f"its attempts do not follow each other: {run.changes}"


def _ends_as_it_should(run: Run) -> Iterator[str]:
    """Promises 6 and 7: it completes with the right answer, or is cancelled, if it was."""
    stored, cancels = run.stored, run.asked.cancels
    if stored is None or run.end is None:
        return
    status, kind = stored.status, run.asked.kind
    if any(cancel.answer for cancel in cancels):
        if status != "CANCELLED":
            yield f"it was cancelled, and ended {status}: {cancels}, {run.changes}"
    elif kind == "early":
        if status != "CANCELLED" or run.steps:
            yield f"it was cancelled before it came, and ended {status}: {run.steps}"
    elif kind == "poison":
        if status != "ERROR" or f"of {POISON_ATTEMPTS} attempts were lost" not in f"{stored.error}":
            yield f"it is poison, and ended {stored}"
    elif kind == "slow":
        if status != "ERROR" or "within its timeout" not in f"{stored.error}":
            yield f"it was too slow, and ended {stored}"
    elif status == "COMPLETED":
        if stored.content != answer_of(run.id):
            yield f"it has the wrong answer: {stored}"
        if len(run.commits) != run.asked.plan.steps:
            yield f"it has not the steps of its plan in its journal: {run.commits}"
    elif status != "CANCELLED" or all(cancel.answer is False for cancel in cancels):
        yield f"it ended {stored} after {cancels}"
    for cancel in cancels:
        if cancel.answer is False and kind != "early" and run.end.at > cancel.answered_at:
            yield f"a cancel said False before it had ended: {cancel}, {run.changes}"
    if stored.attempt > ATTEMPTS:
        yield f"it took {stored.attempt} attempts"


def _is_told(run: Run) -> Iterator[str]:
    """What its users and its webhook are told is what is stored."""
    if run.stored is None:
        return
    stored = run.stored
    for at, *told in run.asked.seen:
        if told != [stored.status, stored.content, stored.error]:
            yield f"a user saw {told} at {at:.3f}; it is {stored}"
    if not run.asked.seen and run.accepted is not None:
        yield f"nobody was told of its end: {run.changes}"
    if run.asked.options.get("webhook"):
        hooks = {line.note for line in run.lines if line.what == "told"}
        if hooks != {stored.status}:
            yield f"its webhook was told {hooks or 'nothing'}; it ended {stored.status}"


def _begins_where_it_may(run: Run) -> Iterator[str]:
    """A run that begins as it is accepted begins in the process that has submitted it."""
    pid = run.pids.get(1)
    if run.begun_where_submitted and pid is not None and pid not in run.submitters:
        yield f"it began in {pid}, which has not submitted it: {run.submitters}"


def _repeats_nothing(run: Run) -> Iterator[str]:
    """Promises 4 and 5: what is committed is not done again, and no attempt does a thing twice.

    Who was stopped for long may do late what a later attempt has done already: its attempt began
    before that was committed.
    """
    committed = {(commit.turn, commit.place): commit.at for commit in run.commits}
    if len(committed) != len(run.commits):
        yield f"a step is in its journal twice: {run.commits}"
    seen: dict[tuple[int, int | None, int], Line] = {}
    for line in run.steps:
        if line.what == "model":
            attempts = [attempt for attempt, pid in run.pids.items() if pid == line.pid]
            place, late = None, LATE_LINE
        else:
            attempts, place, late = [line.attempt], line.place, _MOMENT
            if (earlier := seen.setdefault((line.turn, place, line.attempt), line)) is not line:
                yield f"an attempt did a step twice: {earlier}; {line}"
        done = committed.get((line.turn, place))
        begun = [run.claims[attempt] for attempt in attempts if attempt in run.claims]
        if done is not None and begun and line.at > done and min(begun) > done:
            yield f"a step was done again after it was committed at {done:.3f}: {line}"
        if run.end is not None and run.end.attempt in attempts and line.at > run.end.at + late:
            yield f"a step began after the end at {run.end.at:.3f}: {line}"
    for line in run.lines:
        if line.what == "wrong":
            yield f"the model was told something wrong: {line}"
    once = [(line.turn, line.place) for line in run.steps if line.what == "begin-once"]
    if len(set(once)) < len(once):
        yield f"what must not be done twice was done twice: {once}"


def _goes_on(run: Run) -> Iterator[str]:
    """Replay never goes back: once a turn has begun, no later attempt begins an earlier one."""
    furthest: Line | None = None
    for line in run.steps:
        if line.what == "model":
            continue
        if furthest is not None and line.turn < furthest.turn and line.attempt >= furthest.attempt:
            yield f"a step began after one of the next turn: {furthest}; {line}"
        if furthest is None or line.turn >= furthest.turn:
            furthest = line


def _take_turns(facts: Facts) -> Iterator[str]:
    """Promise 9: the runs of a session execute one at a time, as they were accepted."""
    sessions: dict[str, list[Run]] = {}
    for run in facts.runs:
        if run.claims and run.end and "session_policy" not in run.asked.options:
            sessions.setdefault(run.asked.session_id, []).append(run)
    for session, runs in sessions.items():
        runs.sort(key=lambda run: run.claims[min(run.claims)])
        for earlier, later in pairwise(runs):
            begun = min(later.claims.values())
            assert earlier.end is not None
            if begun < earlier.end.at:
                yield f"{session}: {later.id} began before {earlier.id} had ended"
            if later.steps and later.steps[0].at < earlier.end.at:
                yield f"{session}: a step of {later.id} began before {earlier.id} had ended"
        yield from _keep_their_order(session, [run for run in runs if run.asked.ordered])


def _keep_their_order(session: str, runs: list[Run]) -> Iterator[str]:
    """Of two runs the first is that which was accepted before the other one was submitted.

    Of two that were submitted at the same time either may be.

    Args:
        session: their session.
        runs: the runs in the order in which they began.
    """
    first: Line | None = None  # The first acceptance of those that began later.
    for run in reversed(runs):
        assert run.submitted is not None
        if first is not None and first.number < run.submitted.number:
            yield f"{session}: {run.id} began before {first.run}, which was accepted before"
        if run.accepted is not None and (first is None or run.accepted.number < first.number):
            first = run.accepted
