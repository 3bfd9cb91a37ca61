"""A run that fails raises what it failed of; the exception carries the run as it ended."""

from kern.agent import Agent
from kern.exceptions import ModelProviderError, ModelRateLimitError
from kern.models.openai import OpenAIResponses

astronomer = Agent(
    name="Astronomer",
    model=OpenAIResponses(id="gpt-5.4-mini", max_retries=0),
)

if __name__ == "__main__":
    for question in ("How far is Vega?", "How far is Altair?", "How far is Deneb?"):
        try:
            print(astronomer.run(question).content)
        except ModelRateLimitError as error:
            print("too many questions:", error.status_code)
        except ModelProviderError as error:
            failed = error.run_output
            print("failed:", failed.status.value, failed.content, "|", failed.error)
