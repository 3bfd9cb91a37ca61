"""The summary is a step of the run: where the process dies in it, the answer is not asked again.

Kill this script once it has asked twice, and start it again: only the summary is asked for.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

midwife = Agent(
    name="Midwife",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/visits.db"),
    enable_session_summaries=True,
)

if __name__ == "__main__":
    midwife.run("The baby sleeps well.", session_id="visits", run_id="visit-1", background=True)
    run = midwife.wait_run("visit-1")
    print(run.status.value, run.content)
    print(midwife.get_session_summary(session_id="visits").summary)
