"""Resources of an event loop that several owners share, and that close after the last of them."""

import weakref
from collections.abc import AsyncGenerator, Callable, Hashable
from typing import Generic, TypeVar

from kern.aio.per_loop import PerLoop
from kern.aio.tasks import Tasks

Resource = TypeVar("Resource")

# How long a resource is kept after its last owner is gone, in seconds: a server that makes an
# owner a request makes the next one soon.
_LINGER = 5.0


class Shared(PerLoop[Resource]):
    """A :class:`PerLoop` that counts its owners, and closes a little after the last is gone."""

    def __init__(self, open_resource: Callable[[], AsyncGenerator[Resource, None]]) -> None:
        """Prepare, without owners.

        Args:
            open_resource: yields the resource once, and closes it after that. It must not hold
                an owner, which would never be gone.
        """
        super().__init__(open_resource)
        self._owners: weakref.WeakSet[object] = weakref.WeakSet()
        self._tasks = Tasks()

    def join(self, owner: object) -> None:
        """Count an owner until it leaves or is gone; a second call changes nothing."""
        if owner not in self._owners:
            self._owners.add(owner)
            weakref.finalize(owner, self._lost_owner).atexit = False

    async def aleave(self, owner: object) -> None:
        """Count an owner no more, and close the running loop's resource if it was the last."""
        self._owners.discard(owner)
        if not self._is_owned:
            await self.aclose()

    def leave(self, owner: object) -> None:
        """Count an owner no more, and close all loops' resources if it was the last.

        Raises:
            ConfigurationError: as :meth:`close` does.
        """
        self._owners.discard(owner)
        if not self._is_owned:
            self.close()

    @property
    def _is_owned(self) -> bool:
        # Not its length, which counts who is going at this moment.
        return any(True for _ in self._owners)

    def _lost_owner(self) -> None:
        """Called where the owner's last reference went, in any thread."""
        if self._is_owned:
            return
        for loop in self.loops:
            try:
                loop.call_soon_threadsafe(loop.call_later, _LINGER, self._close_unless_owned)
            except RuntimeError:  # The loop has just closed, and the resource with it.
                continue

    def _close_unless_owned(self) -> None:
        if not self._is_owned:
            self._tasks.start(self.aclose())


class Registry(Generic[Resource]):
    """Finds what is shared by what it is."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._shared: weakref.WeakValueDictionary[Hashable, Shared[Resource]] = (
            weakref.WeakValueDictionary()
        )

    def find(
        self, key: Hashable, open_resource: Callable[[], AsyncGenerator[Resource, None]]
    ) -> Shared[Resource]:
        """Return the resource of ``key``, which all who ask with an equal key are given."""
        # Without a lock, which a fork could leave locked: threads have loops of their own anyway.
        return self._shared.setdefault(key, Shared(open_resource))
