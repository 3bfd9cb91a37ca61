"""The command line of a contender: measures what it is told, and prints a JSON object a figure."""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable

from bench.contenders.across import fleet
from bench.contenders.contender import BackgroundContender, Contender, Setting
from bench.contenders.inside import readers, steps
from bench.contenders.measures import (
    Bench,
    cancel,
    latency,
    memory,
    poll,
    poll_table,
    throughput,
)

_MEASURES: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "latency": latency,
    "throughput": throughput,
    "cancel_here": cancel,
    "poll": poll,
    "poll_table": poll_table,
    "memory": memory,
    "fleet": fleet,
    "cancel_elsewhere": fleet,
    "events": fleet,
    "take_over": fleet,
    "readers": readers,
    "steps": steps,
}


def main(kind: type[Contender]) -> None:
    """Do what the first argument, a :class:`Setting` as JSON, says; then end at once."""
    setting = Setting.from_json(sys.argv[1])
    code = 0
    try:
        asyncio.run(_work(kind(), setting) if setting.role == "work" else _measure(kind(), setting))
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Runs may hang, and nobody waits for them.
    os._exit(code)


async def _work(contender: Contender, setting: Setting) -> None:
    await contender.open(setting)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _measure(contender: Contender, setting: Setting) -> None:
    await contender.open(setting)
    bench = Bench(contender, setting)
    try:
        for measure in dict.fromkeys(_MEASURES[figure] for figure in setting.figures):
            await measure(bench)
            for result in bench.results:
                _print(result)
            bench.results.clear()
    except Exception as error:
        # What hangs would keep the loop from ending.
        traceback.print_exc()
        _print({"figure": "failure", "reason": f"{type(error).__name__}: {error}"})
        sys.stderr.flush()
        os._exit(1)
    if "memory" in setting.figures:
        sys.stdout.flush()
        os._exit(0)
    await contender.close()


def _print(result: dict[str, object]) -> None:
    print(json.dumps(result), flush=True)


__all__ = ["BackgroundContender", "Contender", "Setting", "main"]
