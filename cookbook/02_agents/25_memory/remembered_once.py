"""A memory is written with the step that tells of it: a kill neither loses nor doubles it.

Kill this script once it has asked twice, and start it again: the answer is not asked for again.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

nurse = Agent(
    name="Nurse",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/ward.db"),
    update_memory_on_run=True,
)

if __name__ == "__main__":
    nurse.run("I take penicillin badly.", user_id="pat", run_id="visit-1", background=True)
    run = nurse.wait_run("visit-1")
    print(run.status.value, run.content)
    print([each.memory for each in nurse.get_user_memories(user_id="pat")])
