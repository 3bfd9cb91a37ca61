"""How long calls wait, and whether a model may answer what runs wait for."""

import os
from typing import Self

import msgspec

from kern.errors import ConfigurationError

LONGEST_WAIT = 3600.0
"""Seconds for which a call may be asked to wait."""


class Settings(msgspec.Struct, frozen=True):
    """What the environment says of agents as tools.

    Attributes:
        wait: seconds after which a call returns a receipt in place of the answer
            (``KERN_MCP_WAIT``); clients give a call up after a time of their own.
        answers: whether callers with the scope ``approve`` are offered the tool ``answer_run``
            (``KERN_MCP_ANSWERS``), by which a model can answer what a run waits for.
    """

    wait: float = 25.0
    answers: bool = False

    @classmethod
    def from_environment(cls) -> Self:
        """Read them.

        Raises:
            ConfigurationError: a variable holds something else than it should.
        """
        wait = os.environ.get("KERN_MCP_WAIT") or "25"
        answers = os.environ.get("KERN_MCP_ANSWERS") or "0"
        try:
            seconds = float(wait)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= LONGEST_WAIT:
            raise ConfigurationError(
                f"KERN_MCP_WAIT must be 0 to {LONGEST_WAIT:g} seconds, not {wait!r:.50}."
            )
        if answers not in ("0", "1"):
            raise ConfigurationError(f"KERN_MCP_ANSWERS must be 0 or 1, not {answers!r:.50}.")
        return cls(seconds, answers == "1")
