"""Values of a program, read from JSON values that were written of them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from kern.db.database import Database
from kern.errors import ConfigurationError, described
from kern.keywords import Recorded, nearest
from kern.registry.paths import value_at
from kern.registry.registry import Registry
from kern.registry.writing import PLAIN, TAG, Json
from kern.tools.base import Tool

Read: TypeAlias = Callable[[Json, "Reader", str], object]
"""Reads the members of an object of a kind, which is at a place."""


class Reader:
    """Reads values. What it imports is kern's own, or what the registry allows.

    Attributes:
        registry: what may be named.
        db: the database from which all is read; None where it comes from none.
    """

    def __init__(
        self, registry: Registry, kinds: Mapping[str, Read], db: Database | None = None
    ) -> None:
        """Begin.

        Args:
            registry: what may be named.
            kinds: how objects are read that say of what kind they are.
            db: the database from which all is read, if it comes from one.
        """
        self.registry = registry
        self.db = db
        self._kinds: Mapping[str, Read] = {
            "registered": _registered,
            "import": _imported,
            "type": _plain_type,
            "object": _object,
            **kinds,
        }

    def read(self, value: object, where: str) -> object:
        """Return the value that JSON values were written of.

        Args:
            value: the JSON values.
            where: their place, for the error.

        Raises:
            ConfigurationError: they are none of a value, or name what is not at hand.
        """
        if isinstance(value, list):
            items = cast("list[object]", value)
            return [self.read(each, f"{where}[{place}]") for place, each in enumerate(items)]
        if not isinstance(value, dict):
            return value
        given = cast("Json", value)
        if TAG not in given:
            return self.members(given, where)
        kind = given[TAG]
        read = self._kinds.get(kind) if isinstance(kind, str) else None
        if read is None:
            raise ConfigurationError(
                f"{where}: there is no kind {kind!r:.50}. A later version of kern may have it."
            )
        try:
            return read({name: each for name, each in given.items() if name != TAG}, self, where)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"{where} cannot be made: {described(error)}") from error

    def members(self, given: Json, where: str) -> dict[str, Any]:
        """Return what an object has by names."""
        return {
            name: self.read(each, f"{where}.{name}" if where else name)
            for name, each in given.items()
        }

    def imported(self, path: object, where: str) -> object:
        """Return what is at an import path.

        Raises:
            ConfigurationError: it may not be imported, or is not there.
        """
        text = path if isinstance(path, str) else ""
        module = text.partition(":")[0]
        is_own = module.split(".")[0] == "kern" and "__main__" not in module
        if not (is_own or self.registry.allows(module)):
            name = text.rpartition(":")[2]
            raise ConfigurationError(
                f"{where} is {text!r:.200}, and nothing is imported that is not allowed: "
                f"Registry(modules=[{module!r:.100}]), or Registry(functions=[{name:.100}])."
            )
        try:
            found = value_at(text)
        except Exception as error:
            raise ConfigurationError(
                f"{where} is {text!r:.200}, which cannot be imported: {described(error)}"
            ) from error
        if not is_own:
            return found
        if not (
            isinstance(found, Tool) or (isinstance(found, type) and issubclass(found, Recorded))
        ):
            raise ConfigurationError(f"{where} is {text!r:.200}, which no agent can have.")
        if isinstance(found, type) and issubclass(found, Recorded) and found.uses_files:
            raise ConfigurationError(
                f"{where} is {text!r:.200}, by which a model may use files of this machine. "
                "Register it: Registry(values={'its name': ...})."
            )
        return found


def text_in(given: Json, name: str, where: str) -> str:
    """Return a text that an object has by a name.

    Raises:
        ConfigurationError: it has none.
    """
    value = given.get(name)
    if isinstance(value, str):
        return value
    raise ConfigurationError(f"{where}: its {name} must be a text, not {value!r:.50}.")


def parts_of(cls: type) -> Read:
    """Return what reads the fields of a dataclass.

    Args:
        cls: the dataclass.
    """

    def read(given: Json, reader: Reader, where: str) -> object:
        return cls(**reader.members(given, where))

    return read


def _registered(given: Json, reader: Reader, where: str) -> object:
    try:
        return reader.registry[text_in(given, "name", where)]
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _imported(given: Json, reader: Reader, where: str) -> object:
    name = given.get("name")
    if isinstance(name, str) and name in reader.registry:
        return reader.registry[name]
    return reader.imported(given.get("path"), where)


def _plain_type(given: Json, reader: Reader, where: str) -> object:
    name = text_in(given, "name", where)
    if name not in PLAIN:
        raise ConfigurationError(f"{where}: {name!r:.50} is no type. {nearest(name, [*PLAIN])}")
    return PLAIN[name]


def _object(given: Json, reader: Reader, where: str) -> object:
    made = reader.imported(given.get("class"), where)
    arguments = given.get("arguments", {})
    if not isinstance(made, type) or not issubclass(made, Recorded):
        raise ConfigurationError(f"{where} is {made!r:.80}, of which no agent has an object.")
    if not isinstance(arguments, dict):
        raise ConfigurationError(f"{where} has no arguments, but {arguments!r:.50}.")
    return made(**reader.members(cast("Json", arguments), where))
