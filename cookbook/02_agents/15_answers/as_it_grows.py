"""A typed answer while it is written: what there is of it so far, then the whole."""

from pydantic import BaseModel

from kern.agent import Agent, RunCompletedEvent, RunContentEvent
from kern.models.openai import OpenAIResponses


class Route(BaseModel):
    """A way through a city."""

    title: str
    stops: list[str]


guide = Agent(name="Guide", model=OpenAIResponses(id="gpt-5.4-mini"), output_schema=Route)

if __name__ == "__main__":
    for event in guide.run("A walk through Lyon.", stream=True):
        match event:
            case RunContentEvent(partial=dict() as so_far):
                print("so far:", len(so_far.get("stops", [])), "stops")
            case RunCompletedEvent(content=Route() as route):
                print(route.title, route.stops)
