"""A process that submits, cancels and waits, as its standard input says; it executes nothing.

A question is a JSON object a line, and so is its answer, which may come later than others.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from kern.run.agent import RunOutput
from tests.soak.agents import agent


async def _do(question: dict[str, Any]) -> object:
    run_id = question["run_id"]
    match question["do"]:
        case "submit":
            options = question["options"]
            if (delay := options.pop("delay", None)) is not None:
                options["run_at"] = datetime.now(UTC) + timedelta(seconds=delay)
            await agent.arun(question["input"], background=True, run_id=run_id, **options)
            return None
        case "cancel":
            return await agent.acancel_run(run_id)
        case "wait":
            return _shown(await agent.await_run(run_id))
        case "look":
            return _shown(await agent.aget_run_output(run_id))
    raise AssertionError(question)


def _shown(run: RunOutput | None) -> object:
    return None if run is None else [run.status, run.content, run.error]


async def _answer(question: dict[str, Any]) -> None:
    answer: dict[str, object] = {"number": question["number"]}
    try:
        answer["answer"] = await _do(question)
    except Exception as error:
        answer["error"], answer["message"] = type(error).__name__, str(error)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    answering = set()
    async for line in reader:
        task = asyncio.create_task(_answer(json.loads(line)))
        answering.add(task)
        task.add_done_callback(answering.discard)


if __name__ == "__main__":
    asyncio.run(_main())
