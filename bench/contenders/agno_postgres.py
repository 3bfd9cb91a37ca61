"""agno's background runs on PostgreSQL.

Source: https://docs.agno.com/background-execution/overview (submit and poll),
https://docs.agno.com/execution-control/run-cancellation (cancel) and the documentation of its
databases. Its limit of runs at once is left at its default where throughput is measured.
"""

import asyncio
import os
from dataclasses import replace

from agno.agent import Agent
from agno.db.postgres import PostgresDb
from agno.models.openai import OpenAIResponses
from agno.run.base import RunStatus
from typing_extensions import override

from bench.contenders.common import BackgroundContender, Setting, main
from bench.contenders.contender import INSTRUCTIONS
from bench.contenders.openai_client import MODEL, open_client
from bench.contenders.standin import new_name

# It tells nobody of a run's end. Only the oldest run is polled, so this costs little.
_INTERVAL = 0.02


class AgnoPostgres(BackgroundContender):
    """Background runs that last as long as the process, kept in PostgreSQL."""

    # It executes no more at once, and does more a second where no others wait.
    in_flight = 32
    largest_session = 1000

    @override
    async def open(self, setting: Setting) -> None:
        if "memory" in setting.figures:
            os.environ["AGNO_BACKGROUND_MAX_CONCURRENCY"] = "0"
        self._db = PostgresDb(
            db_url=setting.database.replace("://", "+psycopg://"), session_table=setting.table
        )
        self._agent = Agent(
            name="Bench",
            model=OpenAIResponses(id=MODEL, async_client=open_client(setting)),
            instructions=INSTRUCTIONS,
            db=self._db,
            telemetry=False,
        )
        self._turn = asyncio.Lock()

    @override
    async def submit(self, text: str, session: str) -> str:
        run = await self._agent.arun(text, session_id=session, background=True)
        return str(run.run_id)

    @override
    async def ended(self, run_id: str, session: str) -> str:
        async with self._turn:  # Those who wait are served in order, the oldest first.
            while True:
                run = await self._agent.aget_run_output(run_id, session)
                if run and run.status not in (RunStatus.pending, RunStatus.running):
                    return str(run.status.value).lower()
                await asyncio.sleep(_INTERVAL)

    @override
    async def poll(self, run_id: str, session: str) -> None:
        assert await self._agent.aget_run_output(run_id, session)

    @override
    async def cancel(self, run_id: str) -> None:
        assert await self._agent.acancel_run(run_id)

    @override
    async def fill(self, run_id: str, session: str | None, count: int) -> None:
        run = await self._agent.aget_run_output(run_id, session)
        assert run is not None
        assert session is not None
        for number in range(count):
            copy = replace(run, run_id=new_name("copy"))
            self._db.upsert_run(copy, session_id=session, run_index=number + 1)


if __name__ == "__main__":
    main(AgnoPostgres)
