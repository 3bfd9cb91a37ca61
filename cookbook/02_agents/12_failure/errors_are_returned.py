"""With raise_on_error=False a failed run is returned, its error as the content if need be."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunStatus

lookout = Agent(
    name="Lookout",
    model=OpenAIResponses(id="gpt-5.4-mini", max_retries=0),
    raise_on_error=False,
)

strict = Agent(name="Strict lookout", model=OpenAIResponses(id="gpt-5.4-mini", max_retries=0))

if __name__ == "__main__":
    run = lookout.run("What do you see?")
    if run.status == RunStatus.error:
        print("failed:", run.error)
        print("content:", run.content)

    run = strict.run("And you?", raise_on_error=False)  # of one run
    print(run.status.value)
