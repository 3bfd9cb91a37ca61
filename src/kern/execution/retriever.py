"""Where an agent looks things up: a user's retriever, and how much of what it finds is told."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from kern.aio.threads import call_in_thread
from kern.binder import Binder, Known, name_of
from kern.errors import ConfigurationError
from kern.execution.written import ReferencesFormat, json_values
from kern.run.base import RUN_VALUES

LIMIT = 100_000
"""How many characters of documents a model is told at once."""

_OWN: Known = {**RUN_VALUES, "query": None, "num_documents": None, "filters": None}


@dataclass(frozen=True, slots=True)
class Retriever:
    """Where an agent looks things up.

    Attributes:
        function: finds documents.
        num_documents: how many it is to find, where nobody says.
        filters: what narrows each search, by the agent.
        lets_model_filter: whether the model may narrow a search further.
        has_tool: whether the model is given a tool to search.
        adds_found: whether what is found for the input is told with it.
        tells_of_tool: whether the model is told to search before it answers.
        format: how documents are written.
    """

    function: Binder
    num_documents: object = 10
    filters: object = None
    lets_model_filter: bool = False
    has_tool: bool = True
    adds_found: bool = False
    tells_of_tool: bool = True
    format: ReferencesFormat = "json"

    @classmethod
    def of(cls, function: Callable[..., object], **rules: Any) -> Self:
        """Return a user's function as a retriever.

        Args:
            function: finds documents; where it has a number of them by default, it finds as many.
            rules: the other attributes.

        Raises:
            ConfigurationError: it asks for what there is not.
        """
        binder = Binder(function, _OWN, what="The knowledge_retriever")
        number = inspect.signature(function).parameters.get("num_documents")
        if number is not None and number.default is not number.empty:
            rules["num_documents"] = number.default
        return cls(binder, **rules)

    async def documents(
        self,
        own: Mapping[str, object],
        query: str,
        *,
        num_documents: int | None = None,
        filters: object = None,
    ) -> list[object]:
        """Return what is found, as JSON values, within bounds.

        Args:
            own: what the function asks for of the run.
            query: what is looked for.
            num_documents: how many documents it is to find.
            filters: what narrows the search.

        Raises:
            ConfigurationError: the function returns no documents.
            Exception: what it raises.
        """
        number = self.num_documents if num_documents is None else num_documents
        asked = {"query": query, "num_documents": number, "filters": filters}
        found = await self.function.call({**own, **asked})
        if found is None:
            return []
        if isinstance(found, str | Mapping):
            found = [found]
        if not isinstance(found, list | tuple):
            raise ConfigurationError(
                f"The knowledge_retriever {name_of(self.function.function)} returned "
                f"{type(found).__name__}. Return a list of documents, each a dict or a text; or "
                "None where there are none."
            )
        return await call_in_thread(partial(_within_bounds, found))


def joined(outer: object, inner: object) -> object:
    """Return filters of which the inner ones win; where they are no dicts, the inner ones."""
    if isinstance(outer, Mapping) and isinstance(inner, Mapping):
        return {**outer, **inner}
    return inner or outer


def _within_bounds(documents: list[object] | tuple[object, ...]) -> list[object]:
    """Return documents as JSON values, as many as a model can read, and a note of the others."""
    kept: list[object] = []
    room = LIMIT
    for place, each in enumerate(documents):
        values = json_values(_values_of(each))
        text = values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)
        if len(text) > room:
            if not kept:
                kept.append(f"{text[:room]} […]")
                place += 1
            if left_out := len(documents) - place:
                kept.append(f"[{left_out} more found; they are left out, being too long.]")
            break
        room -= len(text)
        kept.append(values)
    return kept


def _values_of(document: object) -> object:
    """Return a document as values; objects of other libraries often say what these are."""
    to_dict = getattr(document, "to_dict", None)
    return to_dict() if callable(to_dict) else document
