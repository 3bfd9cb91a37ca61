"""A call that is made elsewhere: the run waits for its result, and never calls the function."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(external_execution=True)
def read_meter(flat: int) -> str:
    """Read the electricity meter of a flat.

    Args:
        flat: its number.
    """
    raise NotImplementedError("The caretaker does this.")


landlord = Agent(name="Landlord", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[read_meter])

if __name__ == "__main__":
    run = landlord.run("What do flats 3 and 4 use?")
    print("waits for:", [call.tool_args for call in run.tools_awaiting_external_execution])
    for requirement in run.active_requirements:
        if requirement.needs_external_execution:
            flat = requirement.tool_execution.tool_args["flat"]
            requirement.set_external_execution_result(f"{flat * 1000} kWh")
    run = landlord.continue_run(run_response=run)
    print([call.result for call in run.tools])
    print(run.content)
