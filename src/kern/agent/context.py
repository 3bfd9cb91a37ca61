"""What an agent would tell its model, and would find in its knowledge, without a run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from kern.agent.definition import AgentDefinition
from kern.binder import Binder
from kern.errors import ConfigurationError
from kern.execution.context import system_message
from kern.execution.context_rules import ContextRules, asked, resolve, told_of
from kern.execution.retriever import joined
from kern.run.agent import Output
from kern.run.base import Deps, RunContext
from kern.run.message import Message
from kern.session import AgentSession


class ContextPreview(AgentDefinition[Deps, Output]):
    """What an agent can say of what it tells its model."""

    async def aget_system_message(
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
        context = run_context or self._context(session)
        rules = self.context_rules or ContextRules.of_text(self.told_text)

        async def values(function: Binder) -> Mapping[str, object]:
            return {**context.values(function.names), "session": session, "run_input": None}

        known: dict[str, object] = {}
        dependencies = dict(context.dependencies)
        await resolve(dependencies, rules.providers, values, f"The agent {self.name!r}")
        context = replace(context, dependencies=cast("Deps", dependencies))
        for function in rules.functions.values():
            known.update(await values(function))
        summary = None if session is None else session.summary
        told = told_of(
            context,
            await asked(rules.functions, known),
            has_form=self.answering is not None and self.answering.form is not None,
            summary=None if summary is None else summary.summary,
            tool_instructions=() if self.call_rules is None else self.call_rules.instructions,
        )
        return system_message(rules.parts, told)

    async def aget_relevant_docs_from_knowledge(
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
            run_context: what the retriever is given; see :meth:`aget_system_message`.

        Returns:
            The documents, as JSON values; None where there are none.

        Raises:
            ConfigurationError: the agent has no retriever, or it returned no documents.
            Exception: what it raised.
        """
        retriever = None if self.context_rules is None else self.context_rules.retriever
        if retriever is None:
            raise ConfigurationError(
                f"The agent {self.name!r} has no knowledge_retriever, and no knowledge. Give it "
                "one: Agent(..., knowledge_retriever=find)."
            )
        own = (run_context or self._context(None)).values(retriever.names)
        narrowed = joined(retriever.filters, filters)
        found = await retriever.documents(own, query, num_documents=num_documents, filters=narrowed)
        return found or None

    async def aadd_to_knowledge(self, query: str, result: str) -> str:
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
        retriever = None if self.context_rules is None else self.context_rules.retriever
        if retriever is None or retriever.knowledge is None:
            raise ConfigurationError(
                f"The agent {self.name!r} has no knowledge. Give it one: Agent(..., knowledge=...)."
            )
        base = await retriever.base(self._context(None).values(retriever.names))
        from kern.execution.knowledge import add

        await add(base, query, result, {"agent_id": self.id, "user_id": self.user_id})
        return "It was added."

    def _context(self, session: AgentSession | None) -> RunContext[Deps]:
        """Return what functions are given where there is no run."""
        state = self.session_state if session is None else session.session_data.get("session_state")
        return RunContext(
            "",
            (self.session_id or "") if session is None else session.session_id,
            self.id,
            self.user_id if session is None else session.user_id,
            self.metadata,
            dependencies=cast("Deps", self.dependencies),
            session_state=None if state is None else dict(state),
            knowledge_filters=self.knowledge_filters,
            _agent=self,
        )
