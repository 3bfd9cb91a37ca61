"""An answer with a form: a pydantic object, in the foreground and from the background."""

from pydantic import BaseModel, Field

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


class Sighting(BaseModel):
    """A bird that was seen."""

    bird: str
    count: int = Field(gt=0)
    place: str | None = None


ranger = Agent(
    name="Ranger",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/birds.db"),
    output_schema=Sighting,
)

if __name__ == "__main__":
    run = ranger.run("Three storks stood on the church this morning.")
    print(run.content.bird, run.content.count, run.content.place)

    later = ranger.run("A heron flew by.", background=True)
    print(repr(ranger.wait_run(later.run_id).content))

    run = ranger.run("Two jays and a crow.", output_schema=list[Sighting])  # of one run
    print([f"{each.count} {each.bird}" for each in run.content])
