"""The discrete events of a day: runs that are accepted, wait, execute and are thrown back."""

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
PLACES = 100
HEARTBEAT = 15.0
PEAK = 14
"""The busiest hour: the curve below is a share of the day for each hour, 8 % at most."""

_NIGHT = (1.6, 1.2, 1.0, 0.9, 0.9, 1.2, 2.0, 3.4, 5.2, 6.6, 7.3, 7.4)
_NOON = (7.0, 7.6, 8.0, 7.7, 6.9, 5.8, 4.9, 4.2, 3.5, 2.6, 1.9, 1.2)
CURVE = tuple(share / sum(_NIGHT + _NOON) for share in _NIGHT + _NOON)


@dataclass(frozen=True)
class User:
    """What a day of a user is like.

    Attributes:
        runs: accepted in a day.
        payload: bytes of the question and the answer of a run.
        median: seconds of a model call, the median of a lognormal distribution.
        spread: its standard deviation, of the logarithm.
        tool: seconds of a tool call.
        steps: model calls of a run at most; each number from 1 on is as likely.
        clients: processes that submit.
        retention: days.
        random_ids: whether the ids are random, or begin with the time, as kern's own.
    """

    runs: int = 5_000_000
    payload: int = 3_000
    median: float = 4.0
    spread: float = 0.7
    tool: float = 0.5
    steps: int = 6
    clients: int = 20
    retention: int = 30
    random_ids: bool = False


@dataclass
class Running:
    """A run on its way: when it began to wait, and when each of its remaining steps ends."""

    waiting: float
    ends: tuple[float, ...]
    began: float = 0.0
    worker: int = -1
    round: int = 0


@dataclass
class Tally:
    """What has happened.

    Attributes:
        waits: seconds between due and begun, of the runs of the peak hour.
        waits_after: the same of runs that the restart of PostgreSQL has touched.
        accepted: runs by minute.
        ended: runs that have ended.
        steps: steps with tools that were committed, by minute.
        under_way: runs under way, by minute.
        repeated: steps that were made again.
        thrown_back: runs that lost their worker.
        handed_over: runs that a worker which was told to end has handed over.
        refused: submits while PostgreSQL was away.
    """

    waits: list[float] = field(default_factory=list)
    waits_after: list[float] = field(default_factory=list)
    accepted: list[int] = field(default_factory=lambda: [0] * 1440)
    steps: list[int] = field(default_factory=lambda: [0] * 1440)
    under_way: list[int] = field(default_factory=lambda: [0] * 1440)
    ended: int = 0
    repeated: int = 0
    thrown_back: int = 0
    handed_over: int = 0
    refused: int = 0


class Fleet:
    """The discrete events of some hours: arrivals, ends, crashes, deployments, a restart."""

    def __init__(self, user: User, workers: int, hours: range, seed: int) -> None:
        self._chance = random.Random(seed)
        self._user = user
        self._begin, self._end = hours.start * HOUR, hours.stop * HOUR
        self._now = self._begin
        self._free = [PLACES] * workers
        self._open = deque(range(workers))
        self._waiting: deque[Running] = deque()
        self._on: list[set[int]] = [set() for _ in range(workers)]
        self._runs: dict[int, Running] = {}
        self._number = 0
        self._away = (PEAK * HOUR + 2_400.0, PEAK * HOUR + 2_430.0)
        self._shapes = [self._shape() for _ in range(20_000)]
        self._events: list[tuple[float, int, str, int]] = []
        self._order = 0
        self.tally = Tally()

    def run(self) -> Tally:
        """Simulate, and return what has happened."""
        self._plan()
        for due in self._arrivals():
            self._until(due)
            back = self._away[1]
            if self._away[0] <= due < back:
                # Its caller gets an error and submits it again when PostgreSQL is back.
                self.tally.refused += 1
                self._at(back, "again", 0)
                continue
            self._accept(due)
        self._until(self._end)
        return self.tally

    def _plan(self) -> None:
        """Put what disturbs into the calendar: a crash an hour, four deployments a day."""
        workers = len(self._free)
        for hour in range(int(self._begin // HOUR), int(self._end // HOUR)):
            moment = hour * HOUR + self._chance.uniform(0, HOUR)
            self._at(moment, "crash", self._chance.randrange(workers))
            if hour in (9, 11, PEAK, 16):
                for worker in range(workers):
                    batch = worker * 10 // workers
                    self._at(hour * HOUR + 600.0 + batch * MINUTE, "deploy", worker)
        for minute in range(int(self._begin // MINUTE), int(self._end // MINUTE)):
            self._at(minute * MINUTE, "look", minute)

    def _arrivals(self) -> Iterator[float]:
        moment = self._begin
        chance = self._chance.random
        per_second = self._user.runs / HOUR
        while True:
            rate = per_second * _share(moment)
            moment -= math.log(1.0 - chance()) / rate
            if moment >= self._end:
                return
            yield moment

    def _accept(self, due: float) -> None:
        self.tally.accepted[int(due // MINUTE) % 1440] += 1
        self._wait(Running(due, self._shapes[int(self._chance.random() * len(self._shapes))]))

    def _wait(self, run: Running) -> None:
        if self._open:
            self._start(run)
        else:
            self._waiting.append(run)

    def _start(self, run: Running) -> None:
        worker = self._open[0]
        self._open.rotate(-1)
        self._free[worker] -= 1
        if not self._free[worker]:
            self._open.remove(worker)
        self._number += 1
        run.began, run.worker = self._now, worker
        self._runs[self._number] = run
        self._on[worker].add(self._number)
        self._at(self._now + run.ends[-1], "end", self._number)
        if run.round == 0 and PEAK * HOUR <= self._now < (PEAK + 1) * HOUR:
            touched = self._away[0] <= run.waiting < self._away[1] + 300.0
            (self.tally.waits_after if touched else self.tally.waits).append(
                self._now - run.waiting
            )

    def _until(self, moment: float) -> None:
        events = self._events
        while events and events[0][0] <= moment:
            self._now, _, kind, number = heapq.heappop(events)
            if kind == "end":
                self._ended(number)
            else:
                self._disturbed(kind, number)
        self._now = moment

    def _ended(self, number: int) -> None:
        run = self._runs.get(number)
        if run is None:  # It was thrown back, and goes on under another number.
            return
        if self._away[0] <= self._now < self._away[1]:  # It waits with what it has to write.
            self._at(self._away[1], "end", number)
            return
        del self._runs[number]
        self._on[run.worker].discard(number)
        self.tally.ended += 1
        self.tally.steps[int(self._now // MINUTE) % 1440] += len(run.ends) - 1
        self._give_back(run.worker, 1)

    def _disturbed(self, kind: str, number: int) -> None:
        if kind == "look":
            self.tally.under_way[number % 1440] = len(self._runs)
        elif kind == "again":
            self._accept(self._now)
        elif kind == "up":
            if self._free[number] < 0:
                self._free[number] = 0
                self._give_back(number, PLACES)
        elif kind == "due":
            self._wait(self._runs.pop(-number))
        elif kind == "deploy":
            self._close(number)
            self._at(self._now + 10.0, "stop", number)  # Ten seconds of grace.
        else:
            self._close(number)
            self._throw_back(number, 0.0 if kind == "stop" else self._chance.uniform(10.0, 17.0))
            self._at(self._now + 10.0, "up", number)

    def _close(self, worker: int) -> None:
        """Have a worker take nothing new."""
        self._free[worker] = -(10**6)
        if worker in self._open:
            self._open.remove(worker)

    def _throw_back(self, worker: int, after: float) -> None:
        """Have the runs of a worker go on elsewhere after a time, from their last step on."""
        for number in list(self._on[worker]):
            run = self._runs.pop(number)
            spent = self._now - run.began
            done = [end for end in run.ends if end <= spent][-1:] or [0.0]
            rest = tuple(end - done[0] for end in run.ends if end > spent) or (0.01,)
            self.tally.steps[int(self._now // MINUTE) % 1440] += len(run.ends) - len(rest)
            self.tally.repeated += 1
            if after:
                self.tally.thrown_back += 1
            else:
                self.tally.handed_over += 1
            self._number += 1
            self._runs[-self._number] = Running(self._now + after, rest, round=run.round + 1)
            self._at(self._now + after, "due", self._number)
        self._on[worker].clear()

    def _give_back(self, worker: int, places: int) -> None:
        was_full = self._free[worker] == 0
        self._free[worker] += places
        if was_full:
            self._open.append(worker)
        while self._waiting and self._open:
            self._start(self._waiting.popleft())

    def _at(self, moment: float, kind: str, number: int) -> None:
        self._order += 1
        heapq.heappush(self._events, (moment, self._order, kind, number))

    def _shape(self) -> tuple[float, ...]:
        """Return when each step of a run ends, in seconds after its beginning."""
        user, moment, ends = self._user, 0.0, []
        steps = self._chance.randint(1, user.steps)
        for step in range(steps):
            moment += self._chance.lognormvariate(math.log(user.median), user.spread)
            moment += user.tool if step < steps - 1 else 0.0
            ends.append(moment)
        return tuple(ends)


def _share(moment: float) -> float:
    """Return the share of the day that an hour at this moment would have, without jumps."""
    position = (moment / HOUR - 0.5) % 24
    hour, rest = int(position), position % 1
    return CURVE[hour] * (1 - rest) + CURVE[(hour + 1) % 24] * rest
