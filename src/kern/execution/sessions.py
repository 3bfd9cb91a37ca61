"""What a run leaves in its session, and the session in it: introduction, summary, kept messages."""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from kern.aio.retry import until_available
from kern.aio.threads import call_in_thread
from kern.db.base import Store
from kern.db.sessions import SessionRow
from kern.db.stored import session_of_row
from kern.errors import described
from kern.execution.attempt import Attempt
from kern.execution.finishing import ask_secondary
from kern.execution.journal import StaleAttemptError
from kern.execution.session_rules import IN_BRACES, SessionRules
from kern.models.form import UnfitError
from kern.run.codec import decode_object, dump, shown
from kern.run.input import messages_of
from kern.run.message import Message
from kern.run.output import RunOutput
from kern.run.printable import in_log
from kern.run.steps import SESSION_SUMMARY, SecondaryAnswered
from kern.run.tags import tagged, transcript
from kern.session.agent import AgentSession, is_chat
from kern.session.summary import SessionSummary, Summarizing, summary_form

logger = logging.getLogger("kern")

SESSION_RUNS = 100
"""How many runs of a session functions are given that ask for it, the newest."""

# How many characters of a message are told to who sums up.
_LONGEST = 20_000

_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")


async def introduce(attempt: Attempt, introduction: str) -> None:
    """Begin the run's messages with the agent's introduction, if the session has no other yet.

    Args:
        attempt: the attempt, whose input is read and whose context is not.
        introduction: what the agent says first.
    """
    store, output = attempt.store, attempt.output
    if attempt.begun is not None:
        return
    if store is not None:
        earlier = await until_available(lambda: store.history(output.session_id, output.run_id, 1))
        if earlier:
            return
    attempt.messages.insert(0, Message("assistant", introduction))


async def leave(attempt: Attempt, rules: SessionRules) -> None:
    """Do what follows the answer of a run: write the file, and the summary of the session.

    Neither harms the run where it fails. A file is written again where the run is carried on.

    Args:
        attempt: the attempt, whose model has answered.
        rules: what its agent says.

    Raises:
        StaleAttemptError: the run has a later attempt.
    """
    for work in (_write_file, _summarize):
        try:
            await work(attempt, rules)
        except StaleAttemptError:
            raise
        except Exception as error:
            what = "its file" if work is _write_file else "a summary of its session"
            told = in_log(described(error))
            logger.warning("run %s: not %s: %s", attempt.output.run_id, what, told)


async def session_of(attempt: Attempt) -> AgentSession:
    """Return the session of a run, with its newest runs; without a database it is empty."""
    store, output = attempt.store, attempt.output
    empty = AgentSession(output.session_id, output.agent_id, output.user_id, runs=[])
    if store is None:
        return empty
    row = await until_available(lambda: store.sessions.get(output.session_id))
    if row is None:
        return empty
    records = await until_available(
        lambda: store.sessions.runs(output.session_id, SESSION_RUNS, user_id=output.user_id)
    )
    session = session_of_row(row)
    session.runs = [RunOutput.from_record(each) for each in records]
    return session


async def summary_of(attempt: Attempt) -> str | None:
    """Return what the session of a run was about, where that is known."""
    store, output = attempt.store, attempt.output
    if store is None:
        return None
    row = await until_available(lambda: store.sessions.get(output.session_id))
    if row is None or row.summary is None:
        return None
    return SessionSummary.from_dict(decode_object(row.summary)).summary


async def _summarize(attempt: Attempt, rules: SessionRules) -> None:
    """Have the summary of the session made, once, and store it."""
    store, output, how = attempt.store, attempt.output, rules.summarizing
    if how is None or store is None or attempt.unstored:
        return
    if not attempt.state.answers_of(SESSION_SUMMARY):
        row = await until_available(lambda: store.sessions.get(output.session_id))
        if row is not None and row.user_id is None and output.user_id is not None:
            return  # Others would read of this user in it.
        await _ask_for_summary(attempt, store, how, row)
        await attempt.journal.commit()  # From now on it is not asked for again.
    text = attempt.state.answers_of(SESSION_SUMMARY)[-1].message.text
    if not text:
        return
    made = SessionSummary.from_dict(decode_object(text))
    made.updated_at = datetime.now(UTC)
    # The last run in it: the next summary begins after that.
    kept = dump({**made.to_dict(), "run_id": output.run_id})
    await until_available(
        partial(store.sessions.summarize, output.session_id, output.run_id, attempt.number, kept)
    )


async def _ask_for_summary(
    attempt: Attempt, store: Store, how: Summarizing, row: SessionRow | None
) -> None:
    """Have a model make the summary, of the last one and what was said since."""
    output = attempt.output
    last: Mapping[str, Any] = decode_object(None if row is None else row.summary)
    earlier: list[tuple[str, str]] = []
    if how.runs > 1:
        earlier = await until_available(
            lambda: store.history(
                output.session_id, output.run_id, how.runs - 1, user_id=output.user_id
            )
        )
    ids = [run_id for run_id, _ in earlier]
    if earlier and row is not None and row.user_id is None:
        records = await until_available(lambda: store.sessions.records(ids))
        of_users = {each.run_id for each in records if each.user_id is not None}
        earlier = [each for each in earlier if each[0] not in of_users]
        ids = [run_id for run_id, _ in earlier]
    if last.get("run_id") in ids:
        earlier = earlier[ids.index(last["run_id"]) + 1 :]
    messages = [each for _, text in earlier for each in messages_of(decode_object(text))]
    own = Message("assistant", attempt.state.answer_text or "")
    messages = [*messages, *(each for each in attempt.given if each.role == "user"), own]
    said = [each for each in messages if is_chat(each) and not each.from_history]
    said = said if how.messages is None else said[-how.messages :]
    before = last.get("summary")
    asked = [tagged("earlier_summary", str(before))] if before else []
    response = await ask_secondary(
        attempt,
        how.model or attempt.spec.model,
        [
            Message("system", how.prompt),
            Message("user", "\n\n".join([*asked, transcript(said, _LONGEST), how.request])),
        ],
        summary_form().output_schema,
    )
    try:
        message = Message("assistant", dump(summary_form().read(response.message.text)))
    except UnfitError as unfit:
        told = in_log(str(unfit))
        logger.warning("run %s: no summary of its session: %s", output.run_id, told)
        message = Message("assistant", "")
    attempt.journal.keep(
        SecondaryAnswered(SESSION_SUMMARY, message, response.metrics, response.model)
    )


async def _write_file(attempt: Attempt, rules: SessionRules) -> None:
    """Write the answer to the file that the agent names."""
    if rules.file is None:
        return
    output = attempt.output
    asked = "\n".join(each.text for each in attempt.given if each.role == "user")
    values = {
        "name": attempt.spec.name,
        "session_id": output.session_id,
        "user_id": output.user_id or "",
        "run_id": output.run_id,
        "message": asked,
    }
    path = Path(IN_BRACES.sub(lambda found: _in_a_name(values[found[1]]), rules.file))
    answer = attempt.state.answer_text or "" if attempt.answer is None else shown(attempt.answer[0])

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(answer, encoding="utf-8", errors="backslashreplace")

    await call_in_thread(write)


def _in_a_name(text: str) -> str:
    """Return a text that users chose as a part of a file's name, which it cannot lead out of."""
    return _NOT_IN_A_NAME.sub("_", text).strip("._")[:100] or "_"
