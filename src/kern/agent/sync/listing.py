"""Generated from ``kern/agent/listing.py`` by ``scripts/generate_sync.py``."""

from kern.agent.blocking import blocking
from kern.agent.listing import Listing
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps, RunStatus
from kern.run.message import Metrics


class SyncListing(Listing[Deps, Output]):
    """The methods of :class:`Listing`, for code without an event loop."""

    def get_run_output(
        self, run_id: str, session_id: str | None = None, user_id: str | None = None
    ) -> RunOutput[Output] | None:
        """Return a run as it stands, or None where it is not known.

        Its ``input`` is there once it has ended or paused; ``db.get_run`` reads it before that.

        Args:
            run_id: the run.
            session_id: the session that it must belong to; by default any.
            user_id: the user whose run it must be; by default any.

        Raises:
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aget_run_output(...)").call(
            self.aget_run_output(run_id, session_id, user_id)
        )

    def get_blob(self, run_id: str, hash: str, *, user_id: str | None = None) -> bytes:
        """Return what was too large for a row of a run, and is in its messages by reference.

        Args:
            run_id: the run.
            hash: the ``hash`` of a :class:`~kern.run.content.Blob` in its messages.
            user_id: the user whose run it must be; by default any.

        Returns:
            The media; or the text, in UTF-8 (lone surrogates by ``"surrogatepass"``).

        Raises:
            BlobNotFoundError: the run has none of this hash, or is not there any more.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aget_blob(...)").call(
            self.aget_blob(run_id, hash, user_id=user_id)
        )

    def load_media(
        self, run: RunOutput[Output], *, user_id: str | None = None
    ) -> RunOutput[Output]:
        """Load the bytes of the media in a run's messages, for its images, audio, videos and files.

        Args:
            run: the run, as it was read from the database.
            user_id: the user whose run it must be; by default any.

        Returns:
            The same run; ``run.images[0].content`` is there now.

        Raises:
            BlobNotFoundError: media is not there any more.
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aload_media(...)").call(self.aload_media(run, user_id=user_id))

    def list_runs(
        self,
        *,
        status: RunStatus | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunOutput[Output]]:
        """Return the agent's runs, the last accepted first.

        What the runs have produced is left out, for it may be large: ``content``, ``messages``,
        ``tools``, ``model`` and ``model_provider`` are empty; :meth:`get_run_output` has them.
        Ids, status, error, metadata, metrics and ``created_at`` are as they stand.

        Args:
            status: only those that are there.
            session_id: only those of this conversation.
            user_id: only those of this user.
            limit: how many at most.
            before: the last run of the page before; by default the first page is returned.

        Raises:
            RunNotFoundError: there is no run ``before``, or none any more.
            InvalidInputError: an argument cannot be used.
            ConfigurationError: the agent has no db.
            DatabaseError: they could not be read.
        """
        return blocking("await agent.alist_runs(...)").call(
            self.alist_runs(
                status=status, session_id=session_id, user_id=user_id, limit=limit, before=before
            )
        )

    def get_session_metrics(
        self, session_id: str | None = None, *, user_id: str | None = None
    ) -> Metrics | None:
        """Return what the runs of a session have used and cost together, of whichever agents.

        Runs count once they have ended or paused. The longer the session, the longer it takes.

        Args:
            session_id: the session; by default the agent's own, or in a script the conversation
                that it has begun there.
            user_id: the user who calls it that; by default the agent's own, or nobody.

        Returns:
            The sums; None where no run of the session has ended or paused.

        Raises:
            InvalidInputError: an argument cannot be used, or it is not said which session.
            ConfigurationError: the agent has no db.
            DatabaseError: they could not be read.
        """
        return blocking("await agent.aget_session_metrics(...)").call(
            self.aget_session_metrics(session_id, user_id=user_id)
        )
