"""A result that is kept on disk for a while: the second call of the same arguments is not made."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools import tool

CALLS: list[str] = []


@tool(cache_results=True, cache_dir="tmp/kept", cache_ttl=600)
def postage(country: str) -> str:
    """Look the postage to a country up, which takes the clerk a while.

    Args:
        country: its name.
    """
    CALLS.append(country)
    return {"Peru": "3.70", "Chad": "4.10"}[country]


counter = Agent(name="Post office", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[postage])

if __name__ == "__main__":
    for country in ("Peru", "Chad", "Peru"):
        run = counter.run(f"A letter to {country}?")
        print(country, run.tools[0].result, run.content)
    print("looked up:", CALLS)
