"""A long conversation: its oldest messages are summed up, the last ones stay as they were said."""

from kern.agent import Agent
from kern.compression import Compaction
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

gardener = Agent(
    name="Gardener",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/gardener.db"),
    session_id="garden",
    add_history_to_context=True,
    num_history_runs=50,
    # So low that a short script gets there; by default from 100,000 tokens on.
    compaction=Compaction(max_tokens=None, max_turns=3, keep_turns=1),
)

if __name__ == "__main__":
    for question in ("I have clay soil.", "And much shade.", "No roses, please.", "So what?"):
        run = gardener.run(question)
        print(run.content)
    print("told now:", run.compaction["summary"])
    print("said so far:", len(gardener.get_chat_history()), "messages")
