"""Which definition executes a run: the one that submitted it, or one that is fit for it.

A run must never meet another caller's tools, dependencies or user. So it is pinned to the
definition of its submit for as long as it waits in this process. Runs of other processes, and of
those that were lost, are executed only by a definition that was served explicitly, or that is the
only one of its id here and holds nothing of a caller.
"""

import asyncio
from collections import Counter, OrderedDict
from operator import attrgetter
from weakref import WeakSet

from kern.errors import QueueFullError
from kern.execution.spec import Definition, Spec, is_portable

# How many submitted runs may wait that no other definition may execute.
PINNED_LIMIT = 1000

# How long an agent whose runs could not be executed here is left to others, in seconds: first,
# doubled each time, at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0

# The same for a run that only another process may execute, which may be about to look.
_FIRST_LEAVE, _LONGEST_LEAVE = 0.05, 0.5

_id = attrgetter("id")


class Definitions:
    """The definitions of agents that one event loop has in hand."""

    def __init__(self) -> None:
        """Know none yet."""
        self._served: dict[str, Definition] = {}
        self._seen: dict[str, WeakSet[Definition]] = {}
        self._pinned: dict[str, Spec] = {}
        self._owners: dict[str, object] = {}
        self._transactions: dict[str, str] = {}
        self._replaceable: OrderedDict[str, Spec] = OrderedDict()
        self._paused: dict[str, tuple[float, float]] = {}
        self._left: OrderedDict[str, float] = OrderedDict()
        self._resting: OrderedDict[str, Spec] = OrderedDict()
        self._resting_agents: Counter[str] = Counter()

    def serve(self, definition: Definition) -> None:
        """Have a definition execute every run of its id; the first one of an id stays."""
        self._served.setdefault(definition.id, definition)

    def see(self, definition: Definition) -> bool:
        """Know of a definition that is in use here; say whether it was not known before."""
        seen = self._seen.get(definition.id)
        if seen is None:
            seen = self._seen[definition.id] = WeakSet()
        elif definition in seen:
            return False
        seen.add(definition)
        return True

    def check(self, spec: Spec) -> None:
        """Make sure that a run may wait here for its definition.

        Raises:
            QueueFullError: too many runs wait that no other definition may execute.
        """
        if len(self._pinned) >= PINNED_LIMIT and not self._is_replaceable(spec):
            raise QueueFullError(
                f"{PINNED_LIMIT} runs wait that only the agent objects which submitted them may "
                "execute, as these have dependencies or tools of their own. Try again later, or "
                f"serve the agent {spec.id!r}: kern worker module:agent, or serve([agent])."
            )

    def pin(
        self, run_id: str, spec: Spec, owner: object = None, transaction: str | None = None
    ) -> None:
        """Have a run that waits executed by this spec.

        Args:
            run_id: the run.
            spec: what executes it.
            owner: is held until then, if no other definition may execute the run.
            transaction: the caller's transaction, with which the run may be rolled back.
        """
        if transaction is not None:
            self._transactions[run_id] = transaction
        if not self._is_replaceable(spec):
            self._pinned[run_id] = spec
            self._owners[run_id] = owner
            return
        self._replaceable[run_id] = spec
        if len(self._replaceable) > PINNED_LIMIT:  # Another one may execute the oldest.
            self.unpin(next(iter(self._replaceable)))

    def rest(self, run_id: str, spec: Spec) -> None:
        """Have a run that has paused here executed by this spec if it goes on by itself.

        Of those that no other definition may execute only the last are known, so that paused runs
        hold next to nothing; and who continues a run pins it to a definition of its own.

        Args:
            run_id: the run.
            spec: what has executed it.
        """
        if not self._is_replaceable(spec):
            self._forget(run_id)
            self._resting[run_id] = spec
            self._resting_agents[spec.id] += 1
            if len(self._resting) > PINNED_LIMIT:
                self._forget(next(iter(self._resting)))

    def _forget(self, run_id: str) -> Spec | None:
        """Return the spec that has executed a run until it paused, and forget it."""
        spec = self._resting.pop(run_id, None)
        if spec is not None:
            self._resting_agents[spec.id] -= 1
            if not self._resting_agents[spec.id]:
                del self._resting_agents[spec.id]
        return spec

    def unpin(self, run_id: str, transaction: str | None = None) -> Spec | None:
        """Return the spec to which a run was pinned, and forget it.

        Args:
            run_id: the run.
            transaction: the caller's transaction that was rolled back; nothing is forgotten
                where the run was submitted again in another one.
        """
        if transaction not in (None, self._transactions.get(run_id)):
            return None
        self._transactions.pop(run_id, None)
        self._owners.pop(run_id, None)
        resting = self._forget(run_id) if self._resting else None
        return self._pinned.pop(run_id, None) or self._replaceable.pop(run_id, None) or resting

    def is_pinned(self, run_id: str) -> bool:
        """Say whether a run waits here for its own definition."""
        return run_id in self._pinned or run_id in self._replaceable

    @property
    def pinned(self) -> list[str]:
        """The runs that wait here for their own definition."""
        return [*self._pinned, *self._replaceable]

    @property
    def uncommitted(self) -> list[tuple[str, str]]:
        """Runs that wait here, each with the caller's transaction in which it was submitted."""
        return [*self._transactions.items()]

    @property
    def agent_ids(self) -> list[str]:
        """The agents whose runs may begin here now."""
        now = asyncio.get_running_loop().time()
        found = dict.fromkeys(map(_id, (*self._pinned.values(), *self._replaceable.values())))
        found |= dict.fromkeys(self._resting_agents)
        for agent_id in (*self._served, *self._seen):
            if self._default(agent_id) is not None:
                found[agent_id] = None
        return [each for each in found if self._paused.get(each, (0.0, 0.0))[0] <= now]

    @property
    def served_ids(self) -> tuple[str, ...]:
        """The agents all whose runs are executed here."""
        return tuple(
            each
            for each in dict.fromkeys((*self._served, *self._seen))
            if self._default(each) is not None
        )

    def find(self, run_id: str, agent_id: str) -> tuple[Spec, bool] | None:
        """Return what executes a run, and whether the run was pinned to it; None for nothing."""
        spec = self.unpin(run_id)
        if spec is not None:
            return spec, True
        definition = self._default(agent_id)
        return None if definition is None else (Spec.of(definition), False)

    def may_execute(self, run_id: str, agent_id: str) -> bool:
        """Say whether anything here may execute a run."""
        is_known = self.is_pinned(run_id) or run_id in self._resting
        return is_known or self._default(agent_id) is not None

    def leave(self, run_id: str) -> float:
        """Return for how many seconds to leave a run to others that nothing here may execute.

        That grows each time, so that the run soon meets its own process beside many others, and
        costs little where its process is gone.
        """
        delay = min(2 * self._left.pop(run_id, _FIRST_LEAVE / 2), _LONGEST_LEAVE)
        self._left[run_id] = delay
        if len(self._left) > PINNED_LIMIT:
            self._left.popitem(last=False)
        return delay

    def limits(self, agent_id: str) -> tuple[int | None, int | None]:
        """Return the limits of an agent and of each of its users, as far as they are known."""
        for definition in (self._served.get(agent_id), *self._seen.get(agent_id, ())):
            if definition is not None:
                return definition.max_concurrent_runs, definition.max_concurrent_runs_per_user
        for spec in (*self._pinned.values(), *self._replaceable.values()):
            if spec.id == agent_id:
                return spec.agent_limit, spec.user_limit
        return None, None

    def pause(self, agent_id: str, longest: float = _LONGEST_PAUSE) -> None:
        """Leave an agent's runs to others for a time, as one was refused.

        Args:
            agent_id: the agent.
            longest: the seconds up to which that time grows.
        """
        _, pause = self._paused.get(agent_id, (0.0, _FIRST_PAUSE / 2))
        pause = min(2 * pause, longest)
        self._paused[agent_id] = asyncio.get_running_loop().time() + pause, pause

    def proved(self, agent_id: str) -> None:
        """Forget that an agent's runs were refused, as one was executed."""
        self._paused.pop(agent_id, None)

    def _is_replaceable(self, spec: Spec) -> bool:
        """Say whether another definition may execute a run of this one."""
        return is_portable(spec) and self._default(spec.id) is not None

    def _default(self, agent_id: str) -> Definition | None:
        """Return what may execute any run of an agent."""
        if (served := self._served.get(agent_id)) is not None:
            return served
        seen = list(self._seen.get(agent_id, ()))
        if len(seen) == 1 and is_portable(seen[0]):
            return seen[0]
        return None
