"""A keyword that there is not is refused, with the nearest right one; some change nothing.

`cache_session`, `telemetry` and `checkpoint` are accepted, for kern does without them: it journals
each step, reads a session when it is needed, and reports nothing to anybody.
"""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

settings = {
    "name": "Gardener",
    "model": OpenAIResponses(id="gpt-5.4-mini"),
    "telemetry": False,
    "cache_session": True,
}
gardener = Agent(**settings, instructions="Answer in one sentence.")

if __name__ == "__main__":
    try:
        Agent(**settings, instruction="Answer in one sentence.")
    except TypeError as error:
        print(error)
    try:
        gardener.run("When do I plant garlic?", sesion_id="garden")
    except TypeError as error:
        print(error)
    print(gardener.run("When do I plant garlic?", session_id="garden").content)
