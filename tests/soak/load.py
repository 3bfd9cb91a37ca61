"""What the users do: they submit, some of it twice, change their minds, and wait."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from tests.soak.ledger import Ledger
from tests.soak.plan import POISON_ATTEMPTS, Call, Plan
from tests.soak.processes import AwayError, Client

Kind = Literal["plain", "early", "poison", "slow"]

_SESSIONS = 500
_AT_ONCE = 200
_EVERY_POISON = 10.0


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
        accepted_at: when it was accepted for certain.
        cancels: who asked for its end.
        seen: what its users were told of it, and when, in this order.
        twice: whether two processes submitted it.
    """

    plan: Plan
    session_id: str
    kind: Kind
    options: dict[str, object]
    chance: Random
    accepted_at: float | None = None
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
        asked: the runs, in the order in which they were accepted.
        breaches: what users must not see.
    """

    def __init__(self, clients: Sequence[Client], webhooks: str, ledger: Ledger, seed: int) -> None:
        self._clients = clients
        self._webhooks = webhooks
        self._ledger = ledger
        self._seed = seed
        self._locks = [asyncio.Lock() for _ in range(_SESSIONS)]
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
            # A few of the sessions are busy, most are not.
            session = int(_SESSIONS * chance.random() ** 2)
            run = self._make_up(f"run-{number}", f"session-{session}", poisoned, chance)
            task = asyncio.create_task(self._live(run, self._locks[session]))
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

    async def _live(self, run: Asked, session: asyncio.Lock) -> None:
        async with session:  # So there is no doubt of the order in which they were accepted.
            if run.kind == "early":
                await self._cancel(run)
            run.twice = run.chance.random() < 0.1
            submitters = run.chance.sample(self._clients, 2 if run.twice else 1)
            await asyncio.gather(*(self._submit(run, client) for client in submitters))
            run.accepted_at = time.time()
            self.asked.append(run)
        self._ledger.write("accepted", run=run.plan.run_id)
        cancelling = None
        if run.kind == "plain" and run.chance.random() < 0.1:
            cancelling = asyncio.create_task(self._cancel_later(run))
        await self._see(run, "wait")
        await self._see(run, "look")
        if cancelling is not None:
            await cancelling

    async def _submit(self, run: Asked, client: Client) -> None:
        options = {"session_id": run.session_id, **run.options}
        await _insist(client, "submit", run, input=run.plan.to_json(), options=options)

    async def _cancel_later(self, run: Asked) -> None:
        await asyncio.sleep(run.chance.uniform(0, 0.6) * run.chance.choice((0.1, 1, 4)))
        await self._cancel(run)

    async def _cancel(self, run: Asked) -> None:
        client = run.chance.choice(self._clients)
        while not run.cancels or run.cancels[-1].answer is None:
            answer: object = None
            try:
                answer = await client.ask("cancel", run.plan.run_id)
            except AwayError:
                await asyncio.sleep(0.2)
            assert answer is None or isinstance(answer, bool)
            run.cancels.append(Cancel(answer, time.time()))
            self._ledger.write("cancel", run=run.plan.run_id, note=str(answer))

    async def _see(self, run: Asked, how: str) -> None:
        told = await _insist(run.chance.choice(self._clients), how, run)
        assert isinstance(told, list), f"the run is not known: {told}"
        run.seen.append((time.time(), *told))
        self._ledger.write("seen", run=run.plan.run_id, note=str(told[0]))


async def _insist(client: Client, do: str, run: Asked, **more: object) -> object:
    """Ask until the database is there; what is asked may be done more than once."""
    while True:
        try:
            return await client.ask(do, run.plan.run_id, **more)
        except AwayError:
            await asyncio.sleep(0.2)
