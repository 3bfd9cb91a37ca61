"""What the parts of a runtime share."""

from collections.abc import Callable
from dataclasses import dataclass

from kern.aio.tasks import Tasks
from kern.db.base import Store
from kern.dispatch.definitions import Definitions
from kern.dispatch.settings import Settings
from kern.dispatch.signals import Subscriptions
from kern.dispatch.slots import Slots


@dataclass(frozen=True, slots=True)
class Here:
    """One event loop with one database.

    Attributes:
        store: the database, open for the event loop.
        name: the executor's name, which nobody else has.
        settings: how the process takes part.
        slots: how many background runs execute at once.
        definitions: the agents, and the runs that are pinned to them.
        subscriptions: who is notified of runs.
        tasks: owns the tasks.
        owner: returns what keeps the store open; it is held while runs are in hand.
    """

    store: Store
    name: str
    settings: Settings
    slots: Slots
    definitions: Definitions
    subscriptions: Subscriptions
    tasks: Tasks
    owner: Callable[[], object]
