"""What is measured of the inside of a run: readers of its text, and what its steps cost."""

import asyncio
import statistics

from bench.contenders.measures import Bench, closed_loop, spent
from bench.contenders.standin import new_name

_WARM_UP = 32

# The turns that are compared, counted from 1 and from behind; the very first and last pay for what
# a run does once.
_EARLY = slice(4, 45)
_LATE = slice(-46, -5)

# How many of the delays are kept, from the least to the greatest: they are 10,000 a round.
_KEPT = 200


async def readers(bench: Bench) -> None:
    """Measure what it costs to read runs that stream, beside the same runs without readers.

    The readers are in the process that executes the runs.
    """
    await closed_loop(bench.contender, _WARM_UP, _WARM_UP)
    await _read(bench, new_name("warm-up"), 1)  # The first stream builds the SDK's types.
    for suffix, count in (("_alone", 0), ("", bench.scale("readers"))):
        marks = [new_name("readers") for _ in range(bench.scale("streams"))]
        statements = bench.background.statements()
        before = await spent(bench)
        found = await asyncio.gather(*(_read(bench, mark, count) for mark in marks))
        own, postgres, _ = (
            after - begun for after, begun in zip(await spent(bench), before, strict=True)
        )
        for figure, value in {
            "processor": own,
            "postgres": postgres,
            "statements": bench.background.statements() - statements,
        }.items():
            bench.found(f"readers_{figure}{suffix}", [value / len(marks)], runs=len(marks))
    delays: list[float] = []
    for mark, texts in zip(marks, found, strict=True):
        sent = await bench.stand_in.sent(mark)
        for text in texts:
            delays += _delays(sent, text)
    bench.found("readers", statistics.quantiles(delays, n=_KEPT, method="inclusive"))


async def _read(bench: Bench, mark: str, readers: int) -> list[list[tuple[float, str]]]:
    """Submit a run that streams its answer, and return what each reader has read of it."""
    contender, session = bench.background, new_name("session")
    submit = contender.submit_streamed if readers else contender.submit
    run = await submit(f"Say {bench.scale('pieces')} pieces. #{mark}", session)
    ended = asyncio.create_task(contender.ended(run, session))
    texts = await asyncio.gather(*(contender.texts(run) for _ in range(readers)))
    if (status := await ended) != "completed":
        raise RuntimeError(f"a run that streams ended {status}")
    return texts


def _delays(sent: list[float], text: list[tuple[float, str]]) -> list[float]:
    """Return how long each piece was under way; a reader may have several of them in one."""
    read = [moment for moment, piece in text for _ in piece.split()]
    return [moment - begun for moment, begun in zip(read, sent, strict=True)]


async def steps(bench: Bench) -> None:
    """Measure the processor time of a turn with a tool call, early and late in a long run."""
    moments = await bench.background.steps(bench.scale("steps"))
    for figure, turns in (("early", _EARLY), ("late", _LATE)):
        first, *_, last = chosen = moments[turns]
        bench.found(f"steps_{figure}", [(last - first) / (len(chosen) - 1)])
