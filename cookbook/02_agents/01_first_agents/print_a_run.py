"""Run first, print later: a run's output, and what it says of itself."""

from kern.agent import Agent, RunOutput
from kern.models.openai import OpenAIResponses
from kern.utils import pprint
from kern.utils.pprint import pprint_run_response

poet = Agent(
    name="Poet",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    description="You write verses of four lines.",
)

if __name__ == "__main__":
    run: RunOutput = poet.run("A verse about a lighthouse.")
    pprint_run_response(run, markdown=True, show_time=True)
    pprint.pprint_run_response(run)  # the same by the module

    print(run.status.value, run.agent_name, run.model)
    print("tokens:", run.metrics.input_tokens, "+", run.metrics.output_tokens)
    for message in run.messages:
        print(f"{message.role}: {message.get_content_string()[:40]}")
