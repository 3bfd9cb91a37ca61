"""Allow a call with other arguments, and say something to the model along with it.

The model's message stays as the model wrote it; the call is made with what the person wrote.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True)
def order_flour(kilos: int, sort: str) -> str:
    """Order flour.

    Args:
        kilos: how much.
        sort: which sort.
    """
    return f"{kilos} kg of {sort} flour come on Monday."


baker = Agent(
    name="Baker",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/flour.db"),
    tools=[order_flour],
)

if __name__ == "__main__":
    run = baker.run("We run out of flour.")
    [requirement] = run.active_requirements
    print("asks for:", requirement.tool_execution.tool_args)

    requirement.confirm(tool_args={"kilos": 50, "sort": "rye"})
    run = baker.continue_run(
        run_id=run.run_id,
        session_id=run.session_id,
        requirements=run.requirements,
        input="From now on never order more than 50 kg.",
    )
    print("was made:", run.tools[0].result)
    print(run.content)
