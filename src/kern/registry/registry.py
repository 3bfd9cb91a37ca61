"""What of a program saved agents may name."""

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import cast

from kern.binder import name_of
from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.keywords import explained, nearest
from kern.models.base import Model
from kern.tools.base import Tool
from kern.tools.rules import UserFunction
from kern.tools.toolkit import Toolkit


class Registry:
    """What of this program agents that are saved may name: by its name, or by an import path.

    Attributes:
        modules: from which modules, and those below them, functions and classes may come.

    Example:
        >>> def weather(city: str) -> str:
        ...     '''Tell the weather of a city.'''
        ...     return f"It rains in {city}."
        >>> from kern.agent import Agent
        >>> registry = Registry(tools=[weather])
        >>> data = Agent("Guide", tools=[weather]).to_dict(registry)
        >>> data["tools"]
        [{'$kern': 'registered', 'name': 'weather'}]
        >>> [*Agent.from_dict(data, registry).tools]
        ['weather']
    """

    @explained
    def __init__(
        self,
        tools: Sequence[object] = (),
        models: Sequence[Model] = (),
        dbs: Sequence[Database] = (),
        schemas: Sequence[object] = (),
        functions: Sequence[object] = (),
        agents: Sequence[object] = (),
        teams: Sequence[object] = (),
        values: Mapping[str, object] | None = None,
        modules: Sequence[str] = (),
        *,
        name: str | None = None,
    ) -> None:
        """Name what there is.

        Args:
            tools: functions, tools, toolkits; each is known by its own name.
            models: models, each known by its class and id, as in ``"Claude claude-sonnet-5-5"``.
            dbs: databases, each known by what its ``to_dict`` says of it.
            schemas: types of what agents are given or answer, by the names of their classes.
            functions: instructions, hooks, retrievers and the like, by their names.
            agents: agents, by their ids.
            teams: teams, by theirs.
            values: anything else, and what has no name of its own or shares it, by the name that
                it is to have.
            modules: the modules from which functions and classes may be imported by the path that
                a saved agent has for them, as in ``["shop"]`` for ``shop.tools:price``.
            name: what people call it.

        Raises:
            ConfigurationError: something has no name, or two things have one.
        """
        if isinstance(modules, str) or not all(modules):
            raise ConfigurationError(f"modules must be a list of names, not {modules!r:.80}.")
        self.name = name
        self.modules: tuple[str, ...] = (*modules,)
        self.dbs: tuple[Database, ...] = (*dbs,)
        self._values: dict[str, object] = {}
        for names in (
            _named("tools", tools),
            _named("models", models),
            _named("schemas", schemas),
            _named("functions", functions),
            _named("agents", agents),
            _named("teams", teams),
            (values or {}).items(),
        ):
            for own, value in names:
                if own in self._values and not _is_same(self._values[own], value):
                    raise ConfigurationError(
                        f"Two things in the registry have the name {own!r:.100}. Give one of them "
                        "another: Registry(values={'another': ...})."
                    )
                self._values[own] = value

    def __repr__(self) -> str:
        return f"Registry({[*self._values]}, modules={[*self.modules]})"

    def __getitem__(self, name: str) -> object:
        """Return what has a name.

        Raises:
            ConfigurationError: there is no such thing; the text names the nearest one.
        """
        try:
            return self._values[name]
        except KeyError:
            raise ConfigurationError(
                f"The registry has no {name!r:.100}. {nearest(name, [*self._values])}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def name_of(self, value: object) -> str | None:
        """Return the name of a value, or None where it is not registered."""
        return next((name for name, each in self._values.items() if _is_same(each, value)), None)

    def allows(self, module: str) -> bool:
        """Say whether functions and classes of a module may be imported."""
        return any(f"{module}.".startswith(f"{each}.") for each in self.modules)


def _named(kind: str, values: Sequence[object]) -> Iterator[tuple[str, object]]:
    for value in values:
        name: object
        if isinstance(value, Model):
            name = f"{type(value).__name__} {value.id}"
        elif isinstance(value, Tool | Toolkit):
            name = value.name
        elif callable(value) or isinstance(value, type):
            name = name_of(cast("UserFunction", value))
        else:
            name = getattr(value, "id", None) or getattr(value, "name", None)
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"Registry(): {kind} has {value!r:.80}, which has no name. Give it one: "
                "Registry(values={'name': ...})."
            )
        yield name, value


def _is_same(known: object, value: object) -> bool:
    """Say whether two values are one, or what is made anew each time it is named."""
    if known is value:
        return True
    is_comparable = callable(value) or isinstance(value, str | UnionType)
    return is_comparable and type(known) is type(value) and bool(known == value)
