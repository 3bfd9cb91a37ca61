"""What an agent is at rest: JSON without keys; what has no JSON form is refused, or registered."""

import json

from stock import price

from kern.agent import Agent
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.registry import Registry


def gift_wrap(article: str) -> str:
    """Wrap an article.

    Args:
        article: its name.
    """
    return f"{article}, wrapped"


if __name__ == "__main__":
    model = OpenAIResponses(id="gpt-5.4-mini", api_key="sk-is-kept-nowhere")
    clerk = Agent(name="Clerk", model=model, tools=[price])
    print(json.dumps(clerk.to_dict(), indent=2))

    wrapper = Agent(
        name="Wrapper",
        model=model,
        tools=[price, gift_wrap],
        pre_hooks=[lambda run_input: None],
        dependencies={"till": 3},
    )
    try:
        wrapper.to_dict()
    except ConfigurationError as error:
        print(error)

    wrapper = Agent(name="Wrapper", model=model, tools=[price, gift_wrap])
    registry = Registry(tools=[gift_wrap], modules=["stock"])
    data = wrapper.to_dict(registry)
    print([tool["name"] for tool in data["tools"]])
    print([*Agent.from_dict(data, registry).tools])
