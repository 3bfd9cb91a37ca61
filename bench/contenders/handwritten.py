"""The program that one writes by hand for this one purpose: insert, raw HTTP call, update.

What it lacks (retries, leases, cancel, events, order within a session) is what a library is for.
"""

import asyncio
import time
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from typing_extensions import override

from bench.contenders.common import BackgroundContender, Setting, main
from bench.contenders.contender import INSTRUCTIONS

_MODEL = "gpt-5-mini"

_TABLE = """
CREATE TABLE {table} (
    run_id uuid PRIMARY KEY, session_id text NOT NULL, status text NOT NULL, input text NOT NULL,
    output text, created_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz
)
"""
_INSERT = "INSERT INTO {table} (run_id, session_id, status, input) VALUES ($1, $2, 'running', $3)"
_UPDATE = "UPDATE {table} SET status = $2, output = $3, ended_at = now() WHERE run_id = $1"

_MOMENT = {
    "type": "function",
    "name": "moment",
    "description": "Return the time.",
    "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    "strict": False,
}


class Handwritten(BackgroundContender):
    """Rows that last, and tasks that last as long as the process."""

    calls_too = True

    @override
    async def open(self, setting: Setting) -> None:
        self._url = f"{setting.model}/responses"
        self._pool = await asyncpg.create_pool(setting.database)
        await self._pool.execute(_TABLE.format(table=setting.table))
        self._insert, self._update = (
            statement.format(table=setting.table) for statement in (_INSERT, _UPDATE)
        )
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=setting.connections),
            timeout=aiohttp.ClientTimeout(total=600),
            headers={"Authorization": "Bearer none"},
        )
        self._tasks: dict[str, asyncio.Task[str]] = {}

    @override
    async def submit(self, text: str, session: str) -> str:
        run_id = str(uuid4())
        await self._pool.execute(self._insert, run_id, session, text)
        self._tasks[run_id] = asyncio.create_task(self._carry_out(run_id, text))
        return run_id

    @override
    async def ended(self, run_id: str, session: str) -> str:
        return await self._tasks.pop(run_id)

    @override
    async def steps(self, count: int) -> list[float]:
        """Make the calls alone, and write nothing down: what that costs is on the wire."""
        spent: list[float] = []
        items: list[dict[str, Any]] = [{"role": "user", "content": f"Call {count} times."}]
        while True:
            output = (await self._ask(items, tools=[_MOMENT]))["output"]
            calls = [item for item in output if item["type"] == "function_call"]
            if not calls:
                return spent
            items += output
            for call in calls:
                spent.append(time.process_time())
                result = {"call_id": call["call_id"], "output": "It is noon."}
                items.append({"type": "function_call_output", **result})

    @override
    async def close(self) -> None:
        await self._http.close()
        await self._pool.close()

    async def _carry_out(self, run_id: str, text: str) -> str:
        try:
            output, status = _text((await self._ask(text))["output"]), "completed"
        except (aiohttp.ClientError, TimeoutError) as error:
            output, status = str(error), "error"
        await self._pool.execute(self._update, run_id, status, output)
        return status

    async def _ask(self, given: str | list[dict[str, Any]], **more: object) -> dict[str, Any]:
        body = {"model": _MODEL, "instructions": INSTRUCTIONS, "input": given, **more}
        async with self._http.post(self._url, json=body) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer


def _text(items: list[dict[str, Any]]) -> str:
    return "".join(
        part["text"] for item in items if item["type"] == "message" for part in item["content"]
    )


if __name__ == "__main__":
    main(Handwritten)
