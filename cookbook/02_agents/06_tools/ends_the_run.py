"""A tool whose result is the answer: shown to the user, or ending the run at once."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(stop_after_tool_call=True)
def ticket(place: str) -> str:
    """Print a ticket."""
    return f"[ TICKET | {place} | row 7 ]"


@tool(show_result=True)
def seating(place: str) -> str:
    """Show which seats are free."""
    return "x x _ _ x\n"


box_office = Agent(
    name="Box office", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[ticket, seating]
)

if __name__ == "__main__":
    run = box_office.run("One for the opera, whatever row.")
    print("the result is the answer:", run.content)
    run = box_office.run("Which seats are free at the opera?")
    print("result and answer:", repr(run.content))
