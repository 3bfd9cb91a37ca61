"""What a process does that is asked by the soak: it submits, cancels and waits.

A question is a JSON object a line, and so is its answer, which may come later than others.
"""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from kern.run.agent import RunOutput
from tests.soak.agents import agent, ledger


async def answer_all(questions: asyncio.StreamReader, tell: Callable[[str], object]) -> None:
    """Answer until there are no more questions."""
    answering = set()
    async for line in questions:
        task = asyncio.create_task(_answer(json.loads(line), tell))
        answering.add(task)
        task.add_done_callback(answering.discard)


async def _answer(question: dict[str, Any], tell: Callable[[str], object]) -> None:
    answer: dict[str, object] = {"number": question["number"]}
    try:
        answer["answer"] = await _do(question)
    except Exception as error:
        answer["error"], answer["message"] = type(error).__name__, str(error)
    tell(json.dumps(answer) + "\n")


async def _do(question: dict[str, Any]) -> object:
    run_id = question["run_id"]
    match question["do"]:
        case "submit":
            await _submit(run_id, question["input"], question["options"])
            return None
        case "cancel":
            return await agent.acancel_run(run_id)
        case "wait":
            return _shown(await agent.await_run(run_id))
        case "look":
            return _shown(await agent.aget_run_output(run_id))
    raise AssertionError(question)


async def _submit(run_id: str, input: str, options: dict[str, Any]) -> None:
    """Submit a run; a line of the ledger before and one after say in which order that was done."""
    if (delay := options.pop("delay", None)) is not None:
        options["run_at"] = datetime.now(UTC) + timedelta(seconds=delay)
    ledger.write("submit", run=run_id)
    await agent.arun(input, background=True, run_id=run_id, **options)
    ledger.write("accepted", run=run_id)


def _shown(run: RunOutput | None) -> object:
    return None if run is None else [run.status, run.content, run.error]
