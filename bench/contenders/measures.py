"""What is measured in one process: the contender submits and executes in it."""

import asyncio
import gc
import os
import random
import resource
import time
from collections.abc import Coroutine
from dataclasses import replace

import psutil

from bench.contenders.contender import IDLE, BackgroundContender, Contender, Setting
from bench.contenders.standin import StandIn, new_name

QUESTION = "What is the capital of France?"
CALLS_AT_A_TIME = 32

# How many runs make the warm-up, also before runs one after the other. A contender that makes so
# many a second is then given as many as will be in flight.
_WARM_UP = 32
_FIRST = 8
_FAST = 40.0


class Bench:
    """One contender under measurement.

    Attributes:
        contender: who is measured.
        setting: where, and how much.
        stand_in: what the model saw.
        results: the figures so far.
    """

    def __init__(self, contender: Contender, setting: Setting) -> None:
        self.contender = contender
        self.setting = setting
        self.stand_in = StandIn(setting.channel)
        self.results: list[dict[str, object]] = []

    @property
    def background(self) -> BackgroundContender:
        """The contender, which has background runs."""
        assert isinstance(self.contender, BackgroundContender)
        return self.contender

    def scale(self, name: str) -> int:
        """Return how much of something is measured."""
        return int(self.setting.scale[name])

    def found(self, figure: str, samples: list[float], **more: object) -> None:
        """Keep samples of a figure, in its unit (seconds, or as the report says)."""
        rounded = [float(f"{sample:.4g}") for sample in samples]
        self.results.append({"figure": figure, "samples": rounded, **more})


async def latency(bench: Bench) -> None:
    """Measure submit, and from there to the model, with nothing else going on."""
    contender = bench.contender
    await closed_loop(contender, _FIRST, 1)
    submits, starts = [], []
    for _ in range(bench.scale("latency")):
        await asyncio.sleep(IDLE)
        mark, session = new_name("start"), new_name("session")
        began = time.monotonic()
        if isinstance(contender, BackgroundContender):
            run = await contender.submit(f"{QUESTION} #{mark}", session)
            submits.append(time.monotonic() - began)
            await contender.ended(run, session)
        else:
            await contender.run(f"{QUESTION} #{mark}", session)
        starts.append(await bench.stand_in.arrival(mark) - began)
    if submits:
        bench.found("submit", submits)
    bench.found("start", starts)


async def throughput(bench: Bench) -> None:
    """Measure how many runs are made a second, and what each costs."""
    contender = bench.contender
    await _sustain(bench, "throughput", contender.in_flight)
    if contender.calls_too:
        await _sustain(bench, "throughput_32", CALLS_AT_A_TIME)


async def closed_loop(contender: Contender, runs: int, in_flight: int) -> float:
    """Make so many runs, each in a session of its own, and return the seconds that it took."""
    numbers = iter(range(runs))

    async def make() -> None:
        for _ in numbers:
            await contender.run(QUESTION, new_name("session"))

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(in_flight, runs)):
            group.create_task(make())
    return time.monotonic() - began


async def warm_up(bench: Bench, in_flight: int) -> int:
    """Make runs that do not count; return how many will fill the time that is measured."""
    contender = bench.contender
    rate = _WARM_UP / await closed_loop(contender, _WARM_UP, in_flight)
    if rate > _FAST:
        runs = max(in_flight, 2 * _WARM_UP)
        rate = runs / await closed_loop(contender, runs, in_flight)
    return max(int(rate * bench.setting.scale["seconds"]), 2 * _WARM_UP)


async def _sustain(bench: Bench, figure: str, in_flight: int) -> None:
    runs = await warm_up(bench, in_flight)
    before = await spent(bench)
    seconds = await closed_loop(bench.contender, runs, in_flight)
    own, postgres, model = (
        after - begun for after, begun in zip(await spent(bench), before, strict=True)
    )
    bench.found(figure, [runs / seconds], runs=runs, in_flight=in_flight)
    for name, seconds in (("processor", own), ("postgres", postgres), ("model", model)):
        bench.found(figure.replace("throughput", name), [seconds / runs])


async def spent(bench: Bench) -> tuple[float, float, float]:
    """Return the processor time of this process, PostgreSQL and the model, in seconds."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return (
        own.ru_utime + own.ru_stime,
        processor_of_postgres(bench.setting.postgres),
        await bench.stand_in.processor(),
    )


def processor_of_postgres(process: int) -> float:
    """Return the processor time of a PostgreSQL with all its processes, in seconds."""
    server = psutil.Process(process)
    spent = sum(server.cpu_times()[:4])  # Its own, and that of those of its children that ended.
    for child in server.children():
        try:
            spent += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return spent


async def cancel(bench: Bench, figure: str = "cancel_here") -> None:
    """Measure how long a cancel takes to end a run, and to close the model's connection.

    The model would answer after ``hold`` seconds. Where the connection has not been closed by
    then, it never is.
    """
    contender, hold = bench.background, bench.setting.scale["hold"]
    ended, closed = [], []
    end = time.monotonic() + hold
    for _ in range(bench.scale("cancel")):
        mark, session = new_name("cancel"), new_name("session")
        run = await contender.submit(f"Wait {hold:.0f} s. #{mark}", session)
        await bench.stand_in.arrival(mark)
        left = await bench.stand_in.left()
        leaving = asyncio.create_task(bench.stand_in.leaving(left + 1, timeout=hold + 1))
        began = time.monotonic()
        await contender.cancel(run)
        status = await contender.ended(run, session)
        ended.append(time.monotonic() - began)
        if status != "cancelled":
            raise RuntimeError(f"the cancelled run ended {status}")
        if (moment := await leaving) is not None:
            closed.append(moment - began)
        if time.monotonic() > end:
            break
    bench.found(figure, ended)
    if closed:
        bench.found(f"{figure}_closed", closed)
    else:
        reason = f"the model's answer is waited for ({hold:.0f} s) and paid"
        bench.results.append({"figure": f"{figure}_closed", "reason": reason})


async def poll(bench: Bench) -> None:
    """Measure a poll in sessions of several sizes, in turn."""
    contender = bench.background
    sizes = [size for size in (1, 1000, 10_000) if size <= contender.largest_session]
    runs = {}
    for size in sizes:
        session = new_name("session")
        runs[size] = (await _ended_run(contender, session), session)
        if size > 1:
            await contender.fill(*runs[size], size - 1)
    samples = await _poll_in_turn(bench, {f"poll_{size}": (contender, runs[size]) for size in runs})
    for figure in samples:
        bench.found(figure, samples[figure])


async def poll_table(bench: Bench) -> None:
    """Measure a poll beside very many runs in the table, in turn with one beside none."""
    contender, count = bench.background, bench.scale("table")
    crowded = type(contender)()
    await crowded.open(replace(bench.setting, table="bench_crowded"))
    session = new_name("session")
    run = await _ended_run(crowded, session)
    await crowded.fill(run, None, count)
    alone = (await _ended_run(contender, session), session)
    samples = await _poll_in_turn(
        bench, {"poll_alone": (contender, alone), "poll_table": (crowded, (run, session))}
    )
    for figure in samples:
        bench.found(figure, samples[figure], runs=count)
    await crowded.close()


async def _ended_run(contender: BackgroundContender, session: str) -> str:
    run = await contender.submit(QUESTION, session)
    await contender.ended(run, session)
    return run


async def _poll_in_turn(
    bench: Bench, runs: dict[str, tuple[BackgroundContender, tuple[str, str]]]
) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {figure: [] for figure in runs}
    turns, end = list(runs), time.monotonic() + bench.setting.scale["seconds"]
    for turn in range(bench.scale("poll")):
        random.shuffle(turns)
        for figure in turns:
            contender, (run, session) = runs[figure]
            began = time.monotonic()
            await contender.poll(run, session)
            if turn > 0:
                samples[figure].append(time.monotonic() - began)
        if time.monotonic() > end:
            break
    return samples


async def memory(bench: Bench) -> None:
    """Measure how much the process grows with each run that waits for its model.

    It submits for as long as ``memory_seconds`` allow. The process must end after this.
    """
    contender, wanted = bench.contender, bench.scale("memory")
    await closed_loop(contender, _WARM_UP, _WARM_UP)
    before = _resident()
    end = time.monotonic() + bench.setting.scale["memory_seconds"]
    tasks: list[asyncio.Task[object]] = []
    submitted = held = 0
    while held == submitted < wanted and time.monotonic() < end:
        batch = [asyncio.create_task(_hang(contender)) for _ in range(min(50, wanted - submitted))]
        tasks += batch
        submitted += len(batch)
        if contender.background:
            await asyncio.wait(batch)
        held = await bench.stand_in.holding(submitted, timeout=10.0)
    grown = _resident() - before
    if held < submitted:
        bench.results.append(
            {"figure": "memory", "reason": f"only {held} of {submitted} calls reached the model"}
        )
    else:
        bench.found("memory", [grown / submitted / 1024], runs=submitted)


def _hang(contender: Contender) -> Coroutine[object, object, object]:
    text, session = "Wait 600 s.", new_name("session")
    if isinstance(contender, BackgroundContender):
        return contender.submit(text, session)
    return contender.run(text, session)


def _resident() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)
