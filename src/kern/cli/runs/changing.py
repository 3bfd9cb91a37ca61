"""``kern runs cancel`` and ``kern runs retry``: what is done with runs that are named or chosen."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import typer

from kern.cli.asking import is_confirmed
from kern.cli.output import print_json
from kern.cli.runs.choosing import Choice
from kern.dispatch.runtime import Runtime
from kern.errors import ConfigurationError, DatabaseError, KernError, RunNotFoundError
from kern.run.base import RunStatus
from kern.run.printable import printable

# How many runs are looked for at a time, and how many are changed side by side.
_PAGE, _TOGETHER = 1000, 50


class Outcome(NamedTuple):
    """What came of a run.

    Attributes:
        run_id: the run.
        status: where it is; None where it is not known.
        done: whether it is as it was wished.
        text: the same for people.
    """

    run_id: str
    status: RunStatus | None
    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something that can be done with many runs.

    Attributes:
        verb: what to do with them.
        participle: what is done with them then.
        statuses: where runs are with which it can be done.
        make: does it with one run.
    """

    verb: str
    participle: str
    statuses: tuple[RunStatus, ...]
    make: Callable[[Runtime, str], Awaitable[Outcome]]


class Found(NamedTuple):
    """A run, and where it is; None where there is none."""

    run_id: str
    status: RunStatus | None


async def _cancel(runtime: Runtime, run_id: str) -> Outcome:
    """Cancel a run; one that is not known leaves no pending cancel."""
    record = await runtime.store.get(run_id)
    if record is None:
        raise RunNotFoundError(f"There is no run {run_id!r} in {runtime.store}.")
    shown = printable(run_id)
    if await runtime.cancel(run_id):
        return Outcome(run_id, RunStatus.cancelled, True, f"{shown} is cancelled")
    ended = await runtime.store.get(run_id)
    status = record.status if ended is None else ended.status
    is_cancelled = status is RunStatus.cancelled
    return Outcome(run_id, status, is_cancelled, f"{shown} has ended before: {status}")


async def _retry(runtime: Runtime, run_id: str) -> Outcome:
    taken = await runtime.retry(run_id)
    agent = printable(taken.agent_id)
    text = f"is {taken.status}: a worker that serves the agent {agent} goes on with it"
    return Outcome(run_id, taken.status, True, f"{printable(run_id)} {text}")


CANCEL = Change(
    "Cancel",
    "cancelled",
    (RunStatus.pending, RunStatus.running, RunStatus.paused),
    _cancel,
)
RETRY = Change("Retry", "retried", (RunStatus.error,), _retry)


@dataclass(frozen=True, slots=True)
class Changing:
    """A change of the runs that are named, or else of those that are chosen.

    Attributes:
        change: what is done.
        run_ids: the runs that are named.
        choice: which are chosen where none is named.
        limit: how many of these at most, the last accepted first.
        yes: whether to do it without asking first; runs that are named are never asked about.
        as_json: whether to print JSON.
        dry_run: whether that says that nothing is done.
    """

    change: Change
    run_ids: Sequence[str]
    choice: Choice
    limit: int | None
    yes: bool
    as_json: bool
    dry_run: bool

    def check(self) -> None:
        """Make sure that it is said which runs are meant.

        Raises:
            ConfigurationError: neither runs nor a choice are given, or both are.
        """
        if bool(self.run_ids) is not self.choice.is_empty:
            raise ConfigurationError(
                f"Which runs are to be {self.change.participle}? Name them, or choose them with "
                "--agent, --status, --session, --user, --since and --until; not both."
            )

    async def find(self, runtime: Runtime) -> list[Found]:
        """Return the runs, those that are chosen the first accepted first.

        Raises:
            ConfigurationError: runs are chosen with which it cannot be done.
            DatabaseError: the database cannot be asked.
        """
        store = runtime.store
        if self.run_ids:
            records = await asyncio.gather(*map(store.get, self.run_ids))
            return [
                Found(run_id, None if record is None else record.status)
                for run_id, record in zip(self.run_ids, records, strict=True)
            ]
        choice = self.choice.within(self.change.statuses, self.change.participle)
        wanted = await choice.to_filter(store)
        found: list[Found] = []
        before: str | None = None
        while self.limit is None or len(found) < self.limit:
            most = _PAGE if self.limit is None else min(_PAGE, self.limit - len(found))
            page = await store.page(wanted, most, before)
            found += [Found(each.run_id, each.status) for each in page]
            if len(page) < most:
                break
            before = page[-1].run_id
        return found[::-1]

    def tell(self, found: Sequence[Found]) -> bool:
        """Say what would be done; whether that is all that is wished."""
        fit = [each for each in found if each.status in self.change.statuses]
        for each in found:
            if each.status is None:
                typer.echo(f"Error: There is no run {each.run_id!r}.", err=True)
            elif each not in fit:
                self._say(f"{printable(each.run_id)} is {each.status}")
        self._say(f"{_count(fit)} would be {self.change.participle}")
        self._print_json([Outcome(*each, False, "") for each in fit])
        return len(fit) == len(found)

    def is_confirmed(self, found: Sequence[Found]) -> bool:
        """Ask whether to go on with runs that were chosen, and not named."""
        if self.yes or self.run_ids or not found:
            return True
        return is_confirmed(f"{self.change.verb} {_count(found)}?")

    async def make(self, runtime: Runtime, found: Sequence[Found]) -> bool:
        """Do it, and say whether every run is as it was wished.

        Raises:
            DatabaseError: the database cannot be asked.
        """
        outcomes: list[Outcome] = []
        for begin in range(0, len(found), _TOGETHER):
            some = found[begin : begin + _TOGETHER]
            for each in await asyncio.gather(*(self._make(runtime, run_id) for run_id, _ in some)):
                if isinstance(each, DatabaseError):
                    raise each
                outcomes.append(each)
                if each.text.startswith("Error: "):
                    typer.echo(each.text, err=True)
                else:
                    self._say(each.text)
        done = sum(each.done for each in outcomes)
        if not self.run_ids:
            self._say(
                f"{_of(done, len(outcomes))} {self.change.participle}" if found else "No runs."
            )
        self._print_json(outcomes)
        return done == len(outcomes)

    async def _make(self, runtime: Runtime, run_id: str) -> Outcome | DatabaseError:
        try:
            return await self.change.make(runtime, run_id)
        except DatabaseError as error:
            return error
        except KernError as error:
            record = await runtime.store.get(run_id)
            status = None if record is None else record.status
            return Outcome(run_id, status, False, f"Error: {printable(str(error))}")

    def _say(self, text: str) -> None:
        if not self.as_json:
            typer.echo(text)

    def _print_json(self, outcomes: Sequence[Outcome]) -> None:
        if self.as_json:
            runs = [
                {"run_id": each.run_id, "status": each.status, "changed": each.done}
                for each in outcomes
            ]
            print_json({"dry_run": self.dry_run, "runs": runs})


def _of(done: int, all_: int) -> str:
    if done != all_:
        return f"{done:,} of {all_:,} runs"
    return "1 run" if done == 1 else f"{done:,} runs"


def _count(found: Sequence[Found]) -> str:
    """Return how many runs there are, and how many in each status."""
    runs = "1 run" if len(found) == 1 else f"{len(found):,} runs"
    by_status = Counter(each.status for each in found if each.status is not None)
    shown = ", ".join(f"{count:,} {status}" for status, count in by_status.items())
    return f"{runs} ({shown})" if shown else runs
