"""What an agent keeps of its conversations, and shows its model of them."""

from collections.abc import Mapping, Sequence

from kern.agent.checks import check_flag, check_history
from kern.agent.parts.part import Part
from kern.errors import ConfigurationError, InvalidInputError
from kern.execution.spec import HistoryAgents
from kern.run.event import RunEvent
from kern.run.state import StateRules, texts_of
from kern.tools import Tool


class Conversation(Part):
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
    session_tools: tuple[Tool, ...] = ()

    def _build(self) -> None:
        runs = self.num_history_runs
        if runs is None:  # Each has a message at least.
            runs = self.num_history_messages
        runs = check_history(self.add_history_to_context, runs, self.history_agents)
        self.__dict__["num_history_runs"] = runs
        self.__dict__["history_runs"] = runs if self.add_history_to_context else 0
        check_flag("store_media", self.store_media)
        self.__dict__["session_tools"] = self._session_tools()
        try:
            _ = self.state_rules  # A state that cannot be used is refused here.
        except InvalidInputError as error:
            raise ConfigurationError(str(error)) from error

    def _session_tools(self) -> tuple[Tool, ...]:
        if not self.enable_agentic_state:
            return ()
        from kern.tools.state import update_session_state

        return (update_session_state,)

    @property
    def state_rules(self) -> StateRules | None:
        """What the agent says of the states of its sessions, at this moment; None for nothing.

        Raises:
            InvalidInputError: its own is not JSON.
        """
        given = self.session_state
        if given is None and not (
            self.add_session_state_to_context
            or self.enable_agentic_state
            or self.overwrite_db_session_state
        ):
            return None
        return StateRules(texts_of(given or {}), self.overwrite_db_session_state)
