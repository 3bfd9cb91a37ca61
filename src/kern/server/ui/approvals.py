"""The pages of approvals: what people have to decide, and their decisions."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import Request, Response

from kern.db.approvals import how, status_at
from kern.db.listing import RunFilter
from kern.dispatch.explanation import describe_requirement
from kern.run.approval import Approval
from kern.run.base import RunStatus
from kern.run.codec import parse
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement, requirements_from_json
from kern.run.tool import ToolExecution
from kern.server.caller import Scope
from kern.server.runs.actions import check_may
from kern.server.runs.approvals import ApprovalQuery, find_approvals, resolve
from kern.server.runs.given import Decision
from kern.server.ui.answering import Asked, answer_in
from kern.server.ui.filters import asked_in, has_several, next_of
from kern.server.ui.forms import Acting, done
from kern.server.ui.live import every, live
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

_LIST, _ONE = "parts/approvals.html", "parts/approval.html"

# Seconds between two looks.
_PACE = 1.0

# How many paused runs are looked at for what they wait for without a record.
_PAUSED = 100

# How many characters of its arguments a call may have that is decided from the list, unopened.
_AT_A_GLANCE = 500

# What kern itself says in the context of an approval.
_SHOWN_ELSEWHERE = ("tool_names", "source_name")


@dataclass(frozen=True, slots=True)
class Shown:
    """An approval as the page shows it.

    Attributes:
        approval: the approval.
        status: how it stands now.
        asked: what is asked for.
        outcome: who has decided, and when; nothing while it is pending.
        may_decide: whether the viewer may, and it can still be decided.
    """

    approval: Approval
    status: str
    asked: Asked
    outcome: str
    may_decide: bool

    @property
    def context(self) -> dict[str, object]:
        """What else was said that helps to decide."""
        found = parse(self.approval.context or "{}")
        said = found if isinstance(found, dict) else {"context": found}
        return {name: value for name, value in said.items() if name not in _SHOWN_ELSEWHERE}

    @property
    def is_plain(self) -> bool:
        """Whether it can be decided at a glance: a call is allowed or not, and is short."""
        is_short = len(self.asked.arguments) <= _AT_A_GLANCE
        return self.may_decide and is_short and self.asked.requirement.kind == "confirmation"


@dataclass(frozen=True, slots=True)
class Paused:
    """A run that waits for a person, of which there is no record to decide.

    Attributes:
        record: the run.
        waits_for: what it waits for, a line each.
    """

    record: RunRecord
    waits_for: Sequence[str]


class Listing(NamedTuple):
    """What the list of approvals shows.

    Attributes:
        asked: what was asked for.
        approvals: the approvals.
        paused: the runs that wait without a record.
        has_several: whether there are several databases, and this is of one.
        following: where the next page is, if there is one.
    """

    asked: ApprovalQuery
    approvals: Sequence[Shown]
    paused: Sequence[Paused]
    has_several: bool
    following: str | None


@router.get("/approvals")
async def approvals(request: Request, viewer: Viewing) -> Response:
    """The approvals, the last made first; by default those that nobody has decided."""
    return page(request, viewer, "approvals.html", **(await _listed(viewer))._asdict())


@router.get("/approvals/live")
async def approvals_live(request: Request, viewer: Viewing) -> Response:
    """The same, when they change."""

    async def render() -> dict[str, str]:
        return {"approvals": part(_LIST, viewer=viewer, **(await _listed(viewer))._asdict())}

    await render()  # What is refused is refused before the stream begins.
    return live(request, viewer, render, every(_PACE))


@router.get("/approvals/{approval_id}")
async def approval(request: Request, viewer: Viewing, approval_id: str) -> Response:
    """An approval: what is asked for, by whom, and what was decided."""
    shown = await _shown(viewer, approval_id)
    return page(request, viewer, "approval.html", shown=shown)


@router.get("/approvals/{approval_id}/live")
async def approval_live(request: Request, viewer: Viewing, approval_id: str) -> Response:
    """The same, when it is decided."""

    async def render() -> dict[str, str]:
        return {"approval": part(_ONE, viewer=viewer, shown=await _shown(viewer, approval_id))}

    await render()  # What is refused is refused before the stream begins.
    return live(request, viewer, render, every(_PACE))


@router.post("/approvals/{approval_id}")
async def decide(actor: Acting, approval_id: str) -> Response:
    """Allow or refuse what is asked for; a background run goes on with it by itself."""
    check_may(actor.caller, Scope.approve)
    _, found = await actor.reach.approval(approval_id)
    answer = answer_in(actor, requirement_of(found))
    decision = Decision(
        status="rejected" if answer.confirmed is False else "approved",
        note=answer.note,
        arguments=answer.arguments,
        values=answer.values,
        result=answer.result,
    )
    decided = await resolve(actor.reach, approval_id, decision)
    then = "goes on" if decided["run_status"] == "PENDING" else "goes on once it is continued"
    text = f"{found.tool_name or 'The call'} is {decision.status}; run {found.run_id} {then}."
    listed = actor.url("approvals")
    return done(actor, text, path=None if actor.here.partition("?")[0] == listed else listed)


def requirement_of(approval: Approval) -> RunRequirement:
    """Return what an approval is about; of a record of somebody's own a confirmation."""
    found = parse(approval.requirements or "[]")
    try:
        [requirement] = found if isinstance(found, list) else []
        return RunRequirement.from_dict(requirement)
    except (KeyError, TypeError, ValueError):
        name, arguments = approval.tool_name or "", approval.tool_args or "{}"
        return RunRequirement(
            approval.requirement_id or approval.id,
            "confirmation",
            ToolExecution(approval.id, name, arguments),
        )


async def _listed(viewer: Viewer) -> Listing:
    asked = await asked_in(viewer, ApprovalQuery, status="pending")
    found, following = await find_approvals(viewer.reach, asked)
    is_whole = asked.status == "pending" and not (asked.cursor or asked.run or asked.type)
    return Listing(
        asked,
        [_as_shown(viewer, each) for each in found],
        await _paused(viewer, asked) if is_whole else (),
        await has_several(viewer),
        following and next_of(viewer, following),
    )


async def _paused(viewer: Viewer, asked: ApprovalQuery) -> list[Paused]:
    """Return paused runs that wait for something of which there is no record."""
    user_id, place = viewer.reach.user(asked.user), await viewer.reach.place(asked.agent)
    if place is None:
        return []
    wanted = RunFilter(statuses=(RunStatus.paused,), user_id=user_id, agents=place.agents)
    found = []
    for record in await place.store.page(wanted, _PAUSED, None):
        waits_for = _without_record(record)
        if waits_for:
            found.append(Paused(record, [describe_requirement(each) for each in waits_for]))
    return found


def _without_record(record: RunRecord) -> list[RunRequirement]:
    try:
        wanted = requirements_from_json(record.requirements or "[]")
    except ValueError:  # Its own page tells what is wrong with it.
        return []
    return [each for each in wanted if each.approval_type != "required" and not each.is_resolved()]


async def _shown(viewer: Viewer, approval_id: str) -> Shown:
    _, found = await viewer.reach.approval(approval_id)
    return _as_shown(viewer, found)


def _as_shown(viewer: Viewer, approval: Approval) -> Shown:
    status = status_at(approval, time.time())
    is_pending = status == "pending"
    return Shown(
        approval,
        status,
        Asked.of(requirement_of(approval)),
        "" if is_pending else how(approval, status),
        is_pending and viewer.may_approve(approval),
    )
