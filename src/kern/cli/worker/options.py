"""What a worker's process has to know."""

import json
from dataclasses import asdict, dataclass
from typing import Self

GAVE_UP = 3
"""The exit code of a process that has waited for its database in vain."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user has chosen; the environment holds the rest.

    Attributes:
        targets: the agents, each ``module:attribute``.
        grace: seconds that runs in flight have when the worker is asked to end.
        log: ``text`` or ``json``.
        database_wait: seconds for which the start waits for a database that cannot be reached
            yet; None for any time.
        otel: whether runs are observed by OpenTelemetry.
    """

    targets: list[str]
    grace: float
    log: str
    database_wait: float | None = None
    otel: bool = False

    def to_json(self) -> str:
        """Return them as text for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read them."""
        return cls(**json.loads(text))
