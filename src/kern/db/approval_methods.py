"""What a database answers users who ask it for approvals."""

from typing import Any

import msgspec
from typing_extensions import Unpack

from kern.db.approvals import ApprovalFilter
from kern.db.base import Store
from kern.db.database import Database
from kern.db.stored import page_of
from kern.errors import InvalidInputError
from kern.keywords import explanation
from kern.run.approval import Approval, ApprovalChange, answer_of, columns_of
from kern.run.codec import check_id, check_user, parse
from kern.run.identity import new_id
from kern.run.numbers import check_count
from kern.run.ownership import may_see
from kern.run.requirement import RunRequirement


class ApprovalMethods(Database):
    """The approvals in a database, for who has no agent at hand."""

    async def aget_approvals(
        self,
        status: str | None = None,
        source_type: str | None = None,
        approval_type: str | None = None,
        pause_type: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        user_id: str | None = None,
        run_id: str | None = None,
        limit: int = 100,
        page: int | None = 1,
    ) -> tuple[list[dict[str, Any]], int]:
        """Return approvals, the last made first, and how many there are on all pages.

        Args:
            status: only those that are ``"pending"``, ``"approved"``, ``"rejected"``,
                ``"expired"`` or ``"cancelled"``.
            source_type: only those of an ``"agent"`` or a ``"team"``.
            approval_type: only those that are ``"required"``, or that are kept for an ``"audit"``.
            pause_type: only those of a ``"confirmation"``, of ``"user_input"`` or of an
                ``"external_execution"``.
            agent_id: only those of this agent.
            team_id: only those of this team.
            user_id: only those of this user.
            run_id: only those of this run.
            limit: how many at most.
            page: which page of ``limit``, from 1 on; the later, the longer it takes.

        Returns:
            The approvals as JSON values, and how many there are; the more, the longer it takes to
            count them.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be read.
        """
        given = {
            "status": status,
            "source_type": source_type,
            "approval_type": approval_type,
            "pause_type": pause_type,
            "agent_id": agent_id,
            "team_id": team_id,
            "user_id": user_id,
            "run_id": run_id,
        }
        wanted = ApprovalFilter(**columns_of(given))
        limit = check_count("limit", limit)
        _, offset = page_of(limit, page)
        store = await self.store()
        if user_id is not None and run_id is not None:
            wanted = msgspec.structs.replace(
                wanted, run_id=await store.users.run_id(run_id, user_id)
            )
        found = await store.approvals.find(wanted, limit, offset)
        return [each.to_dict() for each in found], await store.approvals.count(wanted)

    async def aget_approval(
        self, approval_id: str, user_id: str | None = None
    ) -> dict[str, Any] | None:
        """Return an approval, or None where there is none, or it is another user's.

        Args:
            approval_id: the approval.
            user_id: the user whose approval it must be; by default any.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        found = await self._approval(approval_id, user_id)
        return None if found is None else found.to_dict()

    async def aupdate_approval(
        self,
        approval_id: str,
        expected_status: str | None = None,
        user_id: str | None = None,
        **fields: Unpack[ApprovalChange],
    ) -> dict[str, Any] | None:
        """Resolve an approval, or change it otherwise, if it stands as expected.

        Of two at once one counts. A background run that waits for it goes on with it, by itself;
        one in the foreground once it is continued.

        Args:
            approval_id: the approval.
            expected_status: the status that it must have, such as ``"pending"``; by default any.
            user_id: the user whose approval it must be; by default any.
            fields: what it is to hold: ``status`` (``"approved"`` or ``"rejected"``),
                ``resolved_by``, ``resolution_data`` and so on; see
                :class:`~kern.run.approval.ApprovalChange`.

        Returns:
            The approval as it is then; None where there is none, or it stands otherwise.

        Raises:
            TypeError: there is no such field.
            InvalidInputError: a value cannot be used; or the answer is not in ``resolution_data``
                with which a background run could go on.
            RunStateError: it is resolved already, and is to be resolved otherwise.
            DatabaseError: it could not be stored.
        """
        known = ApprovalChange.__annotations__
        for name in fields:
            if name not in known:
                raise TypeError(explanation("update_approval", name, [*known]))
        columns = columns_of({**fields})
        columns.pop("run_status", None)
        if expected_status is not None:
            columns_of({"status": expected_status})
        current = await self._approval(approval_id, user_id)
        if current is None:
            return None
        store = await self.store()
        if columns.get("status") == "approved" and current.is_pending and current.requirements:
            await _check_answer(store, msgspec.structs.replace(current, **columns))
        changed = await store.approvals.update(approval_id, expected_status, columns)
        return None if changed is None else changed.to_dict()

    async def acreate_approval(self, approval_data: dict[str, Any]) -> dict[str, Any]:
        """Store an approval of your own, which no run waits for unless it has asked for it.

        Args:
            approval_data: its columns, as :meth:`aget_approval` returns them; those that are
                missing are as in a new one.

        Returns:
            The approval as it is stored.

        Raises:
            InvalidInputError: a column is not known or cannot be used, or the id is in use.
            DatabaseError: it could not be stored.
        """
        if not isinstance(approval_data, dict):
            kind = type(approval_data).__name__
            raise InvalidInputError(f"Pass a dict of an approval's columns, not {kind}.")
        columns = columns_of(approval_data)
        if "run_id" not in columns:
            raise InvalidInputError("An approval needs the run_id of the run that waits for it.")
        approval = Approval(**{"id": new_id()} | columns)
        store = await self.store()
        if not await store.approvals.put(approval):
            raise InvalidInputError(f"There is an approval {approval.id!r}. Choose another id.")
        stored = await store.approvals.get(approval.id)
        return (stored or approval).to_dict()

    async def adelete_approval(self, approval_id: str, user_id: str | None = None) -> bool:
        """Delete an approval; a run that waits for it has to be continued otherwise.

        Args:
            approval_id: the approval.
            user_id: the user whose approval it must be; by default any.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be deleted.
        """
        if await self._approval(approval_id, user_id) is None:
            return False
        return await (await self.store()).approvals.delete(approval_id)

    async def aget_pending_approval_count(self, user_id: str | None = None) -> int:
        """Return how many approvals are pending.

        Args:
            user_id: only those of this user.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be counted.
        """
        wanted = ApprovalFilter(status="pending", user_id=check_user(user_id))
        return await (await self.store()).approvals.count(wanted)

    async def _approval(self, approval_id: str, user_id: str | None) -> Approval | None:
        check_id("approval_id", approval_id)
        check_user(user_id)
        found = await (await self.store()).approvals.get(approval_id)
        return found if found is not None and may_see(user_id, found.user_id) else None


async def _check_answer(store: Store, approval: Approval) -> None:
    """Make sure that a background run can go on with an approval as it is to be.

    Raises:
        InvalidInputError: it lacks a part of the answer.
    """
    run = await store.get(approval.run_id)
    if run is None or run.foreground or run.status.is_terminal:
        return
    found = parse(approval.requirements or "[]")
    if not isinstance(found, list):
        return
    for each in found:
        try:
            waiting = RunRequirement.from_dict(each)
        except (KeyError, TypeError, ValueError):  # A record of somebody's own.
            continue
        if waiting.approval_id == approval.id:
            answer_of(waiting, approval)
