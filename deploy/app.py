"""Your agents: what every process of the deployment imports. Replace it with your own."""

import os

from kern import Agent, PostgresDb

db = PostgresDb(os.environ["KERN_DB_URL"])

agents = [
    Agent("Researcher", "openai:gpt-5.4-mini", db=db, instructions="Answer in one sentence."),
]
