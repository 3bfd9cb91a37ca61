"""Functions are tools: signature and docstring are what the model is told of them."""

from typing import Literal

from pydantic import BaseModel, Field

from kern.agent import Agent
from kern.models.openai import OpenAIResponses


class Box(BaseModel):
    """A box to be filled."""

    width: float = Field(gt=0, description="in metres")
    depth: float = Field(gt=0, description="in metres")


def soil(box: Box, height: float, unit: Literal["litres", "bags"] = "litres") -> dict[str, object]:
    """Say how much soil a box takes.

    Args:
        box: the box.
        height: how high the soil stands, in metres.
        unit: litres, or bags of forty litres.
    """
    litres = box.width * box.depth * height * 1000
    return {"amount": round(litres if unit == "litres" else litres / 40, 1), "unit": unit}


gardener = Agent(name="Gardener", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[soil])

if __name__ == "__main__":
    run = gardener.run("How many bags for a box of 1 by 2 metres, 20 cm high?")
    for tool in run.tools:
        print(tool.tool_name, tool.tool_args["unit"], tool.result, tool.metrics.duration >= 0)
    print(run.content)
