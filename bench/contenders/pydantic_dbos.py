"""pydantic-ai on DBOS, its system database on PostgreSQL.

Source: https://ai.pydantic.dev/durable_execution/dbos (the durable agent),
https://docs.dbos.dev/python/tutorials/queue-tutorial and
https://docs.dbos.dev/python/examples/queue-worker (workers) and
https://docs.dbos.dev/production/self-hosting/workflow-recovery (after a crash).
"""

import contextlib
from typing import Any

from dbos import DBOS, DBOSClient, WorkflowHandleAsync
from pydantic_ai import Agent
from pydantic_ai.durable_exec.dbos import DBOSDurability
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from typing_extensions import override

from bench.contenders.common import BackgroundContender, Setting, main
from bench.contenders.contender import INSTRUCTIONS
from bench.contenders.openai_client import MODEL, open_client

_QUEUE = "bench"

# Both are 1 s by default: how often workers look for runs, and submitters for an end.
_INTERVAL = 0.1


class PydanticDbos(BackgroundContender):
    """Durable workflows: started in the process, or enqueued for workers."""

    takes_over = "restart"

    @override
    async def open(self, setting: Setting) -> None:
        self._client: DBOSClient | None = None
        self._handles: dict[str, WorkflowHandleAsync[Any]] = {}
        self._cancelled: set[str] = set()
        if setting.role == "submit":
            self._client = DBOSClient(system_database_url=setting.database)
            return
        DBOS(
            config={
                "name": "bench",
                "system_database_url": setting.database,
                "application_version": "bench",
                "executor_id": setting.worker,
                "log_level": "WARNING",
            }
        )
        provider = OpenAIProvider(openai_client=open_client(setting))
        agent = Agent(
            OpenAIResponsesModel(MODEL, provider=provider),
            name="bench",
            instructions=INSTRUCTIONS,
            capabilities=[DBOSDurability()],
        )

        @DBOS.workflow(name="answer")
        async def answer(text: str) -> str:
            return (await agent.run(text)).output

        self._answer = answer
        if setting.role == "all":
            DBOS.launch()
        else:
            DBOS.listen_queues([_QUEUE])
            DBOS.launch()
            await DBOS.register_queue_async(_QUEUE, polling_interval_sec=_INTERVAL)

    @override
    async def submit(self, text: str, session: str) -> str:
        handle: WorkflowHandleAsync[Any]
        if self._client:
            handle = await self._client.enqueue_async(
                {"workflow_name": "answer", "queue_name": _QUEUE, "app_version": "bench"}, text
            )
        else:
            handle = await DBOS.start_workflow_async(self._answer, text)
        self._handles[handle.workflow_id] = handle
        return handle.workflow_id

    @override
    async def ended(self, run_id: str, session: str) -> str:
        handle = self._handles[run_id]
        if run_id not in self._cancelled:
            await handle.get_result(polling_interval_sec=_INTERVAL)
            del self._handles[run_id]
            return "completed"
        while (status := (await handle.get_status()).status) == "PENDING":
            continue
        return status.lower()

    @override
    async def poll(self, run_id: str, session: str) -> None:
        handle: WorkflowHandleAsync[Any] = await DBOS.retrieve_workflow_async(run_id)
        assert (await handle.get_status()).output

    @override
    async def cancel(self, run_id: str) -> None:
        self._cancelled.add(run_id)
        if self._client:
            await self._client.cancel_workflow_async(run_id)
        else:
            await DBOS.cancel_workflow_async(run_id)

    @override
    async def close(self) -> None:
        if self._client:
            self._client.destroy()
        else:
            with contextlib.suppress(Exception):
                DBOS.destroy()


if __name__ == "__main__":
    main(PydanticDbos)
