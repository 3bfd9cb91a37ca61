"""An agent's knowledge within a run: searched for its input, and by the model's tools.

It is imported once a run searches: to describe a tool takes milliseconds.
"""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from kern.embedders.usage import counting
from kern.errors import described
from kern.execution.attempt import Attempt
from kern.execution.embedding import embedded
from kern.execution.retriever import SEARCH_FIRST, KnowledgeBase, Retriever, narrowed
from kern.execution.values import run_values
from kern.execution.written import listed
from kern.run.metrics import ModelMetrics
from kern.run.printable import in_log
from kern.run.references import MessageReferences
from kern.run.steps import KnowledgeSearched
from kern.tools.function import FunctionTool, tool

logger = logging.getLogger("kern")

# Which names of fields the model is told, and how many: documents of strangers may have any.
_FIELD, _FIELDS = re.compile(r"[\w.-]{1,64}"), 50


async def offer(attempt: Attempt, retriever: Retriever) -> None:
    """Offer the tools that search and add, after the user's own; one of their name goes before.

    Args:
        attempt: the attempt, whose other tools are known.
        retriever: where it looks.
    """
    search = Search(attempt, retriever)
    tool = search.as_tool
    if retriever.has_tool and tool.name not in attempt.tools:
        attempt.tools = {**attempt.tools, tool.name: tool}
        if retriever.tells_of_tool:
            attempt.tool_instructions += (SEARCH_FIRST,)
        if retriever.tells_filters:
            search.fields = await _fields(attempt, retriever)
            if told := [each for each in search.fields or () if _FIELD.fullmatch(each)]:
                named = ", ".join(told[:_FIELDS])
                attempt.tool_instructions += (f"Searches can be filtered by: {named}.",)
    if retriever.updates and search.add.name not in attempt.tools:
        attempt.tools = {**attempt.tools, search.add.name: search.add}


async def _fields(attempt: Attempt, retriever: Retriever) -> Sequence[str] | None:
    """Return by what a search can be filtered; None, with a warning, where nobody says."""
    try:
        base = await retriever.base(await run_values(attempt, retriever.names))
        return await base.aget_valid_filters()
    except Exception as error:
        told = in_log(described(error))
        logger.warning("run %s: it is unknown what filters there are: %s", _id(attempt), told)
        return None


def _id(attempt: Attempt) -> str:
    return attempt.output.run_id


class Search:
    """What an attempt does with its agent's knowledge, as tools that a model can have called.

    Attributes:
        fields: by which names it can be filtered; None where that is not known.
    """

    fields: Sequence[str] | None = None

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

    @tool(name="add_to_knowledge")
    async def add(self, query: str, result: str) -> str:
        """Add something to the knowledge base that is worth to be found later.

        Args:
            query: what it answers, in a few words.
            result: what is so.
        """
        output = self._attempt.output
        base = await self._retriever.base(await run_values(self._attempt, self._retriever.names))
        await add(base, query, result, {"agent_id": output.agent_id, "user_id": output.user_id})
        return "It was added."

    async def _found(self, query: str, filters: Mapping[str, object] | None = None) -> str:
        if filters and self.fields is not None:
            unknown = [each for each in filters if each not in self.fields]
            if unknown:
                there = ", ".join(self.fields[:_FIELDS]) or "none"
                raise ValueError(f"There is no field {unknown[0]!r:.80}. There are: {there}.")
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
        ValueError: the model's filters cannot be used.
        Exception: what the retriever raises.
    """
    began = time.monotonic()
    own = await run_values(attempt, retriever.names)
    narrow = attempt.run_context.knowledge_filters
    if filters:
        narrow = narrowed(narrow, filters)
    used: list[ModelMetrics] = []
    with counting(used):
        found = await retriever.documents(own, query, filters=narrow)
    for step in embedded(used):
        attempt.journal.keep(step)
    return MessageReferences(query, found, round(time.monotonic() - began, 3))


async def add(base: KnowledgeBase, query: str, result: str, metadata: Mapping[str, object]) -> None:
    """Add what an agent has found out to its knowledge; the same once.

    Args:
        base: the knowledge base.
        query: what it answers.
        result: what is so.
        metadata: what it can be filtered by; None is left out.
    """
    text = f"{query}\n\n{result}"
    name = f"{query.strip()[:80]} ({sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]})"
    await base.aadd(text, name, {key: each for key, each in metadata.items() if each is not None})
