"""Show the model what good answers look like: messages before the conversation, kept nowhere."""

from kern.agent import Agent, Message
from kern.models.openai import OpenAIResponses

tagger = Agent(
    name="Tagger",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions="Name the department that has to see a complaint, in one word.",
    additional_input=[
        Message(role="user", content="The lift has been out of order since Monday."),
        Message(role="assistant", content="Maintenance"),
        {"role": "user", "content": "I was charged for two rooms."},
        {"role": "assistant", "content": "Billing"},
    ],
)

if __name__ == "__main__":
    run = tagger.run("There is a parrot in the corridor.")
    print(run.content)
    print("stored:", [message.role for message in run.messages if message.role != "system"][-2:])
