"""See the request that is about to be sent, and change it: the last say before the model.

Middleware is around each model call, also around those after tool calls. Here it hides account
numbers from the provider, wherever in the conversation they stand.
"""

import re
from dataclasses import replace

from kern.agent import Agent
from kern.execution.middleware import AskModel, Middleware
from kern.models.base import ModelRequest, ModelResponse
from kern.models.openai import OpenAIResponses
from kern.run.base import RunInfo

ACCOUNT = re.compile(r"\bAC-\d{6}\b")


class HideAccounts(Middleware):
    """Puts a placeholder where an account number stands."""

    async def model_call(self, run: RunInfo, request: ModelRequest, ask: AskModel) -> ModelResponse:
        """Ask with account numbers hidden."""
        messages = [
            replace(message, content=ACCOUNT.sub("AC-******", message.content))
            if isinstance(message.content, str)
            else message
            for message in request.messages
        ]
        print(f"{len(messages)} messages, {len(request.tools)} tools")
        return await ask(replace(request, messages=messages))


def balance(account: str) -> str:
    """Tell the balance of an account."""
    return f"{account}: 42 euros; moved here from AC-100200"


teller = Agent(
    name="Teller",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[balance],
    middleware=[HideAccounts()],
)

if __name__ == "__main__":
    print(teller.run("What is left in AC-555777?").content)
