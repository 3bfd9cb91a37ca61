"""An agent's methods for the states of its sessions."""

from collections.abc import Mapping

from kern.agent.definition import AgentDefinition, runtime_of
from kern.db.base import Store
from kern.errors import SessionNotFoundError
from kern.run.agent import Output
from kern.run.base import Deps
from kern.run.codec import check_user, encode
from kern.run.state import StatePatch, texts_of, values_of


class SessionStates(AgentDefinition[Deps, Output]):
    """What is kept of a session beside its runs."""

    async def aget_session_state(
        self, session_id: str | None = None, *, user_id: str | None = None
    ) -> dict[str, object]:
        """Return the state of a session, as it is stored.

        What a run changes is there with the result of the tool call, or of the hook, that has
        changed it. A session that has none, or is not known, has an empty one.

        Args:
            session_id: the session; by default the agent's own.
            user_id: the user who calls it so; by default the agent's own, or any.

        Raises:
            InvalidInputError: neither names a session.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        store = (await runtime_of(self)).store
        return values_of(
            (await store.states.of(await self._stored_id(store, session_id, user_id))).texts
        )

    async def aupdate_session_state(
        self,
        updates: Mapping[str, object],
        session_id: str | None = None,
        *,
        user_id: str | None = None,
    ) -> str:
        """Set keys in the state of a session; the others stay as they are.

        A run that was accepted before does not change these keys any more.

        Args:
            updates: the keys, each with its value, in JSON.
            session_id: the session; by default the agent's own.
            user_id: the user who calls it so; by default the agent's own, or any.

        Returns:
            A sentence with the state as it is now.

        Raises:
            InvalidInputError: a value is not JSON.
            SessionNotFoundError: there is no such session, or it is another user's.
            ConfigurationError: the agent has no db.
            DatabaseError: it was not changed.
        """
        patch = StatePatch(values_of(texts_of(updates)))
        store = (await runtime_of(self)).store
        stored_id = await self._stored_id(store, session_id, user_id)
        if not await store.states.change(stored_id, patch):
            raise SessionNotFoundError(
                f"There is no session {session_id or self.session_id!r} in {self.db}. It begins "
                "with its first run."
            )
        state = values_of((await store.states.of(stored_id)).texts)
        return f"Updated session state: {encode(state, 'session_state')}"

    async def _stored_id(self, store: Store, session_id: str | None, user_id: str | None) -> str:
        """Return the id of the session that is meant.

        Raises:
            InvalidInputError: none is.
        """
        named, user = self._meant(session_id), check_user(user_id or self.user_id)
        return named if user is None else await store.users.session_id(named, user)
