"""Values of a program as JSON values; what cannot be written is named, all of it at once."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields
from enum import Enum
from math import isfinite
from os import PathLike, fspath
from typing import Any, TypeAlias, cast

from kern.binder import name_of
from kern.errors import ConfigurationError
from kern.keywords import Recorded, arguments_of
from kern.registry.paths import path_of
from kern.registry.registry import Registry
from kern.registry.secrets import has_secret, is_called_secret

TAG = "$kern"
"""The name under which an object says of what kind it is that is no JSON value in the program."""

Json: TypeAlias = dict[str, object]
Write: TypeAlias = Callable[[Any, "Writer", str], Json]
"""Writes a value of a kind, which is at a place."""


class Writer:
    """Writes values, and notes what cannot be written.

    Attributes:
        registry: what may be named.
        faults: a sentence for each value that cannot be written.
        within: the values within which it is, by identity: what holds itself has no end.
    """

    def __init__(self, registry: Registry, kinds: Mapping[type, Write]) -> None:
        """Begin.

        Args:
            registry: what may be named.
            kinds: how values of some classes, and of those derived from them, are written.
        """
        self.registry = registry
        self.faults: list[str] = []
        self.within: list[object] = []
        self._kinds = kinds

    def write(self, value: object, where: str) -> object:
        """Return a value as JSON values.

        Args:
            value: the value.
            where: its place, for the error, as in ``"tools[2]"``.
        """
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float) and isfinite(value):
            return value
        if (name := self.registry.name_of(value)) is not None:
            return {TAG: "registered", "name": name}
        if isinstance(value, Enum):
            return self.write(value.value, where)
        if isinstance(value, PathLike):
            return self.write(fspath(cast("PathLike[str]", value)), where)
        if isinstance(value, str):
            return self._text(value, where)
        if any(each is value for each in self.within):
            return self.refuse(where, "holds itself, and so has no end")
        self.within.append(value)
        try:
            return self._composed(value, where)
        finally:
            self.within.pop()

    def members(self, members: Mapping[Any, object], where: str) -> Json:
        """Return what an object has by names, each as JSON values."""
        found: Json = {}
        for name, value in members.items():
            place = f"{where}.{name}" if where else str(name)
            if not isinstance(name, str) or name == TAG:
                self.refuse(place, f"has the name {name!r:.50}, which no JSON object can have here")
            elif isinstance(value, str) and value and is_called_secret(name):
                self.refuse(place, "may be a secret by its name")
            else:
                found[name] = self.write(value, place)
        return found

    def parts(self, value: object, where: str) -> Json:
        """Return the fields of a dataclass that are not what they are by default."""
        given = {
            each.name: getattr(value, each.name)
            for each in fields(cast("Any", value))
            if not _is_default(each, getattr(value, each.name))
        }
        return {TAG: type(value).__name__, **self.members(given, where)}

    def refuse(self, where: str, why: str, instead: str | None = None) -> Json:
        """Note that a value cannot be written, and return what nobody will see in its place.

        Args:
            where: its place.
            why: what is wrong with it, as in ``"is a lambda"``.
            instead: what to do; by default to register it.
        """
        instead = instead or "register it: Registry(values={'its name': ...})"
        self.faults.append(f"{where} {why}; {instead}.")
        return {}

    def check(self, what: str) -> None:
        """Raise what was noted.

        Args:
            what: what was written, as in ``"The agent 'Shop'"``.

        Raises:
            ConfigurationError: something could not be written.
        """
        if self.faults:
            told = "\n- ".join(self.faults)
            raise ConfigurationError(f"{what} cannot be kept as it is:\n- {told}")

    def _text(self, value: str, where: str) -> object:
        if has_secret(value):
            return self.refuse(where, "has what looks like a key, or a URL with a password")
        return str(value)

    def _composed(self, value: object, where: str) -> object:
        for kind, write in self._kinds.items():
            if isinstance(value, kind):
                return write(value, self, where)
        if isinstance(value, Mapping):
            return self.members(cast("Mapping[Any, object]", value), where)
        if isinstance(value, list | tuple | set | frozenset):
            items = cast("Iterable[object]", value)
            return [self.write(each, f"{where}[{place}]") for place, each in enumerate(items)]
        if isinstance(value, Recorded):
            return self.made(value, where)
        if isinstance(value, type) or callable(value):
            return self.named(value, where)
        return self.refuse(where, f"is of the type {type(value).__name__}, which has no JSON form")

    def made(self, value: Recorded, where: str, given: Json | None = None) -> Json:
        """Return an object by its class, and by what its constructor was given.

        Args:
            value: the object.
            where: its place.
            given: what it was given, where that is not what is to be written.
        """
        path, name = path_of(type(value)), type(value).__name__
        given = arguments_of(value) if given is None else given
        if path is None:
            return self.refuse(where, f"is of the class {name}, {_UNREACHABLE}")
        if value.uses_files and path.startswith("kern."):
            return self.refuse(where, f"is a {name}, by which a model may use files of a machine")
        if given is None:
            return self.refuse(where, f"is a {name} that was changed after it was made")
        if by_place := [each for each in given if each.startswith("*")]:
            return self.refuse(where, f"was given {by_place[0][1:]} by its place alone")
        return {TAG: "object", "class": path, "arguments": self.members(given, where)}

    def named(self, value: object, where: str) -> Json:
        """Return a function or a class by its name and import path."""
        if isinstance(value, type) and value in PLAIN.values():
            return {TAG: "type", "name": value.__name__}
        if (path := path_of(value)) is not None:
            return {TAG: "import", "name": path.rpartition(":")[2], "path": path}
        kind = "class" if isinstance(value, type) else "function"
        name = name_of(cast("Any", value))
        if inspect.ismethod(value):
            return self.refuse(
                where,
                f"is the method {name} of an object",
                "give the agent the toolkit that has it, or register it: "
                f"Registry(functions=[its_object.{name}])",
            )
        if "<" in name:
            return self.refuse(where, "is a lambda", "write a function at the top of a module")
        return self.refuse(
            where,
            f"is the {kind} {name}, {_UNREACHABLE}",
            "move it to the top of a module, or register it: "
            f"Registry({'schemas' if kind == 'class' else 'functions'}=[{name}])",
        )


PLAIN: Mapping[str, type] = {
    each.__name__: each for each in (str, int, float, bool, list, dict, object)
}
"""Python's own types that have a JSON form."""

_UNREACHABLE = "which no other process can import"


def _is_default(field: "Field[Any]", value: object) -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return value is default or (type(value) is type(default) and bool(value == default))
