"""The agent of the recipes: what every process imports, those of a server and the workers."""

import os

from kern import Agent, SqliteDb
from kern.models.openai import OpenAIResponses

# On several machines: db=PostgresDb(os.environ["KERN_DB_URL"]).
researcher = Agent(
    "Researcher",
    OpenAIResponses("gpt-5.4-mini"),
    description="You answer briefly and correctly.",
    db=SqliteDb(os.environ.get("RECIPES_DB", "kern.db")),
    add_history_to_context=True,
)
