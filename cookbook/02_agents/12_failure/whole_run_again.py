"""Try the whole run again where it fails: so often, after so long, each time twice as long."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

diver = Agent(
    name="Diver",
    model=OpenAIResponses(id="gpt-5.4-mini", max_retries=0),
    retries=2,
    delay_between_retries=1,
    exponential_backoff=False,
)

if __name__ == "__main__":
    run = diver.run("How deep is it here?")
    print(run.status.value, run.content)
