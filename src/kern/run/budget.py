"""How much the runs of a user may use in a period, and how much they have used."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, get_args

from kern.errors import BudgetExceededError, ConfigurationError
from kern.keywords import public
from kern.run.codec import check_id
from kern.run.usage import check_cost

Period: TypeAlias = Literal["hour", "day", "week", "month"]
"""A period of UTC; a week begins on Monday."""

PERIODS: tuple[Period, ...] = get_args(Period)
"""Every period, the shortest first."""


@public
@dataclass(frozen=True, slots=True)
class Budget:
    """How much a user may use in a period, over all agents on a database.

    Attributes:
        user_id: the user; None for everybody who has no budget of their own for such a period.
        per: the period: ``"hour"``, ``"day"``, ``"week"`` or ``"month"``, of UTC.
        cost: US dollars, as far as prices are known; see :class:`kern.models.prices.Price`.
        tokens: tokens sent to models and produced by them.

    Raises:
        InvalidInputError: ``user_id`` cannot be an id.
        ConfigurationError: there is no such period, no limit, or one that is no number above 0.

    Example:
        >>> Budget("alice", per="month", cost=20)
        Budget(user_id='alice', per='month', cost=20, tokens=None)
    """

    user_id: str | None = None
    per: Period = "day"
    cost: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.user_id is not None:
            check_id("user_id", self.user_id)
        check_period(self.per)
        check_cost("Budget", self.cost)
        if self.tokens is not None and (type(self.tokens) is not int or self.tokens < 1):
            raise ConfigurationError(
                f"Budget: tokens must be a whole number from 1 on, not {self.tokens!r:.50}."
            )
        if self.cost is None and self.tokens is None:
            raise ConfigurationError(
                "A budget needs a cost, a number of tokens, or both, such as cost=5."
            )


@dataclass(frozen=True, slots=True)
class Spending:
    """What a user has used of a budget, in the period that is now.

    Attributes:
        user_id: the user.
        budget: the user's, or everybody's.
        cost: what it cost, in US dollars, as far as prices are known.
        tokens: how many tokens it was.
        resets_at: when the next period begins.
    """

    user_id: str
    budget: Budget
    cost: float
    tokens: int
    resets_at: datetime

    @property
    def exceeded(self) -> str | None:
        """The limit that leaves no room for another model call, such as ``cost=5``."""
        budget = self.budget
        # Rounded alike, so that what the database finds used up is so here too.
        if budget.cost is not None and self.cost >= round(budget.cost, 12):
            return f"cost={budget.cost:g}"
        if budget.tokens is not None and self.tokens >= budget.tokens:
            return f"tokens={budget.tokens}"
        return None

    def check(self, what: str) -> None:
        """Make sure that there is room for another model call.

        Args:
            what: what becomes of the run if there is none, a sentence.

        Raises:
            BudgetExceededError: there is none.
        """
        limit = self.exceeded
        if limit is None:
            return
        used = f"${self.cost:.6g}" if limit.startswith("cost") else f"{self.tokens} tokens"
        per = self.budget.per
        raise BudgetExceededError(
            f"The user {self.user_id!r} has used {used} this {per}, of a budget of {limit} per "
            f"{per}. {what} It resets at {self.resets_at:%Y-%m-%d %H:%M} UTC; or raise it.",
            user_id=self.user_id,
            per=per,
            limit=limit,
            resets_at=self.resets_at,
        )


def check_period(per: object) -> Period:
    """Return a period.

    Raises:
        ConfigurationError: it is none.
    """
    for known in PERIODS:
        if per == known:
            return known
    raise ConfigurationError(f"per must be one of {', '.join(PERIODS)}, not {per!r:.50}.")


def period_at(moment: datetime, per: Period) -> tuple[datetime, datetime]:
    """Return when the period of a moment began, and when the next one begins.

    Example:
        >>> began, _ = period_at(datetime(2026, 11, 26, 3, tzinfo=UTC), "week")
        >>> str(began)
        '2026-11-23 00:00:00+00:00'
    """
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    match per:
        case "hour":
            return hour, hour + timedelta(hours=1)
        case "day":
            return day, day + timedelta(days=1)
        case "week":
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=7)
        case "month":
            first = day.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1)
