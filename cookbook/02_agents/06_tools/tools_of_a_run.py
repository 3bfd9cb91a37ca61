"""Tools that a function chooses for each run: the night shift opens the gate, guests ring."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def ring() -> str:
    """Ring the bell at the gate."""
    return "It rings."


def open_gate() -> str:
    """Open the gate."""
    return "It is open."


def tools_for(run_context: RunContext) -> list[object]:
    """Return the tools of this run's user; called at the start of each run."""
    return [ring, open_gate] if run_context.user_id == "night shift" else [ring]


gatekeeper = Agent(
    name="Gatekeeper",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=tools_for,
    cache_callables=False,
)

if __name__ == "__main__":
    for user in ("a guest", "night shift"):
        run = gatekeeper.run("Let me in.", user_id=user)
        print(f"{user}: {[tool.tool_name for tool in run.tools]} {run.content}")
