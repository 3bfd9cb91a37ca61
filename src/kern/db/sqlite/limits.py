"""How many background runs of an agent, or of its user, execute at once in SQLite.

A run that finds a limit reached waits under the limit's key, without being due. Who makes room
makes as many due as there is room for; their claims decide.
"""

import json

from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.tables import Tables, each_of
from kern.db.values import Claim

# How many runs become due at once where nothing limits them.
_MANY = 1000


class Limits:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._runs = tables.runs

    def wait(
        self,
        transaction: Transaction,
        run_id: str,
        agent_id: str,
        user_id: str | None,
        claim: Claim,
    ) -> bool:
        """Have a run wait where a limit leaves no room for it; say whether it does."""
        if not self._room(transaction, claim.agent_limit, agent_id, run_id=run_id):
            key = _key(agent_id)
        elif user_id is not None and not self._room(
            transaction, claim.user_limit, agent_id, user_id, run_id
        ):
            key = _key(agent_id, user_id)
        else:
            return False
        self._wait_for(transaction, run_id, key)
        return True

    def make_due(
        self, transaction: Transaction, agent_id: str, user_id: str | None, claim: Claim
    ) -> None:
        """See :meth:`kern.db.base.Store.make_due`."""
        if user_id is not None:
            # Who waits for the user has room there now, but may have to wait for the agent.
            mine, room = _key(agent_id, user_id), (claim.user_limit, agent_id, user_id)
            for run_id, _ in self._first(transaction, mine, self._room(transaction, *room)):
                self._wait_for(transaction, run_id, _key(agent_id))
        room_left, by_user = self._room(transaction, claim.agent_limit, agent_id), dict[str, int]()
        while room_left and (first := self._first(transaction, _key(agent_id), room_left)):
            for run_id, user in first:
                if user is not None:
                    if user not in by_user:
                        by_user[user] = self._room(transaction, claim.user_limit, agent_id, user)
                    if not by_user[user]:
                        self._wait_for(transaction, run_id, _key(agent_id, user))
                        continue
                    by_user[user] -= 1
                self._make_due(transaction, run_id)
                room_left -= 1

    def try_first(self, transaction: Transaction) -> None:
        """Make due the first run that waits for each limit; its claim finds whether it may go."""
        keys = transaction.execute(
            each_of("concurrency_key", self._runs, "concurrency_key IS NOT NULL")
            + f" LIMIT {_MANY}"
        ).fetchall()
        for (key,) in keys:
            for run_id, _ in self._first(transaction, key, 1):
                self._make_due(transaction, run_id)

    def _room(
        self,
        transaction: Transaction,
        limit: int | None,
        agent_id: str,
        user_id: str | None = None,
        run_id: str | None = None,
    ) -> int:
        """Return for how many runs there is room; a run's ancestors do not count for it.

        They may wait for it without saying so.
        """
        if limit is None:
            return _MANY
        of_user = "" if user_id is None else "AND user_id = :user_id"
        row = transaction.sole(
            f"""
WITH RECURSIVE above (run_id) AS (
    SELECT parent_run_id FROM {self._runs} WHERE run_id = :run_id
    UNION SELECT parent_run_id FROM {self._runs} JOIN above USING (run_id))
SELECT count(*) AS counted FROM {self._runs} WHERE agent_id = :agent_id {of_user}
    AND counted AND status = 'RUNNING'
    AND run_id NOT IN (SELECT run_id FROM above WHERE run_id IS NOT NULL)""",
            agent_id=agent_id,
            user_id=user_id,
            run_id=run_id,
        )
        counted: int = row["counted"]
        return max(0, limit - counted)

    def _first(
        self, transaction: Transaction, key: str, count: int
    ) -> list[tuple[str, str | None]]:
        rows = transaction.execute(
            f"SELECT run_id, user_id FROM {self._runs} WHERE concurrency_key = :key "
            "ORDER BY parent_run_id IS NULL, priority DESC, position LIMIT :count",
            key=key,
            count=count,
        ).fetchall()
        return [(row["run_id"], row["user_id"]) for row in rows]

    def _wait_for(self, transaction: Transaction, run_id: str, key: str) -> None:
        transaction.execute(
            f"UPDATE {self._runs} SET concurrency_key = :key, due_at = NULL WHERE run_id = :run_id",
            run_id=run_id,
            key=key,
        )

    def _make_due(self, transaction: Transaction, run_id: str) -> None:
        transaction.makes_due = True
        transaction.execute(
            f"UPDATE {self._runs} SET concurrency_key = NULL, due_at = :now WHERE run_id = :run_id",
            run_id=run_id,
        )


def _key(agent_id: str, user_id: str | None = None) -> str:
    return json.dumps([agent_id] if user_id is None else [agent_id, user_id])
