"""Keep answers on this machine: the same question is answered from there, and costs nothing."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

model = OpenAIResponses(
    id="gpt-5.4-mini", cache_response=True, cache_dir="tmp/answers", cache_ttl=3600
)
speller = Agent(name="Speller", model=model)

if __name__ == "__main__":
    for _ in range(2):
        run = speller.run("Spell 'rhythm' backwards.")
        print(run.content, run.metrics.total_tokens, run.metrics.duration >= 0)
