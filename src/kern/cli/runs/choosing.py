"""The options with which commands choose among runs."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

import typer

from kern.db.base import Store
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.errors import ConfigurationError
from kern.operations.looking import Look, look_at
from kern.run.base import RunStatus
from kern.run.codec import check_id
from kern.run.duration import parse_moment

Status = Annotated[
    list[RunStatus] | None,
    typer.Option(
        help="Only those in this status; can be repeated.",
        case_sensitive=False,
        show_default=False,
    ),
]
Agent = Annotated[
    str | None, typer.Option(help="Only those of the agent with this id.", show_default=False)
]
Session = Annotated[
    str | None, typer.Option(help="Only those of this session.", show_default=False)
]
User = Annotated[str | None, typer.Option(help="Only those of this user.", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option(
        help="Only those accepted within this time (90s, 45m, 12h, 30d), or since this moment "
        "(2026-01-31T12:00).",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        help="Only those accepted longer ago than this, or before this moment.", show_default=False
    ),
]

Search = Annotated[
    str | None,
    typer.Option(
        "--search",
        help="Only those whose id, or that of their session, user or agent, begins so, or whose "
        "input says so; inputs are looked into of the newest 2,000 that are chosen otherwise.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs somebody has chosen, as they wrote it; None, and no statuses, stand for any."""

    agent: str | None = None
    statuses: tuple[RunStatus, ...] = ()
    session: str | None = None
    user: str | None = None
    since: str | None = None
    until: str | None = None
    text: str | None = None

    def check(self) -> None:
        """Make sure that the ids can be ids.

        Raises:
            ConfigurationError: one cannot.
        """
        given = {"--agent": self.agent, "--session": self.session, "--user": self.user}
        for option, value in given.items():
            if value is not None:
                check_id(option, value)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was chosen."""
        return self == Choice()

    def within(self, allowed: tuple[RunStatus, ...], doing: str) -> "Choice":
        """Return the same among runs with which something can be done.

        Args:
            allowed: the statuses in which it can.
            doing: what is done, for the error: ``cancelled``.

        Raises:
            ConfigurationError: another status was chosen.
        """
        for status in self.statuses:
            if status not in allowed:
                names = " or ".join(allowed)
                raise ConfigurationError(
                    f"A run that is {status} cannot be {doing}: only one that is {names} can."
                )
        return replace(self, statuses=self.statuses or allowed)

    async def to_filter(self, store: Store) -> RunFilter:
        """Return it with moments by the database's clock.

        Raises:
            ConfigurationError: a time is none.
        """
        since: datetime | None = None
        until: datetime | None = None
        if self.since is not None or self.until is not None:
            now = await store.overview.now()
            if self.since is not None:
                since = parse_moment("--since", self.since, now)
            if self.until is not None:
                until = parse_moment("--until", self.until, now)
        wanted = RunFilter(self.agent, self.statuses, self.session, self.user, since, until)
        return replace(wanted, text=self.text or None)


async def find(database: Database, choice: Choice, limit: int, before: str | None) -> Look:
    """Return the runs that somebody has chosen, as they stand.

    Args:
        database: where they are.
        choice: which ones.
        limit: how many at most, the last accepted first.
        before: the run before which they were accepted; by default there is none.

    Raises:
        RunNotFoundError: there is no run ``before``.
    """
    store = await database.store()
    records = await store.page(await choice.to_filter(store), limit, before)
    return await look_at(store, records)
