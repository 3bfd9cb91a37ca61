"""What can be a hook: a function, an asynchronous one, an object; each gets what it names."""

from kern.agent import Agent, AgentSession, RunOutput
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def count(run_context: RunContext) -> None:
    """Count the visits in the session's state, which is kept."""
    state = run_context.session_state
    state["visits"] = state.get("visits", 0) + 1


async def look_up(user_id: str, metadata: dict[str, object], session: AgentSession) -> None:
    """Asynchronous hooks are awaited."""
    print(f"{user_id} comes through the {metadata['door']}, to {session.session_id}")


class Longest:
    """An object that remembers the longest answer."""

    length = 0

    def __call__(self, run_output: RunOutput, run_context: RunContext) -> None:
        """Compare, and note it in the state."""
        self.length = max(self.length, len(run_output.content))
        run_context.session_state["longest"] = self.length


doorman = Agent(
    name="Doorman",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/door.db"),
    session_state={},
    metadata={"door": "front door"},
    pre_hooks=[count, look_up],
    post_hooks=[Longest()],
)

if __name__ == "__main__":
    doorman.run("Hello.", session_id="club", user_id="zoe")
    run = doorman.run("Is it full?", session_id="club", user_id="zoe", metadata={"door": "roof"})
    print(run.content)
    print(sorted(doorman.get_session_state(session_id="club").items()))
