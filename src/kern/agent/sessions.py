"""An agent's methods for its sessions: what was said there, and what is kept with them."""

from collections.abc import Collection, Sequence
from typing import cast

from kern.agent.definition import AgentDefinition
from kern.agent.naming import name_of
from kern.agent.work import keep_events
from kern.db.methods import RUNS, Methods
from kern.errors import ConfigurationError, InvalidInputError, SessionNotFoundError
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps, RunStatus
from kern.run.codec import check_id, check_user
from kern.run.message import Message
from kern.run.numbers import check_count
from kern.session.agent import AgentSession, AnyRun, is_chat, messages_of_runs
from kern.session.summary import SessionSummary


class Sessions(AgentDefinition[Deps, Output]):
    """What an agent can say of its sessions, and do with them.

    Where no session is named, it is that of ``Agent(session_id=...)``; an agent that is made in
    ``__main__`` has, in the same line of execution, the conversation that it began there.
    """

    async def aget_session(
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
        return await self._found(session_id, user_id, runs_limit)

    async def asave_session(self, session: AgentSession) -> AgentSession:
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
        if isinstance(session, AgentSession) and session.agent_id is None:
            session.agent_id = self.id
        stored = await self._database.aupsert_session(session)
        assert stored is not None, "it was asked for"
        return self._with_types(stored)

    async def adelete_session(
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
        return await self._database.adelete_session(session_id, user_id or self.user_id)

    async def afork_session(self, *, source_session_id: str, user_id: str | None = None) -> str:
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
        check_id("source_session_id", source_session_id)
        store = await self._database.store()
        forked = await store.sessions.fork(source_session_id, check_user(user_id or self.user_id))
        if forked is None:
            raise SessionNotFoundError(
                f"There is no session {source_session_id!r} with a run that has ended, or it is "
                "another user's."
            )
        return forked

    async def aget_session_messages(
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
        many = RUNS if last_n_runs is None else check_count("last_n_runs", last_n_runs)
        if limit is not None:
            check_count("limit", limit)
        skipped = set(RunStatus) - {RunStatus.completed} if skip_statuses is None else skip_statuses
        wanted = [each for each in RunStatus if each not in skipped]
        runs = await self._runs(session_id, user_id, many, wanted)
        return messages_of_runs(
            runs, limit, skip_roles, skip_history_messages=skip_history_messages
        )

    async def aget_chat_history(
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
        found = await self.aget_session_messages(session_id, last_n_runs, user_id=user_id)
        return [each for each in found if is_chat(each)]

    async def aget_session_summary(
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
        found = await self._found(session_id, user_id)
        return None if found is None else found.summary

    async def aget_session_name(
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
        found = await self._found(session_id, user_id)
        return None if found is None else found.session_name

    async def aset_session_name(
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
        if autogenerate == (session_name is not None):
            raise InvalidInputError("Give session_name, or autogenerate=True for one by the model.")
        found = await self._existing(session_id, user_id)
        if session_name is None:
            session_name = await self.agenerate_session_name(found)
        renamed = await self._database.arename_session(
            found.session_id, session_name=session_name, user_id=user_id or self.user_id
        )
        if renamed is None:
            raise _missing(found.session_id)
        return self._with_types(renamed)

    async def agenerate_session_name(self, session: AgentSession) -> str:
        """Return a name for a session, by the agent's model; it is stored nowhere.

        Args:
            session: the session, of which the first runs are shown to the model.

        Raises:
            ModelError: the model has not named it.
            ConfigurationError: the agent has no db.
            DatabaseError: the session could not be read.
        """
        store = await self._database.store()
        previews = await store.sessions.previews([session.session_id], 3)
        return await name_of(self.model, previews)

    async def arename(self, name: str, session_id: str | None = None) -> None:
        """Give the agent another name; its id stays.

        Args:
            name: the name.
            session_id: a session that is to say it, in ``agent_data``; by default none.

        Raises:
            InvalidInputError: the name cannot be used.
            SessionNotFoundError: there is no such session.
            DatabaseError: it could not be stored.
        """
        self.name: str = check_id("name", name)
        if session_id is not None:
            session = await self._existing(session_id, None)
            session.agent_data = {**(session.agent_data or {}), "name": name}
            await self.asave_session(session)

    async def aget_last_run_output(
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
        runs = await self._runs(session_id, user_id, 1, ())
        if not runs:
            return None
        if self.store_events:
            await keep_events(self, runs[0])
        return cast("RunOutput[Output]", runs[0])

    @property
    def _database(self) -> Methods:
        if isinstance(self.db, Methods):
            return self.db
        raise ConfigurationError(
            "Sessions need a database: Agent(..., db=PostgresDb(db_url=...)), or SqliteDb or "
            "InMemoryDb."
        )

    async def _runs(
        self,
        session_id: str | None,
        user_id: str | None,
        limit: int,
        statuses: Sequence[RunStatus],
    ) -> list[AnyRun]:
        """Return the newest runs of a session, the oldest of them first."""
        store = await self._database.store()
        user_id = check_user(user_id or self.user_id)
        row = await store.sessions.get_for(self._meant(session_id), user_id)
        if row is None:
            return []
        records = await store.sessions.runs(
            row.session_id, limit, statuses, user_id=user_id, without_children=True
        )
        return [self._typed(RunOutput.from_record(each)) for each in records]

    async def _found(
        self, session_id: str | None, user_id: str | None, runs_limit: int | None = None
    ) -> AgentSession | None:
        found = await self._database.aget_session(
            self._meant(session_id), None, user_id or self.user_id, runs_limit=runs_limit
        )
        return None if found is None else self._with_types(found)

    async def _existing(self, session_id: str | None, user_id: str | None) -> AgentSession:
        found = await self._found(session_id, user_id)
        if found is None:
            raise _missing(self._meant(session_id))
        return found

    def _with_types(self, session: AgentSession) -> AgentSession:
        """Have the runs of a session hold instances of the types that they answer."""
        session.convert_runs(self._typed)
        return session


def _missing(session_id: str) -> SessionNotFoundError:
    return SessionNotFoundError(f"There is no session {session_id!r}, or it is another user's.")
