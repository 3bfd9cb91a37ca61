"""Time travel: begin a new run with the first messages of another one, or with its last question.

A number says how many messages are kept, so that no call of a tool loses its result;
`from_seq` says the same by the number of an event.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def dice(sides: int) -> int:
    """Throw the dice.

    Args:
        sides: how many sides they have.
    """
    print("thrown")
    return sides - 1


game = Agent(
    name="Game",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/game.db"),
    tools=[dice],
)

if __name__ == "__main__":
    run = game.run("I attack the dragon.", session_id="cave")
    print([message.role for message in run.messages], run.content)

    after = game.continue_run(run_id=run.run_id, session_id="cave", continue_from=3)
    print("after the throw:", [message.role for message in after.messages], after.content)

    before = game.continue_run(run_id=run.run_id, session_id="cave", continue_from="last_user")
    print("before it:", [message.role for message in before.messages], before.content)

    other = game.continue_run(
        run_id=run.run_id, session_id="cave", continue_from="end", input="I rest."
    )
    print("from the end:", [message.role for message in other.messages], other.content)
