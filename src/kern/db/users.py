"""What kern needs of a database to keep users apart, to export one's data and to erase it."""

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from kern.errors import RunStateError
from kern.run.ownership import ids_of, place
from kern.run.record import NewRun

Table: TypeAlias = Literal[
    "sessions",
    "states",
    "runs",
    "events",
    "blobs",
    "webhooks",
    "schedules",
    "budgets",
    "approvals",
    "approvals_of_run",
    "keys",
    "memories",
]

Row: TypeAlias = dict[str, object]

MANY = 200
"""How many runs are cancelled and deleted at once."""

ORDER: dict[Table, dict[str, str | int]] = {
    "sessions": {"session_id": ""},
    "states": {"session_id": "", "key": ""},
    "runs": {"position": 0},
    "events": {"seq": 0},
    "blobs": {"hash": "", "chunk": -1},
    "webhooks": {"delivery_id": ""},
    "approvals": {"id": ""},
    "approvals_of_run": {"id": ""},
    "schedules": {"name": ""},
    "budgets": {"per": ""},
    "keys": {"key_id": ""},
    "memories": {"memory_id": ""},
}
"""By which columns the rows of a table are read in order, and from which values on."""

PAGE = 16
"""How many rows are read at once; they may be large."""

# The seconds between two looks at whether the user's runs have stopped.
_SOON, _LATER = 0.05, 1.0

_JSON = {
    *("input", "output", "error", "usage", "metadata", "requirements", "usage_limits", "payload"),
    *("session_state", "output_schema", "summary", "data", "key", "value"),
    *("tool_args", "context", "resolution_data", "lineage", "scopes", "agents"),
    "topics",
}
_FLAGS = {
    *("ordered", "waiting", "counted", "watched", "streamed", "skippable", "paused"),
    *("foreground", "strict"),
}

_OF_A_RUN: dict[str, Table] = {
    "event": "events",
    "blob": "blobs",
    "webhook": "webhooks",
    "approval": "approvals_of_run",
}


class Owners(NamedTuple):
    """To whom the ids belong that are in use; None stands for nobody.

    Attributes:
        runs: of runs, and of pending cancels.
        sessions: of sessions.
    """

    runs: dict[str, str | None]
    sessions: dict[str, str | None]


class Erased(NamedTuple):
    """What of a user was erased.

    Attributes:
        runs: how many runs, with their journals, blobs, webhooks and entries in the queue.
        sessions: how many sessions.
        schedules: how many schedules.
        budgets: how many budgets, and counts of what was used of everybody's.
        memories: how many memories.
    """

    runs: int
    sessions: int
    schedules: int
    budgets: int = 0
    memories: int = 0


class Users(ABC):
    """Knows what belongs to whom.

    What belongs to a user is what names the user, and the runs without a user in the user's
    sessions. Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database
    cannot be reached.
    """

    @abstractmethod
    async def owners(
        self, run_ids: Sequence[str], session_ids: Sequence[str], connection: object | None = None
    ) -> Owners:
        """Return to whom ids belong.

        Args:
            run_ids: ids of runs.
            session_ids: ids of sessions.
            connection: a caller's own, whose transaction may hold some of them.
        """

    @abstractmethod
    async def enter(self, run: NewRun, connection: object | None = None) -> bool:
        """Make the session of a run, for its user; False where there is one by now."""

    @abstractmethod
    async def runs(self, user_id: str) -> list[tuple[str, bool]]:
        """Return some ids of what belongs to a user, each with whether it has not ended.

        These are runs and pending cancels; there are none only where nothing is left.
        """

    @abstractmethod
    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Delete those of the runs that have ended, with all that goes with them."""

    @abstractmethod
    async def delete_schedules(self, user_id: str) -> int:
        """Delete a user's schedules, and say how many."""

    @abstractmethod
    async def delete_budgets(self, user_id: str) -> int:
        """Delete a user's budgets with what was used of them, and say how many."""

    @abstractmethod
    async def delete_approvals(self, user_id: str) -> None:
        """Delete the approvals of a user that no run has taken along."""

    @abstractmethod
    async def delete_keys(self, user_id: str) -> None:
        """Delete a user's API keys."""

    @abstractmethod
    async def delete_memories(self, user_id: str) -> int:
        """Delete what is remembered of a user, and say how many memories that was."""

    @abstractmethod
    async def delete_sessions(self, user_id: str) -> int:
        """Delete a user's sessions that have no run any more, and say how many.

        One in which others have runs stays, without the user and without what it holds.
        """

    @abstractmethod
    async def rows(self, table: Table, key: str, after: Sequence[object]) -> list[Row]:
        """Return the next rows of a table that belong to a user, or to a run.

        Args:
            table: the table.
            key: the user; for what belongs to a run, the run.
            after: what the last row has in the columns of :data:`ORDER`.
        """

    async def place(self, run: NewRun, connection: object | None = None) -> NewRun:
        """Return a run with the ids that its user's names for it stand for.

        Where these name a new session, it is made: only so is it the user's, even if others name
        one at this moment.
        """
        user_id, chosen = run.user_id, run.chosen
        if user_id is None or not chosen:
            return run
        while True:
            owners = await self.owners(
                ids_of(run.run_id, user_id) if "run_id" in chosen else (),
                ids_of(run.session_id, user_id) if "session_id" in chosen else (),
                connection,
            )
            placed = run
            if "run_id" in chosen:
                placed = replace(placed, run_id=place(run.run_id, user_id, owners.runs))
            if "session_id" in chosen:
                session_id = place(run.session_id, user_id, owners.sessions)
                placed = replace(placed, session_id=session_id)
                if session_id not in owners.sessions and not await self.enter(placed, connection):
                    continue
            return placed

    async def run_id(self, chosen: str, user_id: str) -> str:
        """Return the id of the run that a user calls ``chosen``, whether it is there or not."""
        return place(chosen, user_id, (await self.owners(ids_of(chosen, user_id), ())).runs)

    async def session_id(self, chosen: str, user_id: str) -> str:
        """Return the id of the session that a user calls ``chosen``."""
        return place(chosen, user_id, (await self.owners((), ids_of(chosen, user_id))).sessions)

    async def erase(
        self, user_id: str, cancel: Callable[[str], Awaitable[object]], timeout: float
    ) -> Erased:
        """Cancel all runs of a user, and delete everything that belongs to the user.

        Args:
            user_id: the user.
            cancel: cancels a run.
            timeout: the seconds for which to wait until running runs have stopped.

        Raises:
            RunStateError: some had not; they are cancelled, and what had ended is deleted.
        """
        give_up_at = asyncio.get_running_loop().time() + timeout
        await self.delete_keys(user_id)
        schedules, runs, pause = await self.delete_schedules(user_id), 0, _SOON
        while found := await self.runs(user_id):
            live = [run_id for run_id, is_live in found if is_live]
            for run_id in live:
                await cancel(run_id)
            deleted = await self.delete_runs([run_id for run_id, _ in found])
            runs += deleted
            if deleted:
                continue
            if asyncio.get_running_loop().time() > give_up_at:
                raise RunStateError(
                    f"{len(live)} runs or more of the user {user_id!r} have not stopped within "
                    f"{timeout:g} s. They are cancelled, and what had ended is deleted. Erase the "
                    "user again."
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LATER)
        await self.delete_approvals(user_id)
        sessions = await self.delete_sessions(user_id)
        budgets, memories = await self.delete_budgets(user_id), await self.delete_memories(user_id)
        return Erased(runs, sessions, schedules, budgets, memories)

    async def export(self, user_id: str) -> AsyncGenerator[Row, None]:
        """Yield everything that belongs to a user, each with its ``kind``, as JSON values."""
        async for row in self._all("schedules", user_id):
            yield {"kind": "schedule", **row}
        async for row in self._all("budgets", user_id):
            yield {"kind": "budget", **row}
        async for row in self._all("keys", user_id):
            yield {"kind": "key", **{name: row[name] for name in row if name != "hash"}}
        async for row in self._all("memories", user_id):
            yield {"kind": "memory", **{name: row[name] for name in row if name != "words"}}
        async for row in self._all("approvals", user_id):
            yield {"kind": "approval", **row}
        async for row in self._all("sessions", user_id):
            yield {"kind": "session", **row}
        async for row in self._all("states", user_id):
            yield {"kind": "state", **row}
        async for run in self._all("runs", user_id):
            yield {"kind": "run", **run}
            for kind, table in _OF_A_RUN.items():
                async for row in self._all(table, str(run["run_id"])):
                    yield {"kind": kind, **row}

    async def _all(self, table: Table, key: str) -> AsyncGenerator[Row, None]:
        after = list[object](ORDER[table].values())
        while rows := await self.rows(table, key, after):
            for row in rows:
                yield {name: _plain(name, value) for name, value in row.items()}
            after = [rows[-1][column] for column in ORDER[table]]


def _plain(name: str, value: object) -> object:
    """Return the value of a column as a JSON value, the same from every database."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and name.endswith(("_at", "_until")):
        value = datetime.fromtimestamp(value, UTC)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if name in _FLAGS and value is not None:
        return bool(value)
    if name in _JSON and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:  # It is damaged; so it is exported as it is.
            return value
    return value
