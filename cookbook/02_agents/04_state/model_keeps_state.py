"""Let the model keep the state itself: it is shown the state, and given a tool to change it."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

trainer = Agent(
    name="Trainer",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/training.db"),
    instructions="Remember the runner's goal and how far they ran last.",
    session_state={"goal_km": None, "last_km": None},
    add_session_state_to_context=True,
    enable_agentic_state=True,
)

if __name__ == "__main__":
    print(trainer.run("I want to run 10 km, and did 4 today.", session_id="jogging").content)
    state = trainer.get_session_state(session_id="jogging")
    print(state["goal_km"], state["last_km"])
    print(trainer.run("How far am I?", session_id="jogging").content)
