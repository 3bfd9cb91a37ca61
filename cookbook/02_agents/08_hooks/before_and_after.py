"""A hook before the run changes the input; one after it changes the answer."""

from kern.agent import Agent, RunOutput
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunInput


def expand(run_input: RunInput) -> None:
    """Write out what the stall's customers abbreviate."""
    text = run_input.input_content_string()
    run_input.input_content = text.replace("kg", "kilograms").replace("pls", "please")


def sign(run_output: RunOutput, agent: Agent) -> None:
    """Put the name under each answer."""
    run_output.content = f"{run_output.content}\n-- {agent.name}"


stall = Agent(
    name="Fruit stall",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    pre_hooks=[expand],
    post_hooks=[sign],
)

if __name__ == "__main__":
    run = stall.run("2 kg pears pls")
    print("asked:", run.messages[-2].content)
    print(run.content)
