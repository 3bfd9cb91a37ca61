"""Calls that go wrong: the model is told what was wrong, and the run goes on.

Arguments that do not fit never reach the function. What a tool raises is logged at WARNING.
"""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses


def split_bill(total: float, people: int) -> str:
    """Split a bill.

    Args:
        total: in euros.
        people: how many pay.
    """
    print("called with", people)
    return f"{total / people:.2f} euros each"


cashier = Agent(name="Cashier", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[split_bill])

if __name__ == "__main__":
    run = cashier.run("Split 90 euros.")
    for tool in run.tools:
        print(tool.tool_call_error, tool.result.splitlines()[0])
    print(run.status.value, run.content)
