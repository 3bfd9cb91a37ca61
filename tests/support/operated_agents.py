"""Agents of a company whose runs people look at: they search, ask experts, and ask people."""

import asyncio
import os

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.approval import approval
from kern.compression import Compaction, CompressionManager
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext
from kern.team import Team
from kern.tools import tool
from kern.tools.user_feedback import UserFeedbackTools

db = PostgresDb(os.environ["TEST_DB"], os.environ["TEST_TABLE"])


def _model() -> OpenAIResponses:
    return OpenAIResponses("gpt-5.4-mini", max_retries=0)


def search(query: str) -> str:
    """Search the web.

    Args:
        query: what for.
    """
    return f"3 results for {query}"


async def read(context: RunContext, page: str, seconds: float = 0.0) -> str:
    """Read a page.

    Args:
        page: its text.
        seconds: how long that takes.
    """

    async def fetch() -> str:
        await asyncio.sleep(seconds)
        return page

    return await context.step("fetch", fetch)


def reserve(seats: int) -> str:
    """Reserve seats.

    Args:
        seats: how many.
    """
    raise RuntimeError(f"{seats} seats are more than there are.")


@approval
@tool(requires_confirmation=True)
def refund(amount: int, customer: str) -> str:
    """Pay a customer back.

    Args:
        amount: US dollars.
        customer: whom.
    """
    return f"${amount} are on the way to {customer}."


@tool(requires_user_input=True, user_input_fields=["street", "parcels"])
def ship(customer: str, street: str, parcels: int) -> str:
    """Send parcels to a customer.

    Args:
        customer: whom.
        street: where to.
        parcels: how many.
    """
    return f"{parcels} parcels go to {customer}, {street}."


@tool(external_execution=True)
def count_stock(article: str) -> str:
    """Count what is in stock.

    Args:
        article: of what.
    """
    raise NotImplementedError("Somebody in the warehouse does this.")


researcher = Agent("Researcher", _model(), tools=[search, read, reserve], db=db)
cashier = Agent("Cashier", _model(), tools=[refund, ship, count_stock, UserFeedbackTools()], db=db)
lead = Agent(
    "Lead",
    _model(),
    tools=[researcher.as_tool("research", "Have something researched."), search],
    db=db,
)
meteorologist = Agent("Meteorologist", _model(), role="Knows the weather.", tools=[search])
pilot = Agent("Pilot", _model(), role="Knows the waters.")
harbour = Team([meteorologist, pilot], "Harbour office", _model(), db=db)
concierge = Agent(
    "Concierge",
    _model(),
    tools=[search, read, BackgroundAgents([researcher])],
    db=db,
    reasoning_model=_model(),
    compression_manager=CompressionManager(_model(), compress_tool_results_limit=1),
    compaction=Compaction(max_tokens=None, max_turns=2, keep_turns=1),
    update_memory_on_run=True,
)

agents = [researcher, cashier, lead, harbour, concierge]
