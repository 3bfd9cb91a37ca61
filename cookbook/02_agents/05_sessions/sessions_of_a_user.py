"""Find, rename and delete a user's sessions in the database; another user's are not there."""

from kern.agent import Agent
from kern.db.base import SessionType
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

db = SqliteDb(db_file="tmp/travel.db", session_table="travel_sessions")
agent = Agent(name="Travel agent", model=OpenAIResponses(id="gpt-5.4-mini"), db=db)


def show(user_id: str) -> None:
    """Print a user's sessions, the newest first."""
    sessions = db.get_sessions(
        session_type=SessionType.AGENT,
        user_id=user_id,
        sort_by="created_at",
        sort_order="desc",
        limit=10,
    )
    names = [(s.session_data or {}).get("session_name") or s.session_id for s in sessions]
    print(f"{user_id}: {names}")


if __name__ == "__main__":
    for user_id, session_id in (("ann", "rome"), ("ann", "oslo"), ("ben", "lima")):
        agent.run(f"A day in {session_id.title()}?", session_id=session_id, user_id=user_id)
    show("ann")
    db.rename_session("rome", SessionType.AGENT, "Rome in May")
    show("ann")

    print("Ben's, asked by Ann:", agent.get_session(session_id="lima", user_id="ann"))
    db.delete_session("oslo")
    agent.delete_session("lima", user_id="ben")
    show("ann")
    show("ben")
