"""Agents as tools: `kern mcp desk:agents` in this directory, as the command of any MCP client."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool

db = SqliteDb("tmp/library.db")


def shelf(title: str) -> str:
    """Tell on which shelf a book stands.

    Args:
        title: the book.
    """
    return f"{title} stands on shelf 12."


@tool(requires_confirmation=True)
def lend(title: str, reader: str) -> str:
    """Lend a book.

    Args:
        title: the book.
        reader: who takes it.
    """
    return f"{reader} has {title} for four weeks."


agents = [
    Agent(
        name="Librarian",
        description="Knows where every book of the library stands.",
        model=OpenAIResponses(id="gpt-5.4-mini"),
        db=db,
        tools=[shelf],
    ),
    Agent(
        name="Lending desk",
        description="Lends books of the library.",
        model=OpenAIResponses(id="gpt-5.4-mini"),
        db=db,
        tools=[lend],
    ),
]
