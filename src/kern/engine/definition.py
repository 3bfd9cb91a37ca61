"""What the engine needs to know of an agent."""

from typing import Protocol

from kern.models.base import Model


class Definition(Protocol):
    """An agent, as far as its execution goes."""

    @property
    def id(self) -> str:
        """Its identity across processes."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def model(self) -> Model:
        """Who answers."""

    @property
    def system_message(self) -> str | None:
        """What the model is told before the conversation."""

    @property
    def history_runs(self) -> int:
        """How many of the session's earlier runs the model is shown."""
