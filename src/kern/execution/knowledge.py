"""Searches of an agent's knowledge within a run: for its input, and by the model's tool.

It is imported once a run searches: to describe a tool takes milliseconds.
"""

import time
from collections.abc import Mapping
from typing import Any

from kern.execution.attempt import Attempt
from kern.execution.retriever import Retriever, joined
from kern.execution.values import run_values
from kern.execution.written import listed
from kern.run.references import MessageReferences
from kern.run.steps import KnowledgeSearched
from kern.tools.function import FunctionTool, tool

_SEARCH_FIRST = (
    "You have a knowledge base. Look there with search_knowledge_base before you answer what it "
    "may say something about; where it says nothing, say so."
)


def offer(attempt: Attempt, retriever: Retriever) -> None:
    """Offer the tool that searches, after the user's own; one of its name goes before.

    Args:
        attempt: the attempt, whose other tools are known.
        retriever: where it looks.
    """
    tool = Search(attempt, retriever).as_tool
    if tool.name not in attempt.tools:
        attempt.tools = {**attempt.tools, tool.name: tool}
        if retriever.tells_of_tool:
            attempt.tool_instructions += (_SEARCH_FIRST,)


class Search:
    """The searches of an attempt, as tools that a model can have called."""

    def __init__(self, attempt: Attempt, retriever: Retriever) -> None:
        """Search nothing yet."""
        self._attempt = attempt
        self._retriever = retriever

    @property
    def as_tool(self) -> FunctionTool[..., Any]:
        """The tool ``search_knowledge_base``."""
        return self.search_filtered if self._retriever.lets_model_filter else self.search

    @tool(name="search_knowledge_base")
    async def search(self, query: str) -> str:
        """Look for information in the knowledge base.

        Args:
            query: what to look for.
        """
        return await self._found(query)

    @tool(name="search_knowledge_base")
    async def search_filtered(self, query: str, filters: dict[str, Any] | None = None) -> str:
        """Look for information in the knowledge base.

        Args:
            query: what to look for.
            filters: look only at documents that have these values, by the names of their fields.
        """
        return await self._found(query, filters)

    async def _found(self, query: str, filters: Mapping[str, object] | None = None) -> str:
        found = await search(self._attempt, self._retriever, query, filters)
        if not found.references:
            return "Nothing was found."
        self._attempt.journal.keep(KnowledgeSearched(found))
        return listed(found.references, self._retriever.format)


async def search(
    attempt: Attempt,
    retriever: Retriever,
    query: str,
    filters: Mapping[str, object] | None = None,
) -> MessageReferences:
    """Return what an agent's knowledge says to a query.

    Args:
        attempt: who asks.
        retriever: where.
        query: what is looked for.
        filters: what the model narrows the search by.

    Raises:
        ConfigurationError: the retriever returns no documents.
        Exception: what the retriever raises.
    """
    began = time.monotonic()
    own = await run_values(attempt, retriever.function.names)
    narrowed = joined(attempt.run_context.knowledge_filters, filters)
    found = await retriever.documents(own, query, filters=narrowed)
    return MessageReferences(query, found, round(time.monotonic() - began, 3))
