"""What the users do: they submit, some of it twice, change their minds, and wait.

Some of them sit in the workers themselves, whose end may leave them in doubt.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from tests.soak.asking import AwayError, GoneError, Questions
from tests.soak.ledger import Ledger
from tests.soak.plan import POISON_ATTEMPTS, Call, Plan
from tests.soak.processes import Client, Fleet

Kind = Literal["plain", "early", "poison", "slow"]

_SESSIONS = 500
_AT_ONCE = 200
_EVERY_POISON = 10.0

# How much of what users do they do in a worker.
_IN_WORKERS = 0.4


@dataclass(slots=True)
class Cancel:
    """Somebody asked for a run's end; the answer is None where it was not heard."""

    answer: bool | None
    answered_at: float


@dataclass(slots=True)
class Asked:
    """A run as its users see it.

    Attributes:
        plan: what it shall do.
        session_id: its conversation.
        kind: ``early``: it was cancelled before it was submitted; ``poison``: it kills its
            workers; ``slow``: it takes longer than its timeout.
        options: what it was submitted with.
        chance: what its users do is up to this.
        certain: whether its users know that it was accepted.
        cancels: who asked for its end.
        seen: what its users were told of it, and when, in this order.
        twice: whether two processes submitted it.
    """

    plan: Plan
    session_id: str
    kind: Kind
    options: dict[str, object]
    chance: Random
    certain: bool = False
    cancels: list[Cancel] = field(default_factory=list)
    seen: list[tuple[float, str, str | None, str | None]] = field(default_factory=list)
    twice: bool = False

    @property
    def ordered(self) -> bool:
        """Whether it takes its turn in its session as it was accepted."""
        return "session_policy" not in self.options and "delay" not in self.options


class Load:
    """As many runs at a time as the machine bears, each with a life of its own.

    Attributes:
        asked: the runs.
        breaches: what users must not see.
    """

    def __init__(
        self, clients: Sequence[Client], fleet: Fleet, webhooks: str, ledger: Ledger, seed: int
    ) -> None:
        self._clients = clients
        self._fleet = fleet
        self._webhooks = webhooks
        self._ledger = ledger
        self._seed = seed
        self.asked: list[Asked] = []
        self.breaches: list[str] = []
        self.living: dict[asyncio.Task[None], Asked] = {}

    async def press(self, seconds: float) -> None:
        """Submit for so long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        poison_at = loop.time() + 1
        slots = asyncio.Semaphore(_AT_ONCE)
        number = 0
        while loop.time() < end:
            number += 1
            poisoned = loop.time() > poison_at
            if poisoned:
                poison_at += _EVERY_POISON
            await slots.acquire()
            chance = Random(f"{self._seed}/{number}")
            # A few of the sessions are busy, most are not; none gets more than it can do in turn.
            session = int(_SESSIONS * chance.random() ** 1.5)
            run = self._make_up(f"run-{number}", f"session-{session}", poisoned, chance)
            task = asyncio.create_task(self._live(run))
            self.living[task] = run
            task.add_done_callback(self._ended)
            task.add_done_callback(lambda _: slots.release())

    def _ended(self, task: asyncio.Task[None]) -> None:
        run = self.living.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.breaches.append(f"{run.plan.run_id}: a user was told {error!r}")

    def _make_up(self, run_id: str, session_id: str, poisoned: bool, chance: Random) -> Asked:
        plan = Plan.random(run_id, chance)
        if poisoned:
            plan = Plan(run_id, 0, [[Call("poison")]])
            return Asked(plan, session_id, "poison", {"max_attempts": POISON_ATTEMPTS}, chance)
        if chance.random() < 0.005:
            plan = Plan(run_id, 0, [[Call("work", 60)]])
            return Asked(plan, session_id, "slow", {"timeout": 1.0}, chance)
        options: dict[str, object] = {}
        if chance.random() < 0.1:
            options["priority"] = chance.randint(-5, 5)
        if chance.random() < 0.1:
            options["webhook"] = self._webhooks
        if chance.random() < 0.03:
            options["delay"] = chance.uniform(0.1, 3)
        if chance.random() < 0.03:
            options["session_policy"] = "parallel"
        kind: Kind = "early" if chance.random() < 0.01 else "plain"
        return Asked(plan, session_id, kind, options, chance)

    async def _live(self, run: Asked) -> None:
        self.asked.append(run)
        if run.kind == "early":
            await self._cancel(run)
        places = [self._somewhere(run)]
        run.twice = run.chance.random() < 0.1
        if run.twice:
            places.append(run.chance.choice([each for each in self._places if each not in places]))
        await asyncio.gather(*(self._submit(run, place) for place in places))
        cancelling = None
        if run.certain and run.kind == "plain" and run.chance.random() < 0.1:
            cancelling = asyncio.create_task(self._cancel_later(run))
        await self._see(run, "wait", places[0])
        await self._see(run, "look", self._somewhere(run))
        if cancelling is not None:
            await cancelling

    async def _submit(self, run: Asked, place: int) -> None:
        """Submit a run; where the process is lost with it, half of the users do it once more."""
        options = {"session_id": run.session_id, **run.options}
        while True:
            try:
                await self._at(place).ask(
                    "submit", run.plan.run_id, input=run.plan.to_json(), options=options
                )
            except AwayError:
                await asyncio.sleep(0.2)
            except GoneError:
                if run.chance.random() < 0.5:
                    return
                place = self._somewhere(run)
            else:
                run.certain = True
                return

    async def _cancel_later(self, run: Asked) -> None:
        await asyncio.sleep(run.chance.uniform(0, 0.6) * run.chance.choice((0.1, 1, 4)))
        await self._cancel(run)

    async def _cancel(self, run: Asked) -> None:
        place = self._somewhere(run)
        while not run.cancels or run.cancels[-1].answer is None:
            answer: object = None
            try:
                answer = await self._at(place).ask("cancel", run.plan.run_id)
            except (AwayError, GoneError):
                await asyncio.sleep(0.2)
            assert answer is None or isinstance(answer, bool)
            run.cancels.append(Cancel(answer, time.time()))
            self._ledger.write("cancel", run=run.plan.run_id, note=str(answer))

    async def _see(self, run: Asked, how: str, place: int) -> None:
        told = await self._insist(run, how, place)
        if told is None and not run.certain:
            return
        assert isinstance(told, list), f"the run is not known: {told}"
        run.seen.append((time.time(), *told))
        self._ledger.write("seen", run=run.plan.run_id, note=str(told[0]))

    async def _insist(self, run: Asked, do: str, place: int) -> object:
        """Ask until there is an answer; what is asked may be done more than once."""
        while True:
            try:
                return await self._at(place).ask(do, run.plan.run_id)
            except (AwayError, GoneError):
                await asyncio.sleep(0.2)

    @property
    def _places(self) -> range:
        """Where users sit: in each of the workers, then in each of the clients."""
        return range(self._fleet.size + len(self._clients))

    def _somewhere(self, run: Asked) -> int:
        if run.chance.random() < _IN_WORKERS:
            return run.chance.randrange(self._fleet.size)
        return run.chance.choice(self._places[self._fleet.size :])

    def _at(self, place: int) -> Questions:
        """Return what asks the process that is at a place now."""
        if place < self._fleet.size:
            return self._fleet.questions(place)
        return self._clients[place - self._fleet.size].questions
