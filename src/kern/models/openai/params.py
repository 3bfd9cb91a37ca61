"""The parameters that users give beside kern's own: joined if they can be, else refused."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kern.errors import ConfigurationError, ModelError
from kern.models.base import ModelRequest
from kern.models.openai.options import ClientOptions
from kern.models.values import Json, listed, members_of

_EXTRAS = ("extra_headers", "extra_query", "extra_body")

_LISTS, _OBJECTS = ("include", "tools"), ("metadata", "reasoning", "stream_options", "text")
"""What kern joins or looks into, so that it has to have this form."""


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

    def __init__(self, values: Mapping[str, object]) -> None:
        """Begin with these; None stands for nothing."""
        self.values = {name: value for name, value in values.items() if value is not None}
        self._clashes: list[str] = []

    def join(self, more: Mapping[str, object]) -> None:
        """Add more: lists and objects are joined with those that are there."""
        self.values = _join(self.values, more, "", self._clashes)

    def refuse(self, name: str, reason: str) -> None:
        """Note that a parameter may not be given, and why."""
        self._clashes.append(f"{name} ({reason})")

    def check(self, where: str) -> None:
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


def joined(
    own: Mapping[str, object], options: ClientOptions, elsewhere: Mapping[str, str]
) -> Params:
    """Return the parameters of all, with lists and objects joined.

    Args:
        own: parameters by the keywords of the model; None stands for nothing.
        options: what holds more of them: ``request_params``, with ``extra_headers``,
            ``extra_query`` and ``extra_body`` in it and beside it, headers and query.
        elsewhere: the parameters that may not be given, and why.

    Raises:
        ConfigurationError: something is given twice, kern sets it itself, or it has another form
            than the API's.
    """
    given = options.get("request_params") or {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigurationError(f"request_params must be a dict with names, not {given!r:.60}.")
    direct = {name: value for name, value in given.items() if name not in _EXTRAS}
    body = Given(own)
    headers = Given(_in_lower_case(members_at(options, "default_headers")))
    query = Given(members_at(options, "default_query"))
    more = [direct, members_at(options, "extra_body"), members_at(given, "extra_body")]
    for each in more:
        for name in each.keys() & elsewhere.keys():
            body.refuse(name, elsewhere[name])
        body.join(each)
    for where in (options, given):
        headers.join(_in_lower_case(members_at(where, "extra_headers")))
        query.join(members_at(where, "extra_query"))
    for part in (body, headers, query):
        part.check("request_params")
    _check_forms(body.values)
    sent = {name: str(value) for name, value in headers.values.items() if value is not None}
    return Params(body.values, sent, query.values)


def _check_forms(body: Mapping[str, object]) -> None:
    for name in _OBJECTS:
        if body.get(name) is not None and members_of(body[name]) is None:
            raise _wrong_form(f"{name} must be a dict", body[name])
    for name in _LISTS:
        values = body.get(name)
        if values is not None and not isinstance(values, list | tuple):
            raise _wrong_form(f"{name} must be a list", values)
        for each in values or () if name == "tools" else ():
            if members_of(each) is None:
                raise _wrong_form("a tool must be a dict", each)


def _wrong_form(text: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"The model's parameters: {text}, not {value!r:.60}.")


def settings_of(request: ModelRequest, set_here: frozenset[str]) -> Mapping[str, object]:
    """Return the parameters of one call.

    Raises:
        ModelError: it sets what kern does.
    """
    if set_twice := set_here & request.settings.keys():
        raise set_by_both(set_twice)
    return request.settings


def tools_of(request: ModelRequest, own: object, functions: list[Json]) -> list[object]:
    """Return the agent's functions, and the tools that the provider has, as its user gave them.

    Args:
        request: what is asked.
        own: the tools among the model's parameters.
        functions: those of the request, as the API takes them.

    Raises:
        ModelError: one of the user's has the name of a function.
    """
    given = [*listed("tools", own), *listed("tools", request.settings.get("tools"))]
    names = {tool.name for tool in request.tools}
    if twice := [name for each in given if (name := _name_of(each)) in names]:
        raise set_by_both([f"the tool {name}" for name in twice])
    return [*functions, *given]


def set_by_both(names: Iterable[str]) -> ModelError:
    """Return the error for parameters that a call sets and kern sets too."""
    return ModelError(
        f"The request sets {', '.join(sorted(names))}, which kern sets itself. Take it out of the "
        "settings of the request, or of request_params.",
        kind="invalid_request",
    )


def _name_of(tool: object) -> str | None:
    """Return the name of a tool, which Chat Completions has in an object within it."""
    members = members_of(tool) or {}
    for values in (members, *map(members_of, (members.get("function"), members.get("custom")))):
        if isinstance(name := (values or {}).get("name"), str):
            return name
    return None


def members_at(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the members of an object that a user gives, or none where there is none.

    Args:
        given: what holds it.
        name: its name there.

    Raises:
        ConfigurationError: it is no object.
    """
    value = members_of(given.get(name) or {})
    if value is None:
        raise _wrong_form(f"{name} must be a dict", given[name])
    return value


def _in_lower_case(headers: Mapping[str, object]) -> dict[str, object]:
    return {name.lower(): value for name, value in headers.items()}


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
