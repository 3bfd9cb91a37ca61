"""Dependencies that a type checker knows: Agent[Deps, Output], and the tools' RunContext[Deps]."""

from typing import TypedDict

from pydantic import BaseModel

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


class Deps(TypedDict):
    """What the tools of this agent are given."""

    rates: dict[str, float]
    fee: float


class Exchange(BaseModel):
    """What a customer gets."""

    amount: float
    currency: str


def exchange(run_context: RunContext[Deps], euros: float, currency: str) -> float:
    """Exchange euros."""
    deps = run_context.dependencies
    return round((euros - deps["fee"]) * deps["rates"][currency], 2)


office: Agent[Deps, Exchange] = Agent(
    name="Exchange office",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[exchange],
    dependencies={"rates": {"DKK": 7.46, "PLN": 4.3}, "fee": 2.0},
    output_schema=Exchange,
)

if __name__ == "__main__":
    run = office.run("100 euros into Danish crowns, please.")
    print(run.tools[0].result)
    print(run.content.amount, run.content.currency)
