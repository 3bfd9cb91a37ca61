"""A hook that asks for what there is not is refused when the agent is made, not when it runs."""

from kern.agent import Agent
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses


def check(run_inputs: object) -> None:
    """Ask for run_inputs, where run_input is meant."""


def make() -> Agent:
    """Make an agent with that hook."""
    return Agent(name="Checker", model=OpenAIResponses(id="gpt-5.4-mini"), pre_hooks=[check])


if __name__ == "__main__":
    try:
        make()
    except ConfigurationError as error:
        print(error)
