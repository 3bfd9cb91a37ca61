"""A run that pauses before a call until a person has allowed it; without a database, too.

The run is handed back PAUSED, with what it waits for. Answer that, and pass the run on.
"""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True)
def fell(tree: str) -> str:
    """Fell a tree.

    Args:
        tree: which one.
    """
    print("felling:", tree)
    return f"The {tree} is down."


forester = Agent(name="Forester", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[fell])

if __name__ == "__main__":
    run = forester.run("The old ash leans over the path.")
    print(run.status.value, run.is_paused)
    for requirement in run.active_requirements:
        call = requirement.tool_execution
        print("asks for:", call.tool_name, call.tool_args)
        requirement.confirm()
    run = forester.continue_run(run_response=run)
    print(run.status.value, run.content)

    run = forester.run("And the oak takes the light.")
    for requirement in run.active_requirements:
        requirement.reject("It is two hundred years old.")
    run = forester.continue_run(run_response=run)
    print(run.status.value, run.content)
