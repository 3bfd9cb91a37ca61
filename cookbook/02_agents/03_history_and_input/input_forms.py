"""What a run can be given: a text, a list, messages, a dict, a pydantic object, parts."""

from pydantic import BaseModel

from kern.agent import Agent, Message
from kern.models.openai import OpenAIResponses


class Letter(BaseModel):
    """A letter that came in."""

    sender: str
    pages: int


clerk = Agent(
    name="Clerk",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions="Sum up in five words.",
)

FORMS = {
    "text": "The roof leaks.",
    "list": ["The roof leaks.", "The cellar is dry."],
    "message": Message(role="user", content="The gate squeaks."),
    "messages": [
        Message(role="user", content="The gate squeaks."),
        Message(role="assistant", content="Gate needs a little oil."),
        Message(role="user", content="And the door?"),
    ],
    "dict": {"subject": "Windows", "broken": 3},
    "pydantic": Letter(sender="The tenants", pages=2),
    "parts": {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is broken here?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/stairs.png"}},
        ],
    },
}

if __name__ == "__main__":
    for name, form in FORMS.items():
        run = clerk.run(form)
        print(f"{name}: {run.content}")
