"""LangGraph's agent with its PostgreSQL checkpointer over a connection pool.

Source: https://docs.langchain.com/oss/python/langgraph/persistence and
https://pypi.org/project/langgraph-checkpoint-postgres/ (the connection's arguments).
"""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from typing_extensions import override

from bench.contenders.common import Contender, Setting, main
from bench.contenders.contender import INSTRUCTIONS
from bench.contenders.openai_client import MODEL, open_client

_POOL = 20


class LangGraphPostgres(Contender):
    """Calls, each step of which is kept."""

    background = False
    in_flight = 32

    @override
    async def open(self, setting: Setting) -> None:
        self._pool = AsyncConnectionPool(
            setting.database,
            min_size=_POOL,
            max_size=_POOL,
            # A pool that is too small for 5,000 calls lets them wait, not fail.
            timeout=300,
            open=False,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        )
        await self._pool.open(wait=True)
        saver = AsyncPostgresSaver(self._pool)
        await saver.setup()
        client = open_client(setting)
        model = ChatOpenAI(
            model=MODEL,
            api_key="none",
            base_url=setting.model,
            use_responses_api=True,
            http_async_client=client._client,
        )
        self._agent = create_agent(model, system_prompt=INSTRUCTIONS, checkpointer=saver)

    @override
    async def run(self, text: str, session: str) -> None:
        result = await self._agent.ainvoke(
            {"messages": [{"role": "user", "content": text}]},
            {"configurable": {"thread_id": session}},
        )
        assert result["messages"][-1].text

    @override
    async def close(self) -> None:
        await self._pool.close()


if __name__ == "__main__":
    main(LangGraphPostgres)
