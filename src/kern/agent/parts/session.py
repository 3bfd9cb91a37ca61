"""What an agent keeps of its conversations, and shows its model of them."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike

from kern.agent.checks import check_flag, check_history, check_text
from kern.agent.parts.part import Part
from kern.agent.past import (
    GetChatHistory,
    GetToolCallHistory,
    ReadPastSession,
    SearchPastSessions,
)
from kern.db.database import Database
from kern.errors import ConfigurationError, InvalidInputError
from kern.execution.session_rules import FILE_NAMES, IN_BRACES, SessionRules
from kern.execution.spec import HistoryAgents
from kern.keywords import nearest, shown
from kern.run.event import RunEvent
from kern.run.numbers import check_count
from kern.run.state import CURRENT, StateRules, texts_of
from kern.session.summary import SessionSummaryManager, Summarizing
from kern.tools import Tool


class SessionPart(Part):
    """What is kept of conversations, and shown to the model.

    Attributes:
        add_history_to_context: show the model earlier runs of the session; it needs a db.
        num_history_runs: how many of them, the last completed ones; by default 3.
        num_history_messages: or how many messages.
        max_tool_calls_from_history: how many tool calls of them, the last ones, each with its
            result.
        history_agents: whose: ``"own"``, this agent's, or those of ``"all"`` agents. A run with a
            user is never shown another user's.
        session_state: the state that a new session begins with.
        add_session_state_to_context: tell the state in the system message.
        enable_agentic_state: give the model the tool ``update_session_state``.
        overwrite_db_session_state: let the state that a run is given take the place of the stored
            one, instead of being merged into it.
        search_past_sessions: give the model the tools ``search_past_sessions`` and
            ``read_past_session``, for sessions of the run's user.
        num_past_sessions_to_search: how many sessions they list.
        num_past_session_runs_in_search: how many runs of each they show.
        enable_session_summaries: have a summary made after each run.
        add_session_summary_to_context: tell it; by default where summaries are made.
        session_summary_manager: which model makes it, and how.
        read_chat_history: give the model the tool ``get_chat_history``.
        read_tool_call_history: give it the tool ``get_tool_call_history``.
        introduction: the agent's own first message of a session.
        store_media: False to delete the media of a run that has completed or was cancelled; one
            that failed may be retried, and keeps it.
        store_tool_messages: False to leave the messages of tools out of the run's output.
        store_history_messages: True to have the history that the model was shown in it, too.
        store_events: True to have the events of the run in ``RunOutput.events``.
        events_to_skip: but not those of these kinds.
        save_response_to_file: the file that the answer is written to; it may hold ``{name}``,
            ``{session_id}``, ``{user_id}``, ``{run_id}`` and ``{message}``.
    """

    add_history_to_context: bool = False
    num_history_runs: int | None = None
    num_history_messages: int | None = None
    max_tool_calls_from_history: int | None = None
    history_agents: HistoryAgents = "own"
    session_state: Mapping[str, object] | None = None
    add_session_state_to_context: bool = False
    enable_agentic_state: bool = False
    overwrite_db_session_state: bool = False
    search_past_sessions: bool = False
    num_past_sessions_to_search: int = 20
    num_past_session_runs_in_search: int = 3
    enable_session_summaries: bool = False
    add_session_summary_to_context: bool | None = None
    session_summary_manager: object | None = None
    read_chat_history: bool = False
    read_tool_call_history: bool = False
    introduction: str | None = None
    store_media: bool = True
    store_tool_messages: bool = True
    store_history_messages: bool = False
    store_events: bool = False
    events_to_skip: Sequence[RunEvent | str] | None = None
    save_response_to_file: str | None = None

    history_runs: int = 0
    uses_state: bool = False
    session_rules: SessionRules | None = None
    session_tools: tuple[Tool, ...] = ()
    summarizes: bool = False

    def _build(self) -> None:
        given = self.__dict__
        runs = check_history(
            self.add_history_to_context, self.num_history_runs, self.history_agents
        )
        given["num_history_runs"] = runs
        given["history_runs"] = runs if self.add_history_to_context else 0
        for flag in _FLAGS:
            check_flag(flag, getattr(self, flag))
        for count in ("num_past_sessions_to_search", "num_past_session_runs_in_search"):
            check_count(count, getattr(self, count), ConfigurationError)
        check_text("introduction", self.introduction)
        rules = SessionRules(
            self._summarizing() if self.enable_session_summaries else None,
            self.introduction or None,
            self.store_tool_messages,
            self.store_events,
            frozenset(map(_event, self.events_to_skip or ())),
            self._file(),
        )
        given["session_rules"] = None if rules == SessionRules() else rules
        given["summarizes"] = rules.summarizing is not None
        beside: tuple[Tool, ...] = given.get("skill_tools", ())
        given["session_tools"] = (*self._session_tools(), *beside)
        given["uses_state"] = (  # Though no tool may ask for it.
            self.session_state is not None
            or self.add_session_state_to_context
            or self.enable_agentic_state
            or self.overwrite_db_session_state
        )
        try:
            _ = self.state_rules  # A state that cannot be used is refused here.
        except InvalidInputError as error:
            raise ConfigurationError(str(error)) from error

    @property
    def state_rules(self) -> StateRules | None:
        """What the agent says of the states of its sessions, at this moment; None for nothing.

        Raises:
            InvalidInputError: its own is not JSON.
        """
        if not self.uses_state:
            return None
        begin = texts_of(self.session_state or {})  # What is no state is refused here.
        for key in CURRENT:
            begin.pop(key, None)
        return StateRules(begin, self.overwrite_db_session_state)

    def _summarizing(self) -> Summarizing:
        manager: object = self.session_summary_manager
        if manager is None:
            manager = SessionSummaryManager()
        if isinstance(manager, SessionSummaryManager):
            return manager.summarizing()
        raise ConfigurationError(
            "session_summary_manager must be SessionSummaryManager(...), not "
            f"{shown(manager, type(manager).__name__)}."
        )

    def _session_tools(self) -> Iterator[Tool]:
        """Yield the tools that change the state, or look at what was said before."""
        if self.enable_agentic_state:
            from kern.tools.state import update_session_state

            yield update_session_state

        def db() -> Database | None:
            found: Database | None = getattr(self, "db", None)
            return found

        if self.search_past_sessions:
            yield SearchPastSessions(
                db, self.num_past_sessions_to_search, self.num_past_session_runs_in_search
            )
            yield ReadPastSession(db)
        if self.read_chat_history:
            yield GetChatHistory(db)
        if self.read_tool_call_history:
            yield GetToolCallHistory(db)

    def _file(self) -> str | None:
        file = self.save_response_to_file
        if file is None:
            return None
        if not isinstance(file, str | PathLike) or not str(file):
            raise ConfigurationError(
                f"save_response_to_file must be the path of a file, not {file!r:.80}."
            )
        for name in IN_BRACES.findall(str(file)):
            if name not in FILE_NAMES:
                raise ConfigurationError(
                    f"save_response_to_file has {{{name}}}. {nearest(name, FILE_NAMES)}"
                )
        return str(file)


_FLAGS = (
    *("store_media", "store_tool_messages", "store_events", "search_past_sessions"),
    *("read_chat_history", "read_tool_call_history", "enable_session_summaries"),
)


def _event(value: object) -> RunEvent:
    try:
        return RunEvent(str(value))
    except ValueError:
        raise ConfigurationError(
            f"events_to_skip has {value!r:.50}. {nearest(str(value), [*RunEvent])}"
        ) from None
