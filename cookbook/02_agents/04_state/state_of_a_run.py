"""State that a run brings along: it is merged over what is stored, and wins.

`current_user_id`, `current_session_id` and `current_run_id` are there while the run executes, for
tools and instructions, and are not stored.
"""

from kern.agent import Agent, RunCompletedEvent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def greet(run_context: RunContext) -> str:
    """Greet the guest by the state of this run."""
    state = run_context.session_state
    return f"{state['greeting']}, {state['current_user_id']}! Table {state['table']}."


waiter = Agent(
    name="Waiter",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/tables.db"),
    tools=[greet],
    session_state={"greeting": "Good evening", "table": None},
    add_session_state_to_context=True,
)

if __name__ == "__main__":
    where = {"session_id": "table-four", "user_id": "Vera"}
    waiter.run("Greet the guest.", session_state={"table": 4}, **where)
    print("stored:", sorted(waiter.get_session_state(session_id="table-four").items()))

    events = waiter.run(
        "Once more.",
        session_state={"greeting": "Good night"},
        stream=True,
        stream_events=True,
        **where,
    )
    for event in events:
        if isinstance(event, RunCompletedEvent):
            print("of the event:", sorted(event.session_state.items()))
