"""The agents of the fleet: what every process of it imports."""

import os

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses

writer = Agent(
    name="Writer",
    model=OpenAIResponses(id="gpt-5.4-mini", max_output_tokens=400),
    description="You write short, simple texts.",
    db=PostgresDb(os.environ.get("DATABASE_URL", "postgresql://ai:ai@localhost:5532/ai")),
)
