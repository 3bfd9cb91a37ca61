"""What a run that stands still is given to go on with, and who was first to give it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from kern.db.base import Store
from kern.errors import InvalidInputError
from kern.execution.approvals import decided_by
from kern.execution.spec import Definition
from kern.run.entry import read_row
from kern.run.message import Message
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement
from kern.run.steps import Continued, Paused
from kern.run.tool import ToolExecution


class Answer(msgspec.Struct, frozen=True):
    """What a run that stands still is given to go on with.

    Attributes:
        requirements: those of a paused run, answered; None where nobody gives any.
        results: by tool call id, what calls returned that were made elsewhere.
        tools: the calls for which it paused, answered in the place of requirements.
        messages: what the model is told beside it.
        by: who gives it.
        metadata: values to keep with the run, over those that it has.
    """

    requirements: Sequence[RunRequirement] | None = None
    results: Mapping[str, str] = {}
    tools: Sequence[ToolExecution] | None = None
    messages: tuple[Message, ...] = ()
    by: str | None = None
    metadata: Mapping[str, object] = {}

    @property
    def decides(self) -> bool:
        """Whether it answers anything."""
        return self.requirements is not None or self.tools is not None or bool(self.results)


async def who_was_first(store: Store, run_id: str, answer: Answer) -> str:
    """Return a sentence that says who has answered before what an answer is about.

    Args:
        store: where the run is.
        run_id: the run.
        answer: the answer that comes second.

    Returns:
        The sentence, after a space; nothing where nobody has.

    Raises:
        JournalError: what is stored of the run cannot be read.
    """
    ids = {*answer.results, *(each.id for each in answer.requirements or ())}
    ids.update(each.tool_call_id for each in answer.tools or ())
    is_about, first = False, ""
    for row in await store.events(run_id, 0):
        if row.type not in ("Paused", "Continued"):
            continue
        match read_row(row).step:
            case Paused(requirements):
                awaited = {each.id for each in requirements}
                awaited.update(each.tool_execution.tool_call_id for each in requirements)
                is_about = not ids.isdisjoint(awaited)
                first = "" if is_about else first  # Who went on has left it open.
            case Continued() as step if is_about:
                at = f"{datetime.fromtimestamp(row.created_at, UTC):%Y-%m-%d at %H:%M:%S UTC}"
                who = "It has gone on" if step.by is None else f"It was answered by {step.by}"
                is_about, first = False, f" {who} on {at}."
    if is_about and (decided := await decided_by(store, run_id, ids)) is not None:
        return f" {decided}"  # It is about to go on with that.
    return first


def check_agent(record: RunRecord, definition: Definition) -> None:
    """Make sure that a run is an agent's.

    Raises:
        InvalidInputError: it is another one's.
    """
    if record.agent_id != definition.id:
        raise InvalidInputError(
            f"Run {record.run_id} is one of the agent {record.agent_id!r}, and not of "
            f"{definition.id!r}. Have the agent that it belongs to go on with it."
        )
