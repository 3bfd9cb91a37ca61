"""Where an agent looks things up, and how much of what it finds is told."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self, TypeGuard, cast

from kern.aio.threads import call_in_thread
from kern.binder import Binder, Known, is_portable, name_of
from kern.errors import ConfigurationError
from kern.execution.written import ReferencesFormat, json_values
from kern.keywords import shown
from kern.run.base import RUN_VALUES

LIMIT = 100_000
"""How many characters of documents a model is told at once."""

SEARCH_FIRST = (
    "You have a knowledge base. Look there with search_knowledge_base before you answer what it "
    "may say something about; where it says nothing, say so."
)
"""What a model is told of the tool that searches."""

_OWN: Known = {**RUN_VALUES, "query": None, "num_documents": None, "filters": None}


class KnowledgeBase(Protocol):
    """What agents look things up in, such as :class:`kern.knowledge.Knowledge`."""

    async def aretrieve(
        self, query: str, num_documents: int | None = None, filters: Any = None
    ) -> Sequence[object]:
        """Return the documents that fit a query: objects, dicts or texts.

        Args:
            query: what is looked for.
            num_documents: how many at most; by default its own number.
            filters: what narrows the search.
        """
        ...

    async def aget_valid_filters(self) -> Sequence[str]:
        """Return the names by which a search can be narrowed."""
        ...

    async def aadd(self, text: str, name: str, metadata: Mapping[str, object]) -> None:
        """Add a text that an agent has written.

        Args:
            text: the text.
            name: what it is called.
            metadata: what it can be filtered by.
        """


@dataclass(frozen=True, slots=True)
class Retriever:
    """Where an agent looks things up.

    Attributes:
        function: finds documents; None where the knowledge base does.
        knowledge: the knowledge base, or a function that returns it.
        num_documents: how many it is to find, where nobody says.
        filters: what narrows each search, by the agent.
        lets_model_filter: whether the model may narrow a search further.
        has_tool: whether the model is given a tool to search.
        adds_found: whether what is found for the input is told with it.
        tells_of_tool: whether the model is told to search before it answers.
        format: how documents are written.
        updates: whether the model is given a tool to add to the knowledge base.
    """

    function: Binder | None = None
    knowledge: KnowledgeBase | Binder | None = None
    num_documents: object = 10
    filters: object = None
    lets_model_filter: bool = False
    has_tool: bool = True
    adds_found: bool = False
    tells_of_tool: bool = True
    format: ReferencesFormat = "json"
    updates: bool = False

    @classmethod
    def of(
        cls, function: Callable[..., object] | None, knowledge: object = None, **rules: Any
    ) -> Self:
        """Return a user's function, or a knowledge base, as a retriever.

        Args:
            function: finds documents; where it has a number of them by default, it finds as many.
            knowledge: what is searched where there is no function, and added to: a knowledge base,
                or a function that returns one.
            rules: the other attributes.

        Raises:
            ConfigurationError: one asks for what there is not, or is none.
        """
        if knowledge is not None:
            rules["knowledge"] = _knowledge(knowledge)
        if function is None:
            rules["num_documents"] = None
            return cls(None, **rules)
        binder = Binder(function, _OWN, what="The knowledge_retriever")
        number = inspect.signature(function).parameters.get("num_documents")
        if number is not None and number.default is not number.empty:
            rules["num_documents"] = number.default
        return cls(binder, **rules)

    @property
    def shown(self) -> KnowledgeBase | None:
        """The knowledge base as functions of users see it; None where a function returns it."""
        return None if isinstance(self.knowledge, Binder) else self.knowledge

    @property
    def names(self) -> Set[str]:
        """What its functions ask for of a run."""
        asked = [each.names for each in (self.function, self.knowledge) if isinstance(each, Binder)]
        return frozenset[str]().union(*asked)

    @property
    def tells_filters(self) -> bool:
        """Whether the model is told by which names it can filter."""
        return self.has_tool and self.lets_model_filter and self.function is None

    @property
    def is_portable(self) -> bool:
        """Whether it holds nothing of a caller: a knowledge base itself may be a caller's own."""
        return all(
            isinstance(each, Binder) and is_portable(each.function)
            for each in (self.function, self.knowledge)
            if each is not None
        )

    async def base(self, own: Mapping[str, object]) -> KnowledgeBase:
        """Return the knowledge base.

        Args:
            own: what functions ask for of the run.

        Raises:
            ConfigurationError: there is none, or the function for it returned something else.
            Exception: what the function raised.
        """
        found = self.knowledge
        if isinstance(found, Binder):
            made = await found.call(own)
            if not _is_knowledge(made):
                raise ConfigurationError(
                    f"The function {name_of(found.function)} for knowledge returned "
                    f"{type(made).__name__}. Return a Knowledge."
                )
            return made
        if found is None:
            raise ConfigurationError("The agent has no knowledge. Give it one: Agent(knowledge=).")
        return found

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
            own: what its functions ask for of the run, see :attr:`names`.
            query: what is looked for.
            num_documents: how many documents it is to find.
            filters: what narrows the search.

        Raises:
            ConfigurationError: the function returns no documents, or no knowledge base.
            Exception: what it raises.
        """
        number = self.num_documents if num_documents is None else num_documents
        if self.function is None:
            base = await self.base(own)
            documents = await base.aretrieve(query, num_documents, filters)
            return await call_in_thread(partial(_within_bounds, [*documents]))
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
    """Return filters of which the inner ones win; where they are no plain dicts, the inner ones."""
    if isinstance(outer, Mapping) and isinstance(inner, Mapping):
        both: dict[object, object] = {**outer, **inner}
        if "op" not in both:  # Otherwise one is a condition as JSON values.
            return both
    return inner or outer


def narrowed(outer: object, asked: Mapping[str, object]) -> object:
    """Return filters that a model has asked for beside those that hold anyway, which it meets, too.

    Args:
        outer: those of agent and run.
        asked: those of the model, as values by names.

    Raises:
        ValueError: they are more than that.
    """
    if "op" in asked:
        raise ValueError("filters are values by the names of fields, such as {'lang': 'en'}.")
    if not outer:
        return asked
    if isinstance(outer, Mapping) and "op" not in outer:
        return {**asked, **cast("Mapping[str, object]", outer)}
    several = isinstance(outer, Sequence) and not isinstance(outer, str | bytes)
    return [*(cast("Sequence[object]", outer) if several else [outer]), asked]


def as_values(filters: object) -> object:
    """Return filters as JSON values, as far as they are conditions."""
    from kern.filters import FilterExpr

    if isinstance(filters, FilterExpr):
        return filters.to_dict()
    if isinstance(filters, list | tuple):
        return [as_values(each) for each in cast("Sequence[object]", filters)]
    return filters


def _is_knowledge(value: object) -> TypeGuard[KnowledgeBase]:
    return not isinstance(value, type) and callable(getattr(value, "aretrieve", None))


def _knowledge(given: object) -> KnowledgeBase | Binder:
    if _is_knowledge(given):
        return given
    if callable(given) and not isinstance(given, type):
        return Binder(given, RUN_VALUES, what=f"The function for knowledge {name_of(given)}")
    raise ConfigurationError(
        f"knowledge must be a Knowledge, or a function that returns one, not {shown(given)}."
    )


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
