"""Say who makes the summaries, and how."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.session import SessionSummaryManager

secretary = SessionSummaryManager(
    model=OpenAIResponses(id="gpt-5.4-nano"),
    session_summary_prompt="Note what was decided, in one sentence; leave greetings out.",
)

council = Agent(
    name="Council",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/council.db"),
    session_summary_manager=secretary,
    enable_session_summaries=True,
    add_session_summary_to_context=False,  # made, and not told
)

if __name__ == "__main__":
    council.run("We plant limes in Mill Road.", session_id="trees")
    run = council.run("And one oak.", session_id="trees")
    print(council.get_session_summary(session_id="trees").summary)
    told = [message.get_content_string() for message in run.messages]
    print("told:", any("limes" in each for each in told))
