"""The parts of the system message, each a keyword, in the order in which the model reads them."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

curator = Agent(
    name="Curator",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    description="You write labels for a museum of clocks.",
    role="Explain each clock to a visitor of twelve years.",
    instructions=[
        "Name the century.",
        "Say what is special about the works.",
        "Leave prices out.",
    ],
    expected_output="One paragraph of at most forty words.",
    additional_context="The hall is dark: labels are read at arm's length.",
    add_name_to_context=True,
    use_instruction_tags=True,
    markdown=True,
)

if __name__ == "__main__":
    run = curator.run("A water clock from Damascus.")
    print(run.messages[0].content)
    print("-" * 40)
    print(run.content)
