"""A question that can be answered for a while only: after that the call counts as rejected."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True, expires_in=0.5, on_expiry="reject")
def bid(lot: int, euros: int) -> str:
    """Bid at the auction.

    Args:
        lot: for what.
        euros: how much.
    """
    return "The hammer falls."


bidder = Agent(
    name="Bidder",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/auction.db"),
    tools=[bid],
)

if __name__ == "__main__":
    bidder.run("Lot 7 is a clock.", run_id="lot-7", background=True)
    run = bidder.wait_run("lot-7")
    [requirement] = run.active_requirements
    print(run.status.value, round(requirement.expires_at - requirement.created_at, 1))

    run = bidder.wait_run("lot-7", until="end")  # nobody answers
    print(run.status.value, run.tools[0].tool_call_error, run.content)
