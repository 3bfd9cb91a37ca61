"""An agent as JSON values, and made of them."""

from collections.abc import Mapping
from typing import Self, cast

from kern.agent.definition import AgentDefinition
from kern.db.database import Database
from kern.registry import Registry
from kern.run.agent import Output
from kern.run.base import Deps


class Serialization(AgentDefinition[Deps, Output]):
    """An agent as JSON values, and made of them."""

    def to_dict(self, registry: Registry | None = None) -> dict[str, object]:
        """Return the agent as JSON values: what it was given, but what is so by default.

        Keys are left out; the environment has them wherever the agent is made again. Functions and
        classes are kept by their import path, or by the name that the registry has for them.

        Args:
            registry: what has a name there is kept by it.

        Raises:
            ConfigurationError: something that it was given cannot be kept; the text names all of
                it, and says what to do.

        Example:
            >>> from kern.agent import Agent
            >>> data = Agent("Poet", "openai:gpt-5.4", markdown=True).to_dict()
            >>> data["id"], data["model"]["id"], data["markdown"]
            ('poet', 'gpt-5.4', True)
        """
        from kern.agent.at_rest import to_values

        return to_values(self, registry or Registry())

    @classmethod
    def from_dict(cls, data: Mapping[str, object], registry: Registry | None = None) -> Self:
        """Return the agent that :meth:`to_dict` gave the values of.

        Nothing is imported for it but what the registry allows, and kern's own.

        Args:
            data: the values.
            registry: what they may name.

        Raises:
            ConfigurationError: they are none of an agent, or name what is not at hand.
        """
        return cls._of(data, registry)

    @classmethod
    def _of(
        cls, data: Mapping[str, object], registry: Registry | None, db: Database | None = None
    ) -> Self:
        """Return the agent that values are of, where they come from a database with that."""
        from kern.agent.at_rest import of_values

        return cast("Self", of_values(data, registry or Registry(), cls, db))
