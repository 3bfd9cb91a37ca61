"""What a session knows: its runs, messages, chat, name and what it has used."""

from kern.agent import Agent, AgentSession
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def opening_hours(day: str) -> str:
    """Tell when the pool is open.

    Args:
        day: a day of the week.
    """
    return "9 to 21" if day != "Monday" else "closed"


attendant = Agent(
    name="Pool attendant",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/pool.db"),
    tools=[opening_hours],
    add_history_to_context=True,
)

if __name__ == "__main__":
    attendant.run("Open on Monday?", session_id="swim", user_id="kim")
    attendant.run("Is the water warm?", session_id="swim", user_id="kim")

    session = attendant.get_session(session_id="swim")
    assert isinstance(session, AgentSession)
    print(session.session_id, session.user_id, len(session.runs), "runs")
    print([tool["function"]["name"] for tool in session.get_tool_calls(5)])

    attendant.set_session_name(session_id="swim", session_name="Swimming on Monday")
    print(attendant.get_session_name(session_id="swim"))
    for message in attendant.get_chat_history(session_id="swim"):
        print(f"  {message.role}: {message.get_content_string()}")
    messages = attendant.get_session_messages(session_id="swim", skip_roles=["system"])
    print([message.role for message in messages])
    print("last:", attendant.get_last_run_output(session_id="swim").content)
    print("tokens:", attendant.get_session_metrics(session_id="swim").total_tokens)
