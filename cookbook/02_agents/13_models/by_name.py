"""Every provider by a text, "provider:id"; an object where more than the id is to be said.

Needs the keys of all three, or leave some out.
"""

from kern.agent import Agent
from kern.models.anthropic import Claude
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses

MODELS = [
    "openai:gpt-5.4-mini",
    "anthropic:claude-sonnet-5-5",
    "google:gemini-3.7-flash",
    OpenAIResponses(id="gpt-5.4-mini", reasoning_effort="low"),
    OpenAIChat(id="gpt-5.4-mini", temperature=0.2),
    Claude(id="claude-sonnet-5-5", max_tokens=500),
    Gemini(id="gemini-3.7-flash", temperature=0.2),
]

if __name__ == "__main__":
    for model in MODELS:
        run = Agent(name="Speaker", model=model).run("Say good morning.")
        print(run.model_provider, run.model, "|", run.content)
