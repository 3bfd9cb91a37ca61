"""What kern needs of a database for budgets: how much users may use, and what they have used.

What is used is counted by the statement that writes an answer to a run's journal, once for each
row that it adds: neither a repeated write nor a crash can count it twice or lose it. Only runs
count whose user had a budget when they were accepted or claimed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from kern.run.budget import PERIODS, Budget, Period, Spending, period_at

EVERYBODY = ""
"""What stands in the place of a user in everybody's budget; no user's id is empty."""


class BudgetRow(NamedTuple):
    """A row of the table of budgets.

    Attributes:
        user_id: the user, or :data:`EVERYBODY`.
        per: the period.
        cost: the limit in US dollars, or None.
        tokens: the limit in tokens, or None; where both are, everybody's hold for the user.
        starts_at: when the period began in which was used what follows; None for never.
        used_cost: what was used in it, in US dollars.
        used_tokens: the same, in tokens.
    """

    user_id: str
    per: Period
    cost: float | None
    tokens: int | None
    starts_at: datetime | None
    used_cost: float
    used_tokens: int

    @property
    def is_limit(self) -> bool:
        """Whether it limits anything, and not only counts."""
        return self.cost is not None or self.tokens is not None

    @property
    def budget(self) -> Budget:
        """The limits; there must be some."""
        return Budget(self.user_id or None, self.per, self.cost, self.tokens)


class Budgets(ABC):
    """The budgets in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def put(self, budget: Budget) -> None:
        """Set a budget, in the place of the user's for this period; what was used stays."""

    @abstractmethod
    async def delete(self, user_id: str | None, per: Period) -> bool:
        """Delete a budget, and say whether there was one."""

    @abstractmethod
    async def find(self, user_id: str | None = None) -> list[Budget]:
        """Return the budgets that are set, everybody's first.

        Args:
            user_id: the user whose own they are; None for all.
        """

    @abstractmethod
    async def spending(self, user_id: str) -> list[Spending]:
        """Return the budgets that hold for a user, and what was used; shorter periods first."""


def spending_in(rows: Iterable[BudgetRow], user_id: str, now: datetime) -> list[Spending]:
    """Return what a user has used of the budgets that hold.

    Args:
        rows: the user's and everybody's.
        user_id: the user.
        now: the database's time.
    """
    own: dict[Period, BudgetRow] = {}
    everybodys: dict[Period, BudgetRow] = {}
    for row in rows:
        (own if row.user_id else everybodys)[row.per] = row
    found = []
    for per in PERIODS:
        mine = own.get(per)
        limits = mine if mine is not None and mine.is_limit else everybodys.get(per)
        if limits is None:
            continue
        began, ends = period_at(now, per)
        counts = mine is not None and mine.starts_at is not None and mine.starts_at >= began
        cost, tokens = (mine.used_cost, mine.used_tokens) if mine and counts else (0.0, 0)
        found.append(Spending(user_id, limits.budget, round(cost, 12), tokens, ends))
    return found


def moment_of(seconds: float | None) -> datetime | None:
    """Return a moment that was stored in seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
