"""Runs that begin with what another one has said: forks, answers made anew, travels in time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypedDict

import msgspec
from typing_extensions import Unpack

from kern.agent.definition import AnyAgent, runtime_of
from kern.agent.keywords import RunOptions
from kern.agent.options import Input
from kern.agent.request import Request
from kern.db.base import Store
from kern.errors import InvalidInputError, RunNotFoundError, RunStateError
from kern.execution.blobs import with_data
from kern.execution.child import DEPTH, SHARES_STATE, UNASKED
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import check_id, check_user, decode_object, dump
from kern.run.cut import changes_within, row_of_event
from kern.run.fold import fold
from kern.run.given import REPLACED
from kern.run.input import OVERRIDES, RunInput, messages_of
from kern.run.lineage import (
    BRANCHED,
    Begun,
    Branch,
    ContinueFrom,
    Lineage,
    asked_at,
    begun_of,
    check_place,
    kept,
    own_start,
    without_answer,
)
from kern.run.message import Message
from kern.run.numbers import check_count
from kern.run.ownership import ids_of
from kern.run.record import RunRecord
from kern.run.results import check_results, open_calls
from kern.run.steps import PAUSE_VERSION
from kern.run.usage import UsageLimits

_ANSWERED = (RunStatus.completed, RunStatus.regenerated)

# The options of a run that say of which it is a child, or that nobody has asked for it.
_OF_ITS_PLACE = (SHARES_STATE, DEPTH, UNASKED)


class Origin(NamedTuple):
    """The run with which another begins.

    Attributes:
        run_id: its id.
        session_id: its session.
        user_id: whose it is.
        status: where it is.
        messages: its own messages, in order.
        given: its input.
        before: how many messages are counted before its own.
        record: its row; None where it was kept nowhere.
    """

    run_id: str
    session_id: str
    user_id: str | None
    status: RunStatus
    messages: Sequence[Message]
    given: RunInput
    before: int
    record: RunRecord | None = None

    @property
    def answers_at(self) -> int:
        """The place of the first message that it was not given."""
        first = self.given.messages[:1]
        introduced = first and self.messages[:1] != [*first] and self.messages[1:2] == [*first]
        return len(self.given.messages) + bool(introduced)


class Wanted(TypedDict, total=False):
    """How a run is to begin with another; see :meth:`kern.agent.Agent.acontinue_run`."""

    continue_from: ContinueFrom | None
    fork: bool
    regenerate: bool
    replace_original: bool
    additional_instructions: str | None
    from_seq: int | None


def begins_anew(status: RunStatus, input: object, wanted: Wanted) -> bool:
    """Say whether to continue a run so begins a new one.

    Args:
        status: where the run is.
        input: what it is told beside.
        wanted: how it is to be continued.
    """
    place = wanted.get("continue_from")
    if wanted.get("fork") or wanted.get("regenerate") or wanted.get("from_seq") is not None:
        return True
    if status is RunStatus.cancelled:
        return False
    if status in _ANSWERED:
        return input is not None or place is not None
    return place not in (None, "end")


async def branch(
    agent: AnyAgent,
    origin: RunOutput[Any] | str,
    input: Input | None,
    wanted: Wanted,
    *,
    yield_run_output: bool = False,
    **options: Unpack[RunOptions],
) -> Request:
    """Return a run that begins with what another one has said, ready to be carried out.

    Args:
        agent: whose run it is.
        origin: the other run.
        input: what is said after that.
        wanted: with how much of it, and whether it stands in its place.
        yield_run_output: whether its stream ends with the run itself.
        **options: as of any run; ``user_id`` also says whose the other one must be. It is submitted
            to the background by default where the other one was.

    Raises:
        InvalidInputError: an argument cannot be used, or there is nothing to say.
        RunNotFoundError: there is no such run.
        RunStateError: a run that has not ended cannot be replaced.
        JournalError: what is stored of it cannot be read.
        DatabaseError: it could not be read.
    """
    _check(input, wanted)
    user_id = check_user(options.get("user_id") or agent.user_id)
    found = await _found(agent, origin, user_id)
    record, session_id = found.record, options.get("session_id")
    session_id = found.session_id if session_id is None else check_id("session_id", session_id)
    if session_id in ids_of(found.session_id, found.user_id):
        session_id = found.session_id
    begins, lineage, written = await _beginning(agent, found, input, wanted, session_id)
    dependencies = options.get("dependencies")
    if dependencies is not None:  # Its own take the place of the other's.
        begins = replace(begins, options=_without(begins.options, "dependencies"))
    options["session_id"], options["user_id"] = session_id, found.user_id or user_id
    options.setdefault("background", record is not None and not record.foreground)
    if record is not None:
        metadata = {**decode_object(record.metadata), **(options.get("metadata") or {})}
        options["metadata"] = metadata or None
        if record.usage_limits is not None:
            options["usage_limits"] = UsageLimits.from_json(record.usage_limits)
    request = Request.of(agent, input, begins=begins, yield_run_output=yield_run_output, **options)
    run = msgspec.structs.replace(
        request.run,
        lineage=dump(lineage),
        branch=written,
        journal_version=max(request.run.journal_version, PAUSE_VERSION),
    )
    if record is not None and record.output_schema is not None:
        schema = record.output_schema
        run = msgspec.structs.replace(run, output_schema=schema)
        request = msgspec.structs.replace(request, form=Form.from_json(schema))
    return msgspec.structs.replace(request, run=run)


def _check(input: Input | None, wanted: Wanted) -> None:
    """Raise where what is wanted does not go together."""
    place, seq = wanted.get("continue_from"), wanted.get("from_seq")
    told, regenerate = wanted.get("additional_instructions"), wanted.get("regenerate")
    if place is not None:
        check_place(place)
    if seq is not None:
        check_count("from_seq", seq, least=0)
    if regenerate and (wanted.get("fork") or place is not None or seq is not None):
        raise InvalidInputError(
            "regenerate has the run answered anew from where it is: not together with fork, "
            "continue_from or from_seq."
        )
    if regenerate and input is not None:
        raise InvalidInputError("regenerate: say what is to be other by additional_instructions.")
    if not regenerate and (told is not None or wanted.get("replace_original") is False):
        raise InvalidInputError(
            "additional_instructions and replace_original: only with regenerate=True."
        )
    if place is not None and seq is not None:
        raise InvalidInputError("Give continue_from or from_seq, not both.")


async def _found(agent: AnyAgent, origin: RunOutput[Any] | str, user_id: str | None) -> Origin:
    """Return the run with which another begins, as far as it has come."""
    shown = None if isinstance(origin, str) else origin
    run_id = check_id("run_id", origin if shown is None else shown.run_id)
    if agent.db is None:
        if shown is None:
            raise InvalidInputError(
                "An agent without a db keeps no run: pass the run itself, as run_response=run."
            )
        return _in_memory(shown)
    store = (await runtime_of(agent)).store
    record = await store.get_for(run_id, user_id, with_input=True)
    if record is None or record.input is None:
        raise RunNotFoundError(f"There is no run {run_id!r} in {agent.db}.")
    given = RunInput.from_json(record.input)
    if shown is not None:
        before = own_start(shown.messages, given.messages)
    else:
        rules = agent.context_rules
        before = int(bool(agent.told_text) or (rules is not None and rules.varies))
    status = RunOutput.from_record(record).status
    return Origin(
        record.run_id,
        record.session_id,
        record.user_id,
        status,
        await _own_messages(store, record, given),
        given,
        before,
        record,
    )


def _in_memory(output: RunOutput[Any]) -> Origin:
    """Return a run that is kept nowhere, with its media in its messages."""
    stored = output.input_json
    given = RunInput(()) if stored is None else RunInput.from_json(stored)
    before = own_start(output.messages, given.messages)
    own = [with_data(each, output.media or {}) for each in output.messages[before:]]
    ids = (output.run_id, output.session_id, output.user_id)
    return Origin(*ids, output.status, own, given, before)


async def _own_messages(store: Store, record: RunRecord, given: RunInput) -> list[Message]:
    """Return the messages of a stored run, the answer as its caller was told it."""
    if record.output is None or record.status in (RunStatus.pending, RunStatus.running):
        turns = fold(await store.events(record.run_id, 0)).turns
        return [*given.messages, *(each for turn in turns for each in turn.messages)]
    messages = messages_of(decode_object(record.output))
    return messages[own_start(messages, given.messages) :]


async def _beginning(
    agent: AnyAgent, origin: Origin, input: Input | None, wanted: Wanted, session_id: str
) -> tuple[RunInput, Lineage, Branch | None]:
    """Return with what a run begins, what its output says of that, and what is written with it."""
    replaces, seq = _replaces(origin, wanted), wanted.get("from_seq")
    is_elsewhere = session_id != origin.session_id
    lineage: Lineage = {"forked_from_run_id": origin.run_id}
    if wanted.get("regenerate"):
        lineage = {"regenerated_from": origin.run_id}
    elif is_elsewhere:
        lineage["forked_from_session_id"] = origin.session_id
    rows = []
    if origin.record is not None and (seq is not None or is_elsewhere):
        rows = await (await runtime_of(agent)).store.events(origin.run_id, 0)
    if seq is not None:
        last = row_of_event(rows, seq)
        copied = fold([row for row in rows if row.seq <= last])
        if input is None:
            shared = ("session_state",) if SHARES_STATE in origin.given.options else ()
            own = _without(origin.given.options, *_OF_ITS_PLACE, *shared)
            options = {**own, BRANCHED: _begun(origin, 0)}
            begins, state = replace(origin.given, options=options), copied.changes
            written = Branch(origin.run_id, last, state if is_elsewhere else None)
            return begins, lineage, written if origin.record is not None else None
        answers = (each for turn in copied.turns for each in turn.messages)
        count = kept([*origin.messages[: origin.answers_at], *answers], "end")
    elif wanted.get("regenerate"):
        count = without_answer(origin.messages)
    else:
        count = _count(origin, input, wanted.get("continue_from"))
    messages = _copied(origin, count, shown=not (is_elsewhere or replaces))
    if is_elsewhere:
        messages = [_marked(each, shown=False) for each in messages]
    if not wanted.get("regenerate"):
        lineage["forked_from_message_index"] = origin.before + count
    begins, at = _with_instructions(agent, messages, input, wanted)
    lineage["input_at"] = at
    checked = at if origin.status in _ANSWERED else 0
    if origin.record is None:
        return begins, lineage, None
    others = () if wanted.get("regenerate") else (OVERRIDES,)
    left = (BRANCHED, REPLACED, "session_state", *_OF_ITS_PLACE, *others)
    own = _without(origin.given.options, *left)
    begins = replace(begins, options={**own, BRANCHED: _begun(origin, checked)})
    state = changes_within(rows, count - origin.answers_at) if is_elsewhere else None
    return begins, lineage, Branch(origin.run_id, 0, state, replaces)


def _count(origin: Origin, input: Input | None, place: ContinueFrom | None) -> int:
    """Return with how many messages of a run another begins.

    Raises:
        InvalidInputError: the run has left calls to its client, and the input does not begin with
            the results of all of them.
    """
    if input is not None and place in (None, "end") and origin.status in _ANSWERED:
        calls, given = open_calls(origin.messages), RunInput.of(input, with_media=True).messages
        if calls or any(each.role == "tool" for each in given[:1]):
            check_results(calls, given)
            return len(origin.messages)
    return kept(origin.messages, "end" if place is None else place, origin.before)


def _replaces(origin: Origin, wanted: Wanted) -> bool:
    """Say whether the new run stands in the other's place.

    Raises:
        RunStateError: the other one has not ended.
    """
    if not (wanted.get("regenerate") and wanted.get("replace_original", True)):
        return False
    if not origin.status.is_terminal:
        raise RunStateError(
            f"Run {origin.run_id} is {origin.status}, and another can stand in its place only "
            "once it has ended. Cancel it, or pass replace_original=False."
        )
    return origin.record is not None


def _with_instructions(
    agent: AnyAgent, messages: list[Message], input: Input | None, wanted: Wanted
) -> tuple[RunInput, int]:
    """Return the input of a new run, and where in it what is asked of it begins.

    Raises:
        InvalidInputError: there is nothing to say.
    """
    at, told = len(messages), wanted.get("additional_instructions")
    if told is not None:
        said = RunInput.of(told).messages
        messages += said if agent.hooks is None else agent.hooks.at_submit(said)
    elif input is None:
        at = asked_at(messages)
    if not messages and input is None:
        raise InvalidInputError("Nothing is left of the run to begin with. Pass input.")
    return RunInput(tuple(messages)), at


def _copied(origin: Origin, count: int, *, shown: bool) -> list[Message]:
    """Return the first messages of a run, marked where other runs of the session show them."""
    shown = shown and origin.record is not None and origin.status is RunStatus.completed
    return [_marked(each, shown=shown or each.from_history) for each in origin.messages[:count]]


def _marked(message: Message, *, shown: bool) -> Message:
    more = _without(message.more or {}, "metrics", "from_history")
    return replace(message, more={**more, "from_history": True} if shown else more or None)


def _begun(origin: Origin, checked: int) -> Begun:
    """Return what the executor has to know; a branch of a branch is shown what that was."""
    earlier = begun_of(origin.given.options)
    if earlier is None:
        return Begun(session_id=origin.session_id, before=origin.run_id, checked=checked)
    return Begun(session_id=earlier["session_id"], before=earlier["before"], checked=checked)


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
