"""Whose conversation is it? A script's agent goes on with its own; others are carried explicitly.

An agent that is made in `__main__` continues, in the foreground, the conversation that it began.
A server imports its agents: there each run without a `session_id` begins a new one, so that two
requests never share one by accident. `agent.conversation()` carries one, anywhere.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

barista = Agent(
    name="Barista",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/coffee.db"),
    add_history_to_context=True,
)

if __name__ == "__main__":
    first = barista.run("A flat white, please.")
    second = barista.run("With oat milk.")
    print("the script's own:", first.session_id == second.session_id == barista.session_id)
    print("messages so far:", len(barista.get_chat_history()))

    ada, bob = barista.conversation(user_id="ada"), barista.conversation(user_id="bob")
    ada.run("An espresso.")
    bob.run("Tea, if you have any.")
    again = ada.run("Make it a double.")
    print("ada's alone:", [m.content for m in again.messages if m.role == "user"])
    print("all different:", len({first.session_id, ada.session_id, bob.session_id}) == 3)
