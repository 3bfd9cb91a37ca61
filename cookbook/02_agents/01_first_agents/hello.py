"""An agent that answers in the terminal: at once as a whole, then piece by piece."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

guide = Agent(
    name="Museum guide",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    description="You know the museums of Europe.",
    instructions="Answer in one or two sentences.",
    markdown=True,
)

if __name__ == "__main__":
    guide.print_response("Where is the Rosetta Stone shown?")
    guide.print_response("And where is the Night Watch?", stream=True)
