"""Cancels: stored first, then handed to what executes the run, and to its children; erasing."""

import logging
from collections.abc import Sequence

from kern.aio.retry import until_available
from kern.dispatch.here import Here
from kern.errors import DatabaseUnavailableError
from kern.execution.executor import Executor
from kern.execution.observing import everywhere
from kern.models.base import Model
from kern.run.base import RunStatus
from kern.run.fold import fold
from kern.run.ownership import ids_of, may_see

logger = logging.getLogger("kern")


class Cancelling:
    """Cancels runs, wherever they execute or wait."""

    def __init__(self, here: Here, executor: Executor) -> None:
        """Prepare.

        Args:
            here: what the parts of the runtime share.
            executor: what executes here.
        """
        self._store = here.store
        self._executor = executor
        self._subscriptions = here.subscriptions
        self._tasks = here.tasks

    async def cancel(
        self, run_id: str, models: Sequence[Model] = (), user_id: str | None = None
    ) -> bool:
        """Ask for the end of a run and its children; say whether it ends cancelled for this.

        Args:
            run_id: the run, as the user calls it.
            models: the models of the run's agent, where they are known.
            user_id: the user whose run it must be; None for any.

        Raises:
            DatabaseUnavailableError: it could not be stored; that is repeated until it is.
        """
        try:
            run_id, known = await self._store_cancel(run_id, user_id)
        except DatabaseUnavailableError as error:
            logger.warning("the cancel of run %s is repeated until it is stored: %s", run_id, error)
            self._stop_here(run_id, user_id)
            self._tasks.start(self._cancel_later(run_id, models, user_id))
            raise
        if not known:
            return False
        if not self._executor.stop(run_id):
            self._subscriptions.notify(run_id)
            if everywhere:
                await self._tell_observers(run_id)
        for child in await self._store.children(run_id):
            await self.cancel(child)
        if any(model.keeps_answers for model in models):
            await self._cancel_kept_answer(run_id, models)
        return True

    async def erase(self, run_id: str, models: Sequence[Model], user_id: str | None) -> bool:
        """Have nothing of a run kept, or of its children; say whether there was one.

        Nobody sees it from then on. What has not ended is cancelled, and erased as it ends.

        Args:
            run_id: the run, as the user calls it.
            models: the models of the run's agent.
            user_id: the user whose run it must be; None for any.

        Raises:
            DatabaseError: it is not erased, or not all of it; the sweep goes on with what is begun.
        """
        record = await self._store.get_for(run_id, user_id)
        if record is None:
            return False
        erasing = self._store.erasing
        while (is_hidden := await erasing.hide(record.run_id)) is None:  # It has not ended.
            await self.cancel(record.run_id, models)
        for child in await self._store.children(record.run_id):
            await self.cancel(child)
        await erasing.erase([record.run_id])
        return is_hidden

    async def _store_cancel(self, chosen: str, user_id: str | None) -> tuple[str, bool]:
        """Store a cancel; return the run's id, and whether it ends cancelled for this."""
        if user_id is None:
            return chosen, await self._store.cancel(chosen)
        known, run_id = False, None
        # Another user's run may have come between the look and the cancel.
        while not known and run_id != (found := await self._store.users.run_id(chosen, user_id)):
            known, run_id = await self._store.cancel(found, user_id), found
        return run_id or chosen, known

    def _stop_here(self, chosen: str, user_id: str | None) -> None:
        for run_id in ids_of(chosen, user_id):
            attempt = self._executor.attempt(run_id)
            if attempt is not None and may_see(user_id, attempt.output.user_id):
                self._executor.stop(run_id)
                return

    async def _cancel_later(
        self, run_id: str, models: Sequence[Model], user_id: str | None
    ) -> None:
        await until_available(lambda: self._store_cancel(run_id, user_id))
        await until_available(lambda: self.cancel(run_id, models, user_id))

    async def _tell_observers(self, run_id: str) -> None:
        """Let observers know of a run that has ended with its cancel; its executor tells else."""
        record = await self._store.get(run_id)
        # An attempt would have stored an output.
        if record is not None and record.status is RunStatus.cancelled and record.output is None:
            for each in everywhere:
                each.ended(record)

    async def _cancel_kept_answer(self, run_id: str, models: Sequence[Model]) -> None:
        """Cancel what the provider still works at for a run that nobody executes any more."""
        record = await self._store.get(run_id)
        if record is None or record.status is not RunStatus.cancelled:
            return  # Its executor will do it.
        state = fold(await self._store.events(run_id, 0))
        kept = state.kept_at(models)
        if kept is not None:
            model, handle = kept
            await model.cancel(handle)
