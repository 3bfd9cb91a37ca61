"""Say what the input has to be: a dict is validated before the run is accepted."""

from pydantic import BaseModel, Field

from kern.agent import Agent
from kern.errors import InvalidInputError
from kern.models.openai import OpenAIResponses


class Parcel(BaseModel):
    """What is to be sent."""

    to: str = Field(min_length=2, description="a city")
    grams: int = Field(gt=0, le=30_000)


postmaster = Agent(
    name="Postmaster",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    input_schema=Parcel,
    instructions="Say which stamp the parcel needs.",
)

if __name__ == "__main__":
    print(postmaster.run({"to": "Lima", "grams": 450}).content)
    print(postmaster.run(Parcel(to="Oslo", grams=80)).content)
    try:
        postmaster.run({"to": "Lima", "grams": -3})
    except InvalidInputError as error:
        print("refused:", error)
