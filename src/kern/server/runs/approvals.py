"""The routes of approvals: what people have to decide, and their decisions."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from kern.db.approvals import ApprovalFilter, how
from kern.run.approval import Approval, ApprovalChange
from kern.server.problems import RequestError
from kern.server.runs.actions import decided_by
from kern.server.runs.cursors import Paged, page
from kern.server.runs.documented import answered, no_query, refused
from kern.server.runs.given import Decision, Id
from kern.server.runs.reach import EVERYWHERE, Approving, Looking, Reach
from kern.server.runs.shown import Page, ShownApproval

router = APIRouter(prefix="/v1/approvals", tags=["approvals"], dependencies=EVERYWHERE)


class ApprovalQuery(Paged):
    """Which approvals are wanted."""

    agent: Id | None = Field(None, description="Those of this agent.")
    status: Literal["pending", "approved", "rejected", "expired", "cancelled"] | None = Field(
        None, description="Those that stand so."
    )
    run: Id | None = Field(None, description="Those of this run.")
    type: Literal["required", "audit"] | None = Field(None, description="Those of this type.")
    user: Id | None = Field(None, description="Those of this user, with the scope `read:all`.")


@router.get(
    "",
    operation_id="list_approvals",
    summary="List approvals",
    response_model=Page[ShownApproval],
    responses=refused(404),
)
async def list_approvals(asked: Annotated[ApprovalQuery, Query()], reach: Looking) -> Response:
    """Approvals, the last made first."""
    found, following = await find_approvals(reach, asked)
    return answered({"data": [each.to_dict() for each in found], "next": following})


async def find_approvals(reach: Reach, asked: ApprovalQuery) -> tuple[list[Approval], str | None]:
    """Return a page of approvals, and the cursor of the next one.

    Args:
        reach: what the caller reaches.
        asked: which are wanted.

    Raises:
        RequestError: the caller may not see these, or the cursor is that of another list.
    """
    user_id, place = reach.user(asked.user), await reach.place(asked.agent)
    if place is None:
        return [], None
    run_id = asked.run
    if run_id is not None and user_id is not None:
        run_id = await place.store.users.run_id(run_id, user_id)
    wanted = ApprovalFilter(
        status=asked.status,
        approval_type=asked.type,
        user_id=user_id,
        run_id=run_id,
        agents=place.agents,
    )
    approvals = place.store.approvals
    return await page(
        lambda limit, before: approvals.find(wanted, limit, before=before),
        lambda approval: approval.id,
        asked,
        "approvals",
        user_id,
    )


@router.get(
    "/{approval_id}",
    operation_id="get_approval",
    summary="Get an approval",
    response_model=ShownApproval,
    responses=refused(404),
    dependencies=[Depends(no_query)],
)
async def get_approval(approval_id: str, reach: Looking) -> Response:
    """An approval: what is asked for, by whom, and what was decided."""
    _, approval = await reach.approval(approval_id)
    return answered(approval.to_dict())


@router.post(
    "/{approval_id}/resolve",
    operation_id="resolve_approval",
    summary="Resolve an approval",
    response_model=ShownApproval,
    responses=refused(404, 409, 413),
    dependencies=[Depends(no_query)],
)
async def resolve_approval(approval_id: str, body: Decision, reach: Approving) -> Response:
    """Allow or refuse what is asked for; a background run goes on with it by itself.

    Of two who decide at once one counts, and the other is told who has (409). Who has decided is
    the caller.
    """
    return answered(await resolve(reach, approval_id, body))


async def resolve(reach: Reach, approval_id: str, decision: Decision) -> dict[str, Any]:
    """Decide an approval for the caller, and return it as it is then, as JSON values.

    Args:
        reach: what the caller reaches, who may decide.
        approval_id: the approval.
        decision: what is decided.

    Raises:
        RequestError: there is no such approval (404), or somebody has decided it before (409).
        InvalidInputError: the decision lacks what a background run needs to go on.
    """
    place, approval = await reach.approval(approval_id)
    fields: ApprovalChange = {"status": decision.status, "resolved_by": decided_by(reach.caller)}
    if data := decision.data():
        fields["resolution_data"] = data
    changed = await place.db.aupdate_approval(approval.id, "pending", reach.reads, **fields)
    if changed is None:
        _, approval = await reach.approval(approval_id)
        raise _decided(approval)
    return changed


def _decided(approval: Approval) -> RequestError:
    status = "expired" if approval.is_pending else approval.status
    return RequestError(
        409,
        f"The approval {approval.id} {how(approval, status)}: that is for good.",
        code="already_decided",
    )
