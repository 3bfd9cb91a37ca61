"""The slots of a process: how many background runs it executes at once."""

import asyncio


class Slots:
    """Counts the runs that execute, up to a limit.

    Attributes:
        limit: how many may begin.
        taken: how many slots are in use; more than the limit where a run that has waited for
            another goes on.
        waiting: how many runs have given their slot back while they wait for others.
        freed: set when a slot becomes free where none was.
    """

    def __init__(self, limit: int) -> None:
        """Have all slots free."""
        self.limit = limit
        self.taken = 0
        self.waiting = 0
        self.freed = asyncio.Event()
        self._full_since: float | None = None

    @property
    def free(self) -> int:
        """How many more runs may begin."""
        return max(0, self.limit - self.taken)

    @property
    def children_only(self) -> bool:
        """Whether so many runs wait for others that nothing but their children may begin."""
        return self.waiting >= 10 * self.limit

    def full_for(self) -> float:
        """Return for how many seconds no slot has been given back, while none is free."""
        if self._full_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._full_since

    def take(self) -> None:
        """Take a slot; one that is above the limit as well."""
        self.taken += 1
        if self.taken >= self.limit and self._full_since is None:
            self._full_since = asyncio.get_running_loop().time()

    def give_back(self) -> None:
        """Give a slot back."""
        was_full = self.free == 0
        self.taken -= 1
        self._full_since = None
        if self.free == 0:
            self._full_since = asyncio.get_running_loop().time()
        elif was_full:
            self.freed.set()

    def set_waiting(self, waits: bool) -> None:
        """Give the slot of a run back while it waits for others, and take it again after that."""
        self.waiting += 1 if waits else -1
        if waits:
            self.give_back()
        else:
            self.take()
