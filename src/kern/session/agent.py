"""A session as its users see it: what it holds, and the runs that belong to it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self, TypeAlias

from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.session.summary import SessionSummary

__all__ = ["AgentSession"]

AnyRun: TypeAlias = RunOutput[Any]

# What no conversation shows: runs that have not come to an answer, or that another has replaced.
_SKIPPED = frozenset(each for each in RunStatus if each is not RunStatus.completed)


class AgentSession:
    """A conversation with an agent.

    Attributes:
        session_id: its id.
        agent_id: the agent that began it.
        user_id: on whose behalf.
        session_data: what is kept with it: ``session_state``, ``session_name``,
            ``forked_from_session_id``, and keys of your own; all of it JSON.
        metadata: what you attach to it, as JSON values; by default that of its first run.
        agent_data: what you want to know of its agent later, likewise.
        summary: what it was about, where summaries are made.
        created_at: when it was begun, in seconds since 1970.
        updated_at: when it was last changed.
        session_type: ``"agent"``, or ``"team"`` where a team began it, which ``agent_id`` names.
        stored_state: the state as it was read, by its keys, as JSON texts.

    Example:
        >>> session = AgentSession("session")
        >>> session.upsert_run(RunOutput("run", "session", "agent"))
        >>> [run.run_id for run in session.runs]
        ['run']
    """

    def __init__(
        self,
        session_id: str,
        agent_id: str | None = None,
        user_id: str | None = None,
        session_data: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        agent_data: dict[str, Any] | None = None,
        runs: list[AnyRun] | None = None,
        summary: SessionSummary | None = None,
        created_at: int | None = None,
        updated_at: int | None = None,
        *,
        session_type: str = "agent",
        load_runs: Callable[[], list[AnyRun]] | None = None,
    ) -> None:
        """Describe a session.

        Args:
            session_id: its id.
            agent_id: the agent that began it.
            user_id: on whose behalf.
            session_data: what is kept with it.
            metadata: what you attach to it.
            agent_data: what you want to know of its agent.
            runs: its runs, the oldest first.
            summary: what it was about.
            created_at: when it was begun, in seconds since 1970.
            updated_at: when it was last changed.
            session_type: whose it is.
            load_runs: reads the runs on their first use, where they are not given.
        """
        self.session_id = session_id
        self.agent_id = agent_id
        self.user_id = user_id
        self.session_data: dict[str, Any] = {} if session_data is None else session_data
        self.metadata = metadata
        self.agent_data = agent_data
        self.summary = summary
        self.created_at = created_at
        self.updated_at = updated_at
        self.session_type = session_type
        self._runs = runs
        self._load_runs = load_runs
        self._changed: dict[str, AnyRun] = {}
        self.stored_state: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"AgentSession({self.session_id!r})"

    @property
    def runs(self) -> list[AnyRun]:
        """Its runs, the oldest first; of a long session the newest.

        They are read on their first use, which blocks: on an event loop have them read with the
        session, by ``get_session(..., runs_limit=100)``.
        """
        if self._runs is None:
            self._runs = [] if self._load_runs is None else self._load_runs()
            for run in self._changed.values():
                _put(self._runs, run)
        return self._runs

    @runs.setter
    def runs(self, runs: list[AnyRun]) -> None:
        self._runs = runs

    @property
    def team_id(self) -> str | None:
        """The team that began it, or None where it is an agent's."""
        return self.agent_id if self.session_type == "team" else None

    @property
    def session_name(self) -> str | None:
        """Its name, or None."""
        name = self.session_data.get("session_name")
        return None if name is None else str(name)

    @property
    def changed_runs(self) -> list[AnyRun]:
        """The runs that :meth:`upsert_run` has put here, which are stored with the session."""
        return [*self._changed.values()]

    def convert_runs(self, convert: Callable[[AnyRun], AnyRun]) -> None:
        """Have its runs be what a function makes of them, once they are read."""
        load = self._load_runs
        if self._runs is not None:
            self._runs = [convert(run) for run in self._runs]
        if load is not None:
            self._load_runs = lambda: [convert(run) for run in load()]

    def get_run(self, run_id: str) -> AnyRun | None:
        """Return one of its runs, or None."""
        return next((run for run in self.runs if run.run_id == run_id), None)

    def upsert_run(self, run: AnyRun) -> None:
        """Put a run into the session, in the place of the one with its id.

        It is stored with the session, by ``save_session`` or ``upsert_session``.

        Args:
            run: a run that has ended.
        """
        self._changed[run.run_id] = run
        if self._runs is not None:
            _put(self._runs, run)

    def get_messages(
        self,
        last_n_runs: int | None = None,
        limit: int | None = None,
        skip_roles: Collection[str] | None = None,
        skip_statuses: Collection[RunStatus] | None = None,
        skip_history_messages: bool = True,
    ) -> list[Message]:
        """Return the messages of its runs, in their order; those of their children are left out.

        Args:
            last_n_runs: only those of the last runs.
            limit: only the last messages; tool results without their call are left out.
            skip_roles: the roles that are left out.
            skip_statuses: the runs that are left out; by default all that are not COMPLETED.
            skip_history_messages: leave out what runs were shown of earlier ones.
        """
        skipped = _SKIPPED if skip_statuses is None else frozenset(skip_statuses)
        ids = {run.run_id for run in self.runs}
        runs = [
            run for run in self.runs if run.status not in skipped and run.parent_run_id not in ids
        ]
        return messages_of_runs(
            runs if last_n_runs is None else runs[max(0, len(runs) - last_n_runs) :],
            limit,
            skip_roles,
            skip_history_messages=skip_history_messages,
        )

    def get_chat_history(self, last_n_runs: int | None = None) -> list[Message]:
        """Return what users have said and what they were answered, in order.

        Args:
            last_n_runs: only that of the last runs.
        """
        return [each for each in self.get_messages(last_n_runs) if is_chat(each)]

    def get_tool_calls(self, num_calls: int | None = None) -> list[dict[str, Any]]:
        """Return the tool calls of its runs, the last one first, in OpenAI's form.

        Args:
            num_calls: how many at most.

        Returns:
            The ``id``, the ``function`` with its ``name`` and ``arguments``, and as ``content``
            the result, where there is one.
        """
        calls: list[dict[str, Any]] = []
        for run in reversed(self.runs):
            made: list[dict[str, Any]] = []
            for message in run.messages:
                if message.from_history:
                    continue
                made += ({**dict(call), "content": None} for call in message.tool_calls)
                if message.role == "tool":  # Models give several calls the same id.
                    same = (each for each in made if each["id"] == message.tool_call_id)
                    if found := next((each for each in same if each["content"] is None), None):
                        found["content"] = message.text
            calls += reversed(made)
        return calls if num_calls is None else calls[: max(0, num_calls)]

    def get_session_summary(self) -> SessionSummary | None:
        """Return what it was about, where summaries are made."""
        return self.summary

    def to_dict(self) -> dict[str, Any]:
        """Return the session with its runs as JSON values."""
        return self.body() | {"runs": [run.to_dict() for run in self.runs]}

    def body(self) -> dict[str, Any]:
        """Return the session without its runs as JSON values."""
        return {
            "session_id": self.session_id,
            "session_type": self.session_type,
            "agent_id": self.agent_id,
            "team_id": self.team_id,
            "user_id": self.user_id,
            "session_data": self.session_data,
            "agent_data": self.agent_data,
            "metadata": self.metadata,
            "summary": None if self.summary is None else self.summary.to_dict(),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the session that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            KeyError: there is no ``session_id``.
            ValueError: a run or the summary is damaged.
        """
        summary, runs = values.get("summary"), values.get("runs")
        return cls(
            values["session_id"],
            values.get("agent_id"),
            values.get("user_id"),
            values.get("session_data"),
            values.get("metadata"),
            values.get("agent_data"),
            None
            if runs is None
            else [run if isinstance(run, RunOutput) else RunOutput.from_dict(run) for run in runs],
            SessionSummary.from_dict(summary) if isinstance(summary, dict) else summary,
            values.get("created_at"),
            values.get("updated_at"),
            session_type=values.get("session_type") or "agent",
        )


def messages_of_runs(
    runs: Sequence[AnyRun],
    limit: int | None = None,
    skip_roles: Collection[str] | None = None,
    *,
    skip_history_messages: bool = True,
) -> list[Message]:
    """Return the messages of runs, as :meth:`AgentSession.get_messages` does."""
    skipped = skip_roles or ()
    messages = [
        message
        for run in runs
        for message in run.messages
        if message.role not in skipped and not (skip_history_messages and message.from_history)
    ]
    if limit is not None:
        messages = messages[max(0, len(messages) - limit) :]
        while messages and messages[0].role == "tool":  # Its call is not there any more.
            del messages[0]
    return messages


def is_chat(message: Message) -> bool:
    """Say whether a message is what a user has said, or what one was answered."""
    return message.role == "user" or (message.role == "assistant" and bool(message.text))


def _put(runs: list[AnyRun], run: AnyRun) -> None:
    for place, each in enumerate(runs):
        if each.run_id == run.run_id:
            runs[place] = run
            return
    runs.append(run)
