"""The shortest agent in the background. Kill it when it has printed PENDING, and start it again."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb

researcher = Agent("Researcher", "openai:gpt-5.4-mini", db=SqliteDb("tmp/kern.db"))

if __name__ == "__main__":
    run = researcher.run("Why is the sea salty?", background=True, run_id="salty-sea")
    print(run.status.value, flush=True)

    ended = researcher.wait_run("salty-sea")
    print(ended.status.value, ended.content)
