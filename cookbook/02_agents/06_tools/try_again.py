"""A tool that sends the model back with advice, and one that ends the run."""

from kern.agent import Agent
from kern.exceptions import RetryAgentRun, StopAgentRun
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def order_paint(run_context: RunContext, litres: int) -> str:
    """Order paint for the fence.

    Args:
        litres: how much.
    """
    run_context.session_state["litres"] += litres
    total = run_context.session_state["litres"]
    if total < 5:
        raise RetryAgentRun(f"{total} litres are too little: the fence takes 5. Order the rest.")
    if total > 20:
        raise StopAgentRun("The shop has closed.", agent_message="Ordered more than there is.")
    return f"{total} litres are ordered"


painter = Agent(
    name="Painter",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[order_paint],
    session_state={"litres": 0},
)

if __name__ == "__main__":
    run = painter.run("Order paint for the fence.", session_id="fence")
    print([tool.tool_args["litres"] for tool in run.tools], run.content)
    run = painter.run("Order thirty litres.", session_id="barn")
    print(run.status.value, len(run.tools), "call")
