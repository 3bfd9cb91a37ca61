"""An agent's methods for looking at its runs."""

from dataclasses import replace

from kern.agent.definition import AgentDefinition, runtime_of
from kern.agent.work import keep_events
from kern.db.blobs import no_blob
from kern.db.listing import RunFilter
from kern.errors import InvalidInputError
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps, RunStatus
from kern.run.codec import check_id, check_user
from kern.run.content import AudioPart, Blob, FilePart, ImagePart
from kern.run.message import Metrics
from kern.run.numbers import check_count
from kern.run.ownership import ids_of


class Listing(AgentDefinition[Deps, Output]):
    """What an agent can say of its runs."""

    async def aget_run_output(
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
        check_id("run_id", run_id)
        check_user(user_id)
        record = await (await runtime_of(self)).store.get_for(run_id, user_id)
        if record is None:
            return None
        if session_id is not None and record.session_id not in ids_of(session_id, record.user_id):
            return None
        output: RunOutput = RunOutput.from_record(record)
        if self.store_events:
            await keep_events(self, output)
        return self._typed(output)

    async def aget_blob(self, run_id: str, hash: str, *, user_id: str | None = None) -> bytes:
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
        check_id("run_id", run_id)
        check_id("hash", hash)
        check_user(user_id)
        store = (await runtime_of(self)).store
        if user_id is not None:
            record = await store.get_for(run_id, user_id)
            if record is None:
                raise no_blob(run_id, hash)
            run_id = record.run_id
        return await store.blobs.get(run_id, hash)

    async def aload_media(
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
        loaded = dict(run.media or {})
        sources = [
            part.source
            for message in run.messages
            for part in message.parts
            if isinstance(part, ImagePart | AudioPart | FilePart)
        ]
        for source in sources:
            if isinstance(source, Blob) and source.shown is None and source.hash not in loaded:
                hash = source.hash
                loaded[hash] = await self.aget_blob(run.run_id, hash, user_id=user_id)
        run.media = loaded
        return run

    async def alist_runs(
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
        ``tools``, ``model`` and ``model_provider`` are empty; :meth:`aget_run_output` has them.
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
        wanted = RunFilter(
            agent_id=self.id,
            statuses=() if status is None else (_status(status),),
            session_id=None if session_id is None else check_id("session_id", session_id),
            user_id=check_user(user_id),
        )
        if before is not None:
            check_id("before", before)
        limit = check_count("limit", limit)
        records = await (await runtime_of(self)).store.page(wanted, limit, before)
        found = [replace(RunOutput.from_record(each), agent_name=self.name) for each in records]
        return [self._typed(each) for each in found]

    async def aget_session_metrics(
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
        session_id, user_id = self._meant(session_id), check_user(user_id or self.user_id)
        store = (await runtime_of(self)).store
        if user_id is not None:
            session_id = await store.users.session_id(session_id, user_id)
        sums = await store.usage_of_session(session_id)
        if not sums:
            return None
        metrics = Metrics.from_dict(
            {name: int(value) if value.is_integer() else value for name, value in sums}
        )
        metrics.cost = None if metrics.cost is None else round(metrics.cost, 12)
        return metrics


def _status(value: object) -> RunStatus:
    try:
        return RunStatus(str(value))
    except ValueError:
        known = ", ".join(RunStatus)
        raise InvalidInputError(f"status must be one of {known}, not {value!r:.50}.") from None
