"""Generated from ``kern/db/approval_methods.py`` by ``scripts/generate_sync.py``."""

from typing import Any

from typing_extensions import Unpack

from kern.aio.portal import finished
from kern.db.approval_methods import ApprovalMethods
from kern.run.approval import ApprovalChange


class SyncApprovalMethods(ApprovalMethods):
    """The methods of :class:`ApprovalMethods`, for code without an event loop."""

    def get_approvals(
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
        return finished(
            self.aget_approvals(
                status,
                source_type,
                approval_type,
                pause_type,
                agent_id,
                team_id,
                user_id,
                run_id,
                limit,
                page,
            )
        )

    def get_approval(self, approval_id: str, user_id: str | None = None) -> dict[str, Any] | None:
        """Return an approval, or None where there is none, or it is another user's.

        Args:
            approval_id: the approval.
            user_id: the user whose approval it must be; by default any.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        return finished(self.aget_approval(approval_id, user_id))

    def update_approval(
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
        return finished(self.aupdate_approval(approval_id, expected_status, user_id, **fields))

    def create_approval(self, approval_data: dict[str, Any]) -> dict[str, Any]:
        """Store an approval of your own, which no run waits for unless it has asked for it.

        Args:
            approval_data: its columns, as :meth:`get_approval` returns them; those that are
                missing are as in a new one.

        Returns:
            The approval as it is stored.

        Raises:
            InvalidInputError: a column is not known or cannot be used, or the id is in use.
            DatabaseError: it could not be stored.
        """
        return finished(self.acreate_approval(approval_data))

    def delete_approval(self, approval_id: str, user_id: str | None = None) -> bool:
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
        return finished(self.adelete_approval(approval_id, user_id))

    def get_pending_approval_count(self, user_id: str | None = None) -> int:
        """Return how many approvals are pending.

        Args:
            user_id: only those of this user.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be counted.
        """
        return finished(self.aget_pending_approval_count(user_id))
