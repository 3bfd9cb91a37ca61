"""What the engine needs to know of an agent."""

from collections.abc import Mapping
from typing import Protocol

from kern.models.base import Model
from kern.tools import Tool


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

    @property
    def tools(self) -> Mapping[str, Tool]:
        """What the model can have called, by name."""

    @property
    def tool_call_limit(self) -> int | None:
        """How many calls a run may make, or None for any number."""

    @property
    def dependencies(self) -> Mapping[str, object]:
        """What the tools are given."""

    @property
    def max_concurrent_runs(self) -> int | None:
        """How many of its background runs execute at once, in all processes."""

    @property
    def max_concurrent_runs_per_user(self) -> int | None:
        """How many of a user's background runs execute at once, in all processes."""

    @property
    def max_queued_runs(self) -> int | None:
        """How many of its background runs may wait to be executed."""
