"""What kern needs of a database for approvals: the port beside that of the runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from kern.errors import RunStateError
from kern.run.approval import RESOLVED, Approval
from kern.run.codec import decode_object, encode


class ApprovalFilter(msgspec.Struct, frozen=True):
    """The approvals that are wanted; None stands for any. Its fields are columns.

    Attributes:
        agents: whose, where those of several agents are wanted; empty for any.
    """

    status: str | None = None
    source_type: str | None = None
    approval_type: str | None = None
    pause_type: str | None = None
    agent_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    run_id: str | None = None
    agents: tuple[str, ...] = ()

    def conditions(self) -> dict[str, str]:
        """Return the columns that are asked for, with their values; without ``agents``."""
        found = msgspec.structs.asdict(self)
        del found["agents"]
        return {name: value for name, value in found.items() if value is not None}


class Approvals(ABC):
    """The approvals in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached. Who changes both locks the run's row first, and then the approval's.
    """

    @abstractmethod
    async def get(self, approval_id: str) -> Approval | None:
        """Return an approval."""

    @abstractmethod
    async def find(
        self, wanted: ApprovalFilter, limit: int, offset: int = 0, *, before: str | None = None
    ) -> list[Approval]:
        """Return approvals, the last made first.

        Args:
            wanted: which.
            limit: how many at most.
            offset: how many of the last ones to leave out; the more, the longer it takes.
            before: the approval before which they were made; it costs no more the earlier.
        """

    @abstractmethod
    async def count(self, wanted: ApprovalFilter) -> int:
        """Return how many approvals there are of those that are wanted."""

    @abstractmethod
    async def put(self, approval: Approval) -> bool:
        """Store a new approval; False where there is one of its id, which stays as it is."""

    @abstractmethod
    async def update(
        self, approval_id: str, expected: str | None, columns: Mapping[str, Any]
    ) -> Approval | None:
        """Change an approval, if it stands as expected.

        One that was pending and is approved or rejected by this is noted in the metadata of its
        run while that is PAUSED; and a background run becomes PENDING and due with it, in the same
        transaction.

        Args:
            approval_id: the approval.
            expected: the status that it must have; None for any.
            columns: what it is to hold, by column.

        Returns:
            The approval as it is then; None where there is none, or it stands otherwise.

        Raises:
            RunStateError: it is resolved, and is to be resolved otherwise.
        """

    @abstractmethod
    async def delete(self, approval_id: str) -> bool:
        """Delete an approval, and say whether there was one."""


def changed(
    current: Approval, expected: str | None, columns: Mapping[str, Any], now: float
) -> Approval | None:
    """Return an approval as an update leaves it, or None where it is not as expected.

    Args:
        current: as it stands, locked.
        expected: the status that it must have; None for any.
        columns: what it is to hold.
        now: the time, by the database's clock.

    Raises:
        RunStateError: it is resolved, and is to be resolved otherwise.
    """
    status, wanted = status_at(current, now), columns.get("status")
    if expected is not None and status != expected:
        return None
    if wanted is not None and status not in ("pending", wanted):
        raise RunStateError(f"The approval {current.id} {how(current, status)}: that is for good.")
    more: dict[str, Any] = {"updated_at": now}
    if wanted in RESOLVED and current.is_pending:
        more["resolved_at"] = now
    return msgspec.structs.replace(current, **more | dict(columns))


def status_at(approval: Approval, now: float) -> str:
    """Return how an approval stands at a moment; one that nobody has decided in time is expired."""
    is_late = approval.expires_at is not None and approval.expires_at <= now
    return "expired" if approval.is_pending and is_late else approval.status


def noted(metadata: str | None, approval: Approval) -> str:
    """Return the metadata of a run with the approval by which it goes on, as JSON text."""
    return encode({**decode_object(metadata), "approval": approval.to_dict()}, "metadata")


def how(approval: Approval, status: str) -> str:
    """Return how an approval stands, by whom and since when.

    Args:
        approval: the approval.
        status: how it stands; see :func:`status_at`.
    """
    by = f" by {approval.resolved_by}" if approval.resolved_by else ""
    at = approval.resolved_at if status != "expired" else approval.expires_at
    when = "" if at is None else f" at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S UTC}"
    return f"is {status}{when}" if status == "expired" else f"was {status}{by}{when}"
