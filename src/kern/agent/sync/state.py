"""Generated from ``kern/agent/state.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Mapping

from kern.agent.blocking import blocking
from kern.agent.state import SessionStates
from kern.run.agent import Output
from kern.run.base import Deps


class SyncSessionStates(SessionStates[Deps, Output]):
    """The methods of :class:`SessionStates`, for code without an event loop."""

    def get_session_state(
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
        return blocking("await agent.aget_session_state(...)").call(
            self.aget_session_state(session_id, user_id=user_id)
        )

    def update_session_state(
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
        return blocking("await agent.aupdate_session_state(...)").call(
            self.aupdate_session_state(updates, session_id, user_id=user_id)
        )
