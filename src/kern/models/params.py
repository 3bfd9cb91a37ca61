"""The parameters that users give beside kern's own: joined if they can be, else refused."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import NamedTuple

from kern.errors import ConfigurationError, ModelError
from kern.models.base import CallOptions, ModelRequest
from kern.models.values import Json, members_of


class Params(NamedTuple):
    """What is sent with each request beside the conversation.

    Attributes:
        body: parameters of the API.
        headers: HTTP headers.
        query: what the address of each request has behind its ``?``.
    """

    body: dict[str, object]
    headers: Mapping[str, str]
    query: Mapping[str, object]


class Given:
    """The parameters that a user gives in several places, joined one after the other.

    Attributes:
        values: what is joined by now.
    """

    def __init__(
        self, values: Mapping[str, object], elsewhere: Mapping[str, str] | None = None
    ) -> None:
        """Begin with these.

        Args:
            values: the first ones; None stands for nothing.
            elsewhere: those that may not be given, and why.
        """
        self.values: dict[str, object] = {
            name: value for name, value in values.items() if value is not None
        }
        self._elsewhere = elsewhere or {}
        self._clashes: list[str] = []

    def join(self, more: Mapping[str, object]) -> None:
        """Add more: lists and objects are joined with those that are there."""
        for name in more.keys() & self._elsewhere.keys():
            self.refuse(name, self._elsewhere[name])
        self.values = _join(self.values, more, "", self._clashes)

    def refuse(self, name: str, reason: str) -> None:
        """Note that a parameter may not be given, and why."""
        self._clashes.append(f"{name} ({reason})")

    def check(self, where: str = "request_params") -> None:
        """Check that nothing is given twice.

        Args:
            where: what gave it, for the error.

        Raises:
            ConfigurationError: something is, or may not be given.
        """
        if self._clashes:
            raise ConfigurationError(
                f"{where} cannot hold {', '.join(self._clashes)}: kern sets it, or it is given "
                "twice."
            )


def members_at(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the members of an object that a user gives, or none where there is none.

    Args:
        given: what holds it.
        name: its name there.

    Raises:
        ConfigurationError: it is no object.
    """
    value = members_of(given.get(name) or {})
    if value is None or not all(isinstance(each, str) for each in value):
        raise wrong_form(f"{name} must be a dict with names", given[name])
    return value


def lower(headers: Mapping[str, object]) -> dict[str, object]:
    """Return HTTP headers by their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def sent(headers: Given) -> Mapping[str, str]:
    """Return HTTP headers as they are sent; those that are None are not."""
    return {name: str(value) for name, value in headers.values.items() if value is not None}


def wrong_form(text: str, value: object) -> ConfigurationError:
    """Return the error for a parameter of another form than the API's."""
    return ConfigurationError(f"The model's parameters: {text}, not {value!r:.60}.")


def settings_of(request: ModelRequest, set_here: frozenset[str]) -> Mapping[str, object]:
    """Return the parameters of one call.

    Raises:
        ModelError: it sets what kern does.
    """
    if set_twice := set_here & request.settings.keys():
        raise set_by_both(set_twice)
    return request.settings


def given_options(options: CallOptions) -> Json:
    """Return what a call says of how it is to be answered, by name."""
    values = {each.name: getattr(options, each.name) for each in fields(options)}
    return {name: value for name, value in values.items() if value is not None}


def set_by_both(names: Iterable[str]) -> ModelError:
    """Return the error for parameters that a call sets and kern sets too."""
    return ModelError(
        f"The request sets {', '.join(sorted(names))}, which kern sets itself. Take it out of the "
        "settings of the request, or of request_params.",
        kind="invalid_request",
    )


def _join(
    first: Mapping[str, object], second: Mapping[str, object], within: str, clashes: list[str]
) -> dict[str, object]:
    """Return the members of both, noting the names of those that cannot be joined."""
    both = dict(first)
    for name, value in second.items():
        known = both.get(name)
        if known is None or known == value:
            both[name] = value
        elif isinstance(known, list | tuple) and isinstance(value, list | tuple):
            both[name] = [*known, *(each for each in value if each not in known)]
        elif (one := members_of(known)) is not None and (other := members_of(value)) is not None:
            both[name] = _join(one, other, f"{within}{name}.", clashes)
        else:
            clashes.append(f"{within}{name}")
    return both
