"""A hook that nobody has to wait for, and one that fails: the run goes on in both cases."""

import time

from kern.agent import Agent, RunOutput
from kern.hooks import hook
from kern.models.openai import OpenAIResponses


@hook(run_in_background=True)
def archive(run_output: RunOutput) -> None:
    """Take a while to put the answer into an archive."""
    time.sleep(0.5)
    print("archived:", run_output.content)


def publish(run_output: RunOutput) -> None:
    """Fail of something that is no check: it is logged as a warning, and the run goes on."""
    raise ConnectionError("The notice board does not answer.")


clerk = Agent(
    name="Town clerk",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    post_hooks=[archive, publish],
)

if __name__ == "__main__":
    run = clerk.run("When is the town hall open?")
    print(run.status.value, run.content)
