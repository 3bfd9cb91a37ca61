"""A toolkit: methods that share something, with instructions of their own; all or some of them."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools import Toolkit


class Bakery(Toolkit):
    """What a bakery's till can do."""

    def __init__(self, prices: dict[str, float], **options: object) -> None:
        self.prices = prices
        self.sold: list[str] = []
        super().__init__(
            name="bakery",
            tools=[self.price, self.sell, self.close_till],
            instructions="Tell the price before you sell.",
            add_instructions=True,
            **options,
        )

    def price(self, bread: str) -> float:
        """Tell what a bread costs."""
        return self.prices[bread]

    def sell(self, bread: str) -> str:
        """Sell a bread."""
        self.sold.append(bread)
        return f"sold: {', '.join(self.sold)}"

    def close_till(self) -> str:
        """Close the till for the day."""
        return f"{sum(self.prices[each] for each in self.sold)} euros"


till = Bakery({"rye": 4.2, "wheat": 3.1}, exclude_tools=["close_till"])
baker = Agent(name="Baker", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[till])

if __name__ == "__main__":
    print(sorted(till.functions))
    run = baker.run("A rye bread, please.")
    print(run.messages[0].content)
    print([tool.result for tool in run.tools], till.sold)
    print(run.content)
