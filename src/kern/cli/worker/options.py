"""What a worker's process has to know."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Options:
    """What the user has chosen; the environment holds the rest.

    Attributes:
        targets: the agents, each ``module:attribute``.
        grace: seconds that runs in flight have when the worker is asked to end.
        log: ``text`` or ``json``.
    """

    targets: list[str]
    grace: float
    log: str

    def to_json(self) -> str:
        """Return them as text for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read them."""
        return cls(**json.loads(text))
