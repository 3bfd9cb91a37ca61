"""The asynchronous databases: their methods are awaited, everything else is the same."""

import asyncio

from kern.agent import Agent
from kern.db.base import SessionType
from kern.db.sqlite import AsyncSqliteDb
from kern.models.openai import OpenAIResponses

db = AsyncSqliteDb(db_file="tmp/radio.db")
host = Agent(
    name="Radio host", model=OpenAIResponses(id="gpt-5.4-mini"), db=db, add_history_to_context=True
)


async def main() -> None:
    """Run twice, and read the session in two ways."""
    await host.arun("Announce the weather.", session_id="show", user_id="dj")
    await host.arun("And the traffic.", session_id="show", user_id="dj")

    session = await db.get_session("show", session_type=SessionType.AGENT, user_id="dj")
    print(session.session_id, [run.content for run in session.runs])
    history = await host.aget_chat_history(session_id="show")
    print(len(history), "messages")
    await host.aset_session_name(session_id="show", session_name="Morning show")
    print(await host.aget_session_name(session_id="show"))
    await host.adelete_session("show")
    print(await host.aget_session(session_id="show"))


if __name__ == "__main__":
    asyncio.run(main())
