"""What saved agents name: functions, classes and objects at the top of a module."""

import os

from pydantic import BaseModel

from kern.guardrails import BaseGuardrail
from kern.models.base import Model, ModelRequest, ModelResponse
from kern.run.given import RunInput
from kern.run.message import Message
from kern.testing import ScriptedModel
from kern.tools import Toolkit, tool

HERE = os.getcwd()


class Invoice(BaseModel):
    """What a typed answer is."""

    number: str
    total: float


def price(article: str) -> str:
    """Tell the price of an article."""
    return f"{article} costs 5 euros."


@tool(requires_confirmation=True)
def refund(amount: int) -> str:
    """Refund an amount in cents."""
    return f"refunded {amount}"


class Shop(Toolkit):
    """A toolkit that is given something."""

    def __init__(self, town: str = "Graz", **rules: str) -> None:
        """Sell in a town."""
        super().__init__("shop", tools=[self.hours], tool_name_prefix=rules.get("prefix"))
        self.town = town

    def hours(self) -> str:
        """Tell the opening hours."""
        return f"{self.town}: 9 to 18"


class Polite(BaseGuardrail):
    """A guardrail of a user's."""

    def __init__(self, word: str = "please") -> None:
        """Ask for a word."""
        self.word = word

    def check(self, run_input: RunInput) -> None:
        """Refuse nothing."""


class Echo(Model):
    """A model of a user's."""

    id, provider = "echo", "none"

    def __init__(self, times: int = 1) -> None:
        """Answer so many times."""
        self.times = times

    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer."""
        return await ScriptedModel(["echo"] * self.times).respond(request)

    def stream(self, request: ModelRequest) -> "object":  # type: ignore[override] # never streamed
        """Answer piece by piece."""
        return ScriptedModel(["echo"]).stream(request)


def told() -> str:
    """Return instructions."""
    return "Be brief."


def tools_of_run() -> list[object]:
    """Return the tools of a run."""
    return [price]


def members_of_run() -> list[object]:
    """Return the members of a team."""
    return []


def look(run_input: RunInput) -> None:
    """Look at what a run is given."""


def look_back(run_output: object) -> None:
    """Look at what a run has answered."""


def around(function_name: str, function: object, arguments: object) -> object:
    """Make a tool call."""
    assert callable(function)
    return function()


def find(query: str, num_documents: int | None = None) -> list[str]:
    """Find documents."""
    return [query]


def town_of_run() -> str:
    """Return a dependency."""
    return "Graz"


def needs_person(article: str) -> bool:
    """Say whether a call needs a person."""
    return article == "yacht"


def last_only(messages: list[Message]) -> list[Message]:
    """Return what the other agent is told."""
    return messages[-1:]


def on_fallback(primary: str, fallback: str, error: object) -> None:
    """Hear of a fallback."""
