"""Two versions of an agent, kept in its database: loaded by label, made current, and taken back."""

from stock import in_stock, price

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.registry import Registry

db = SqliteDb("tmp/shop.db")
registry = Registry(modules=["stock"])  # what a saved agent may have imported

if __name__ == "__main__":
    clerk = Agent(
        name="Clerk",
        model=OpenAIResponses(id="gpt-5.4-mini", temperature=0.2),
        instructions="Sell tea things, in one sentence.",
        tools=[price],
        db=db,
    )
    first = clerk.save(label="stable", notes="as the shop opened")
    clerk.instructions = "Sell tea things, and always offer a biscuit."
    clerk.add_tool(in_stock)
    second = clerk.save(notes="biscuits")
    print("saved:", first, second)

    for options in ({}, {"label": "stable"}):
        loaded = Agent.load("clerk", db=db, registry=registry, **options)
        print([*loaded.tools], loaded.instructions)

    db.set_current_version("clerk", first)
    loaded = Agent.load("clerk", db=db, registry=registry)
    print(loaded.run("What is a kettle?").content)
    for version in db.list_configs("clerk"):
        print(version["version"], version["label"], version["is_current"], version["notes"])
