"""Generated from ``kern/agent/sessions.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Collection

from kern.agent.blocking import blocking
from kern.agent.sessions import Sessions
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps, RunStatus
from kern.run.message import Message
from kern.session.agent import AgentSession
from kern.session.summary import SessionSummary


class SyncSessions(Sessions[Deps, Output]):
    """The methods of :class:`Sessions`, for code without an event loop."""

    def get_session(
        self,
        session_id: str | None = None,
        user_id: str | None = None,
        *,
        runs_limit: int | None = None,
    ) -> AgentSession | None:
        """Return a session, or None where there is none, or it is another user's.

        Args:
            session_id: the session; see :class:`Sessions` for what it is by default.
            user_id: the user whose session it must be; by default the agent's, or any.
            runs_limit: read so many of its runs with it, the newest; by default they are read on
                first use, at most 1000.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aget_session(...)").call(
            self.aget_session(session_id, user_id, runs_limit=runs_limit)
        )

    def save_session(self, session: AgentSession) -> AgentSession:
        """Store a session, in the place of the one with its id, and the runs that were put there.

        Its state is replaced only where it was changed on this object.

        Args:
            session: the session.

        Returns:
            The session as it is stored.

        Raises:
            InvalidInputError: it holds what is no JSON, a run that has not ended, or is another
                user's.
            RunStateError: a run of that id is under way, or another session's or user's.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be stored.
        """
        return blocking("await agent.asave_session(...)").call(self.asave_session(session))

    def delete_session(
        self, session_id: str, user_id: str | None = None, delete_media: bool = False
    ) -> bool:
        """Cancel the runs of a session, and delete it with all of them.

        Args:
            session_id: the session.
            user_id: the user whose session it must be; by default the agent's, or any.
            delete_media: changes nothing: media go with the runs that have them.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: an argument cannot be used.
            RunStateError: some runs had not stopped within a minute; they are kept, and cancelled.
            ConfigurationError: the agent has no db.
            DatabaseError: the database refused, or is away; delete it again.
        """
        return blocking("await agent.adelete_session(...)").call(
            self.adelete_session(session_id, user_id, delete_media)
        )

    def fork_session(self, *, source_session_id: str, user_id: str | None = None) -> str:
        """Copy a session, to go on from there in two ways; the first one stays as it is.

        The copy has the state, the name and the summary of the session, and copies of all its runs
        that have ended, with ids of their own. Its ``session_data["forked_from_session_id"]`` says
        where it comes from.

        Args:
            source_session_id: the session.
            user_id: the user whose session it must be; by default the agent's, or any.

        Returns:
            The id of the copy.

        Raises:
            SessionNotFoundError: there is no such session, it is another user's, or no run in it
                has ended.
            InvalidInputError: an argument cannot be used.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be copied; nothing of it was.
        """
        return blocking("await agent.afork_session(...)").call(
            self.afork_session(source_session_id=source_session_id, user_id=user_id)
        )

    def get_session_messages(
        self,
        session_id: str | None = None,
        last_n_runs: int | None = None,
        limit: int | None = None,
        skip_roles: Collection[str] | None = None,
        skip_statuses: Collection[RunStatus] | None = None,
        skip_history_messages: bool = True,
        *,
        user_id: str | None = None,
    ) -> list[Message]:
        """Return the messages of a session's runs, in their order.

        Args:
            session_id: the session; see :class:`Sessions` for what it is by default.
            last_n_runs: only those of the last runs; by default of the last 1000.
            limit: only the last messages; tool results without their call are left out.
            skip_roles: the roles that are left out.
            skip_statuses: the runs that are left out; by default all that are not COMPLETED.
            skip_history_messages: leave out what runs were shown of earlier ones.
            user_id: the user whose session it must be; by default the agent's, or any.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            ConfigurationError: the agent has no db.
            DatabaseError: they could not be read.
        """
        return blocking("await agent.aget_session_messages(...)").call(
            self.aget_session_messages(
                session_id,
                last_n_runs,
                limit,
                skip_roles,
                skip_statuses,
                skip_history_messages,
                user_id=user_id,
            )
        )

    def get_chat_history(
        self,
        session_id: str | None = None,
        last_n_runs: int | None = None,
        *,
        user_id: str | None = None,
    ) -> list[Message]:
        """Return what users have said in a session and what they were answered, in order.

        Args:
            session_id: the session; see :class:`Sessions` for what it is by default.
            last_n_runs: only that of the last runs; by default of the last 1000.
            user_id: the user whose session it must be; by default the agent's, or any.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            ConfigurationError: the agent has no db.
            DatabaseError: they could not be read.
        """
        return blocking("await agent.aget_chat_history(...)").call(
            self.aget_chat_history(session_id, last_n_runs, user_id=user_id)
        )

    def get_session_summary(
        self, session_id: str | None = None, *, user_id: str | None = None
    ) -> SessionSummary | None:
        """Return what a session was about, where summaries are made.

        Args:
            session_id: the session; see :class:`Sessions` for what it is by default.
            user_id: the user whose session it must be; by default the agent's, or any.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aget_session_summary(...)").call(
            self.aget_session_summary(session_id, user_id=user_id)
        )

    def get_session_name(
        self, session_id: str | None = None, *, user_id: str | None = None
    ) -> str | None:
        """Return the name of a session, or None where it has none.

        Args:
            session_id: the session; see :class:`Sessions` for what it is by default.
            user_id: the user whose session it must be; by default the agent's, or any.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aget_session_name(...)").call(
            self.aget_session_name(session_id, user_id=user_id)
        )

    def set_session_name(
        self,
        session_id: str | None = None,
        autogenerate: bool = False,
        session_name: str | None = None,
        *,
        user_id: str | None = None,
    ) -> AgentSession:
        """Set the name of a session.

        Args:
            session_id: the session; see :class:`Sessions` for what it is by default.
            autogenerate: have the agent's model name it after what was said.
            session_name: its name.
            user_id: the user whose session it must be; by default the agent's, or any.

        Returns:
            The session.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            SessionNotFoundError: there is none, or it is another user's.
            ModelError: the model has not named it.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be stored.
        """
        return blocking("await agent.aset_session_name(...)").call(
            self.aset_session_name(session_id, autogenerate, session_name, user_id=user_id)
        )

    def generate_session_name(self, session: AgentSession) -> str:
        """Return a name for a session, by the agent's model; it is stored nowhere.

        Args:
            session: the session, of which the first runs are shown to the model.

        Raises:
            ModelError: the model has not named it.
            ConfigurationError: the agent has no db.
            DatabaseError: the session could not be read.
        """
        return blocking("await agent.agenerate_session_name(...)").call(
            self.agenerate_session_name(session)
        )

    def rename(self, name: str, session_id: str | None = None) -> None:
        """Give the agent another name; its id stays.

        Args:
            name: the name.
            session_id: a session that is to say it, in ``agent_data``; by default none.

        Raises:
            InvalidInputError: the name cannot be used.
            SessionNotFoundError: there is no such session.
            DatabaseError: it could not be stored.
        """
        return blocking("await agent.arename(...)").call(self.arename(name, session_id))

    def get_last_run_output(
        self, session_id: str | None = None, *, user_id: str | None = None
    ) -> RunOutput[Output] | None:
        """Return the newest run of a session as it stands, or None where it has none.

        Args:
            session_id: the session; see :class:`Sessions` for what it is by default.
            user_id: the user whose session it must be; by default the agent's, or any.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aget_last_run_output(...)").call(
            self.aget_last_run_output(session_id, user_id=user_id)
        )
