"""Generated from ``kern/agent/context.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Mapping, Sequence

from kern.agent.blocking import blocking
from kern.agent.context import ContextPreview
from kern.run.agent import Output
from kern.run.base import Deps, RunContext
from kern.run.message import Message
from kern.session import AgentSession


class SyncContextPreview(ContextPreview[Deps, Output]):
    """The methods of :class:`ContextPreview`, for code without an event loop."""

    def get_system_message(
        self,
        session: AgentSession | None = None,
        run_context: RunContext[Deps] | None = None,
        tools: Sequence[object] | None = None,
    ) -> Message | None:
        """Return the system message as a run would have it now; None where it would have none.

        Functions of the agent are called for it.

        Args:
            session: the session whose state and summary are told.
            run_context: what functions are given, and whose values names stand for; by default
                one of the agent's user, metadata and dependencies.
            tools: changes nothing: of the agent's own their instructions are told, but for those
                that are known only once a run executes.

        Raises:
            ConfigurationError: a function returned what cannot be told.
            Exception: what a function raised.
        """
        return blocking("await agent.aget_system_message(...)").call(
            self.aget_system_message(session, run_context, tools)
        )

    def get_relevant_docs_from_knowledge(
        self,
        query: str,
        num_documents: int | None = None,
        filters: Mapping[str, object] | None = None,
        run_context: RunContext[Deps] | None = None,
    ) -> list[object] | None:
        """Return what is found in the agent's knowledge, as the model would be told it.

        Args:
            query: what to look for.
            num_documents: how many documents it is to find; by default its own number.
            filters: what narrows the search, over the agent's ``knowledge_filters``.
            run_context: what the retriever is given; see :meth:`get_system_message`.

        Returns:
            The documents, as JSON values; None where there are none.

        Raises:
            ConfigurationError: the agent has no retriever, or it returned no documents.
            Exception: what it raised.
        """
        return blocking("await agent.aget_relevant_docs_from_knowledge(...)").call(
            self.aget_relevant_docs_from_knowledge(query, num_documents, filters, run_context)
        )

    def add_to_knowledge(self, query: str, result: str) -> str:
        """Add a text to the agent's ``knowledge``, as its model's tool ``add_to_knowledge`` does.

        Args:
            query: what it answers.
            result: what is so.

        Returns:
            That it was added.

        Raises:
            ConfigurationError: the agent has no knowledge.
            Exception: what that raised.
        """
        return blocking("await agent.aadd_to_knowledge(...)").call(
            self.aadd_to_knowledge(query, result)
        )
