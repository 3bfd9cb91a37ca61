"""How an attempt comes to its end in the database: settled, postponed, refused or released."""

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import msgspec

from kern.aio.batch import to_the_end
from kern.aio.retry import until_available
from kern.db.base import Store
from kern.db.values import Settled
from kern.errors import DatabaseError, DatabaseUnavailableError, InvalidInputError, ModelError
from kern.execution.approvals import asked_for
from kern.execution.attempt import Attempt
from kern.execution.blobs import media_in, without_media
from kern.execution.child_calls import answers_of_children, wake_paused
from kern.execution.journal import StaleAttemptError, log_lost
from kern.execution.retrying import pause_before_retry
from kern.failures import kind_of
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import JournalRow, KeptRun
from kern.run.steps import AttemptFailed

logger = logging.getLogger("kern")

# How long a run that this process cannot execute is left to others first, in seconds.
_REFUSAL_DELAY = 0.1


async def settle(attempt: Attempt) -> None:
    """Store how the run has ended, or that it is paused.

    Raises:
        DatabaseError: it could not be stored.
    """
    rows = await attempt.journal.close()
    if attempt.store is None:
        if attempt.output.status is RunStatus.paused:
            attempt.output.kept = _kept(attempt)
        return
    try:
        settled = await _write_end(attempt, attempt.store, rows)
    except DatabaseUnavailableError:
        raise
    except (DatabaseError, InvalidInputError) as error:
        # What cannot be stored must not keep the run from ending.
        output = attempt.output
        output.status, output.error = RunStatus.error, f"The output was not stored. {error}"
        output.content, output.messages, output.tools = None, [], []
        output.content_type = "str"
        settled = await _write_end(attempt, attempt.store, [])
    if settled is None:
        return await show_current(attempt)
    output, status = attempt.output, settled.status
    log_lost(output.run_id, settled.lost)
    output.status = status
    if settled.finished_at is not None:
        output.finished_at = settled.finished_at.timestamp()
    if attempt.number > 1 and output.parent_run_id is not None and status.is_terminal:
        # It may have paused for this one, in the moment in which this one went on.
        await until_available(partial(attempt.store.wake_parent, output.run_id))
    attempt.journal.readable = len(attempt.journal.entries)
    # One that ended before it had replayed the journal knows less than the database.
    attempt.is_settled = status.is_terminal and attempt.state.last_seq >= attempt.last_seq
    if status is RunStatus.cancelled:
        # Who waits for its end does not wait for that of its children.
        attempt.journal.on_write(output.run_id)
        await _cancel_children(attempt.store, output.run_id)
    # A child that was answered itself in this moment has found no paused parent.
    elif status is RunStatus.paused and await answers_of_children(attempt):
        await wake_paused(attempt.store, output.run_id)
    await erase_unstored(attempt.store, output.run_id, settled)


async def erase_unstored(store: Store, run_id: str, settled: Settled | None) -> None:
    """Erase a run that was settled just now, if nothing of it is to be kept."""
    if settled is not None and settled.unstored and settled.status.is_terminal:
        with suppress(DatabaseError):  # The sweep will do it.
            await store.erasing.erase([run_id])


def _kept(attempt: Attempt) -> KeptRun:
    """Return what a run goes on from that is kept nowhere else."""
    own = [each.to_json() for each in attempt.limits if each is not attempt.spec.usage_limits]
    return KeptRun(
        attempt.input,
        attempt.journal.rows,
        attempt.timeout,
        own[0] if own else None,
        dict(attempt.loaded),
    )


async def postpone(attempt: Attempt, failure: ModelError) -> None:
    """Have a later attempt try again what may succeed then.

    Args:
        attempt: the attempt.
        failure: what it failed of; says how long the provider asked to be left alone.

    Raises:
        DatabaseError: it could not be stored.
    """
    delay = pause_before_retry(attempt.spec.retrying, attempt.failures, failure)
    attempt.journal.break_call()
    attempt.journal.keep(AttemptFailed(str(failure), kind_of(failure)))
    await _go_on_later(attempt, delay, failed=True)


async def sleep(attempt: Attempt, delay: float) -> None:
    """Give the run up until it wakes.

    Args:
        attempt: the attempt, all of whose open calls sleep.
        delay: for how long, in seconds.

    Raises:
        DatabaseError: it could not be stored.
    """
    await _go_on_later(attempt, max(0.0, delay), failed=False)


async def _go_on_later(attempt: Attempt, delay: float, *, failed: bool) -> None:
    store, run_id = attempt.store, attempt.output.run_id
    assert store is not None, "only a stored run has later attempts"
    if attempt.state.changes is not None:  # What it gives up with changes no state.
        try:
            await attempt.journal.commit()
        except StaleAttemptError:
            return await show_current(attempt)
    rows = await attempt.journal.close()
    write = partial(store.postpone, run_id, attempt.number, delay, rows, failed=failed)
    status = await to_the_end(lambda: until_available(write), write)
    if status is None:
        return await show_current(attempt)
    attempt.output.status = status
    attempt.postponed = delay if status is RunStatus.pending else None


async def refuse(attempt: Attempt, reason: str, unserved_timeout: timedelta) -> None:
    """Release a run that this process cannot execute.

    Args:
        attempt: the attempt.
        reason: why it cannot, a sentence.
        unserved_timeout: for how long all processes may refuse it before it ends in ERROR.

    Raises:
        DatabaseError: it could not be stored.
    """
    store, output = attempt.store, attempt.output
    assert store is not None, "only a stored run has others who may execute it"
    attempt.refusal = reason
    await attempt.journal.close()
    write = partial(
        store.refuse, output.run_id, attempt.number, reason, _REFUSAL_DELAY, unserved_timeout
    )
    status = await to_the_end(lambda: until_available(write), write)
    if status is None:
        return await show_current(attempt)
    output.status = status
    if status is RunStatus.error:
        ended = await until_available(lambda: store.get(output.run_id))
        output.error = reason if ended is None else RunOutput.from_record(ended).error
    logger.warning("run %s cannot be executed here: %s", output.run_id, reason)


async def release(attempt: Attempt) -> None:
    """Give the run up for another executor, or the next start, to go on."""
    store, run_id = attempt.store, attempt.output.run_id
    await attempt.journal.close()
    if store is not None:
        await to_the_end(lambda: store.release(run_id, attempt.number))


async def show_current(attempt: Attempt) -> None:
    """Show the caller of a stale attempt how the run stands."""
    output = attempt.output
    logger.warning("run %s: attempt %d is stale and stops", output.run_id, attempt.number)
    await attempt.journal.close()
    store = attempt.store
    if store is None:
        return
    record = await until_available(lambda: store.get(output.run_id))
    if record is not None:
        attempt.output = RunOutput.from_record(record)
    else:  # It is erased; only what has ended is.
        output.status, output.error, output.error_kind = RunStatus.cancelled, None, None


async def _write_end(attempt: Attempt, store: Store, rows: list[JournalRow]) -> Settled | None:
    fold_before = attempt.journal.fold_before if rows else 0
    output = attempt.output
    forgotten: list[str] = []
    if output.status in (RunStatus.completed, RunStatus.cancelled) and not attempt.spec.store_media:
        forgotten = media_in(output.messages)
        output = replace(output, messages=[without_media(each) for each in output.messages])
        if not attempt.foreground:  # Else its caller has the media in memory.
            attempt.output = output
    if attempt.spec.session_rules is not None:
        output = attempt.spec.session_rules.stored(output)
    settlement = output.settlement(attempt.number, rows, fold_before)
    if output.status is RunStatus.paused and (approvals := asked_for(output)):
        settlement = msgspec.structs.replace(settlement, approvals=approvals)
    write = partial(store.settle, settlement)
    settled = await to_the_end(lambda: until_available(write), write)
    if forgotten and settled is not None:
        await until_available(partial(store.blobs.drop, output.run_id, forgotten))
    return settled


async def _cancel_children(store: Store, run_id: str) -> None:
    """Have the children of a cancelled run end, though its canceller may be gone."""
    for child in await until_available(lambda: store.children(run_id)):
        await until_available(partial(store.cancel, child))
