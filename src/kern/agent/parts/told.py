"""From the keywords of an agent to what its model is told."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from kern.agent.checks import check_flag, check_role, check_text
from kern.agent.parts.context import ContextPart
from kern.agent.parts.identity import IdentityPart
from kern.agent.parts.memory import MemoryPart
from kern.agent.parts.session import SessionPart
from kern.agent.parts.skills import SkillsPart
from kern.binder import Binder
from kern.errors import ConfigurationError, InvalidInputError
from kern.execution.context import ContextParts, Told, system_message
from kern.execution.context_rules import (
    INSTRUCTIONS,
    KNOWN,
    LOCATION,
    SYSTEM_MESSAGE,
    ContextRules,
    called_for_each_run,
    provider,
)
from kern.execution.retriever import Retriever
from kern.execution.written import ReferencesFormat, has_names
from kern.run.input import RunInput
from kern.run.message import Message
from kern.run.numbers import check_count

logger = logging.getLogger("kern")

_FLAGS = (
    *("markdown", "add_name_to_context", "add_datetime_to_context", "resolve_in_context"),
    *("use_instruction_tags", "build_context", "build_user_context", "search_knowledge"),
    *("add_dependencies_to_context", "add_knowledge_to_context", "add_session_state_to_context"),
    *("enable_agentic_knowledge_filters", "add_search_knowledge_instructions"),
    "update_knowledge",
    "store_history_messages",
)
_TEXTS = ("description", "role", "expected_output", "additional_context")
# An agent that says none of these tells its model its instructions alone.
_BEYOND_TEXT = {
    *ContextPart.__annotations__,
    *("num_history_runs", "skills", "tells_memories"),
} - {
    *("instructions", "dependencies", "input_schema", "user_message_role"),
}


class ToldParts(IdentityPart, ContextPart, SkillsPart, SessionPart, MemoryPart):
    """The parts of an agent of which its model is told.

    Attributes:
        context_rules: what it is told, where that is no text that is always the same.
        told_text: that text.
    """

    context_rules: ContextRules | None = None
    told_text: str | None = None

    def _tell(self) -> None:
        """Set what the model is told, from the keywords.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        given = self.__dict__
        if _BEYOND_TEXT.isdisjoint(given) and not self.dependencies:
            text = self.instructions
            if text is None or (isinstance(text, str) and not has_names(text)):
                given["context_rules"], given["told_text"] = None, text or None
                return
        for name in _FLAGS:
            check_flag(name, getattr(self, name))
        for name in _TEXTS:
            check_text(name, getattr(self, name))
        texts, functions = self._texts()
        parts = self._parts(texts)
        rules = ContextRules(
            parts,
            functions,
            _providers(self.dependencies),
            self._retriever(),
            3 if self.num_history_runs is None else self.num_history_runs,
            _count("num_history_messages", self.num_history_messages),
            _count("max_tool_calls_from_history", self.max_tool_calls_from_history),
            self.store_history_messages,
        )
        system = system_message(parts, Told())
        text = None if system is None else system.text
        given["context_rules"], given["told_text"] = rules, text
        is_text = system is None or system == Message("system", text)
        # What tools say of their use is added to the others at their end.
        ends = parts.system_message is None and parts.builds_system
        ends = ends and not (parts.expected_output or parts.additional_context or parts.skills)
        if is_text and ends and not (rules.varies or parts.markdown or parts.additional_input):
            always = replace(ContextRules.of_text(text), history_runs=rules.history_runs)
            if replace(rules, parts=always.parts) == always and self._has_usual_history():
                given["context_rules"] = None

    def _has_usual_history(self) -> bool:
        """Whether a run that asks for its history is shown what any other is."""
        return self.add_history_to_context or self.num_history_runs in (None, 3)

    def _texts(self) -> tuple[dict[str, Any], dict[str, Binder]]:
        """Return the texts that may be functions, and those that are."""
        functions: dict[str, Binder] = {}
        location = self.add_location_to_context
        if location is True:
            logger.warning(
                "The agent %r tells no place: kern looks up none. Say it, or a function that "
                "returns it, as in add_location_to_context='Graz'.",
                self.name,
            )
        texts: dict[str, Any] = {
            INSTRUCTIONS: self.instructions,
            SYSTEM_MESSAGE: self.system_message,
            LOCATION: None if isinstance(location, bool) else location,
        }
        for name, given in texts.items():
            if callable(given) and not isinstance(given, Message):
                functions[name] = Binder(given, KNOWN, what=f"The function for {name}")
                texts[name] = None
            elif not (name == SYSTEM_MESSAGE and isinstance(given, Message)):
                check_text(name, given, several=name == INSTRUCTIONS)
        if self.system_message is not None or not self.build_context:  # It replaces the others.
            functions = {name: each for name, each in functions.items() if name == SYSTEM_MESSAGE}
        return texts, functions

    def _parts(self, texts: Mapping[str, Any]) -> ContextParts:
        """Return what does not depend on the run.

        Args:
            texts: those that may be functions.
        """
        return ContextParts(
            self.description,
            self.role,
            texts[INSTRUCTIONS],
            texts[SYSTEM_MESSAGE],
            check_role("system_message_role", self.system_message_role),
            self.expected_output,
            self.additional_context,
            _messages(self.additional_input),
            self.name if self.add_name_to_context else None,
            texts[LOCATION],
            check_flag("add_datetime_to_context", self.add_datetime_to_context),
            _pattern(self.datetime_format),
            _zone(self.timezone_identifier),
            self.markdown,
            self.resolve_in_context,
            self.use_instruction_tags,
            self.build_context,
            self.build_user_context,
            self.add_session_state_to_context,
            bool(
                self.enable_session_summaries
                if self.add_session_summary_to_context is None
                else self.add_session_summary_to_context
            ),
            self.add_dependencies_to_context,
            _format(self.references_format),
            skills=self.skills.get_system_prompt_snippet() or None if self.skills else None,
            tells_memories=self.tells_memories,
        )

    def _retriever(self) -> Retriever | None:
        function, knowledge = self.knowledge_retriever, self.knowledge
        if self.update_knowledge and knowledge is None:
            raise ConfigurationError(
                "update_knowledge=True needs knowledge=, to which the model adds."
            )
        if function is None and knowledge is None:
            return None
        if function is not None and not callable(function):
            raise ConfigurationError(
                "knowledge_retriever must be a function of query and num_documents, not "
                f"{function!r:.80}."
            )
        return Retriever.of(
            function,
            knowledge,
            filters=self.knowledge_filters,
            lets_model_filter=self.enable_agentic_knowledge_filters,
            has_tool=self.search_knowledge,
            adds_found=self.add_knowledge_to_context,
            tells_of_tool=self.add_search_knowledge_instructions,
            format=self.references_format,
            updates=self.update_knowledge,
        )


def _providers(dependencies: Mapping[str, object]) -> dict[str, object]:
    return {
        name: provider(name, value) or value
        for name, value in dependencies.items()
        if called_for_each_run(value)
    }


def _messages(given: object) -> tuple[Message, ...]:
    if not given:
        return ()
    try:
        return RunInput.of(given).messages
    except InvalidInputError as error:
        raise ConfigurationError(f"additional_input cannot be used. {error}") from error


def _count(name: str, value: int | None) -> int | None:
    return None if value is None else check_count(name, value, ConfigurationError, least=0)


def _pattern(pattern: str | None) -> str | None:
    check_text("datetime_format", pattern)
    if pattern is not None:
        try:
            datetime.now(UTC).strftime(pattern)
        except ValueError as error:
            raise ConfigurationError(
                f"datetime_format {pattern!r:.80} is none for strftime: {error}."
            ) from error
    return pattern


def _zone(name: str | None) -> tzinfo | None:
    check_text("timezone_identifier", name)
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        close = get_close_matches(name, available_timezones(), n=1) or ["Europe/Vienna"]
        raise ConfigurationError(
            f"There is no time zone {name!r:.80}. Give the name of one, such as {close[0]!r}."
        ) from error


_FORMATS: Mapping[str, ReferencesFormat] = {"json": "json", "yaml": "yaml"}


def _format(name: str) -> ReferencesFormat:
    if name in _FORMATS:
        return _FORMATS[name]
    raise ConfigurationError(f"references_format must be 'json' or 'yaml', not {name!r:.80}.")
