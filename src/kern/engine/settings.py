"""What the environment sets for the engine."""

import os
from dataclasses import dataclass
from typing import Self

from kern.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """How a process takes part.

    Attributes:
        in_process_worker: whether the process executes runs, or only submits them
            (``KERN_IN_PROCESS_WORKER``, default 1).
        heartbeat: seconds without a sign of life after which a run's executor counts as lost
            (``KERN_HEARTBEAT``, default 15).
    """

    in_process_worker: bool = True
    heartbeat: float = 15.0

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings.

        Raises:
            ConfigurationError: a variable holds something else than it should.
        """
        worker = os.environ.get("KERN_IN_PROCESS_WORKER", "1")
        if worker not in ("0", "1"):
            raise ConfigurationError(f"KERN_IN_PROCESS_WORKER must be 0 or 1, not {worker!r}.")
        heartbeat = os.environ.get("KERN_HEARTBEAT", "15")
        try:
            seconds = float(heartbeat)
        except ValueError:
            seconds = 0.0
        if not 0.5 <= seconds <= 3600:
            raise ConfigurationError(
                f"KERN_HEARTBEAT must be 0.5 to 3600 seconds, not {heartbeat!r}."
            )
        return cls(worker == "1", seconds)
