"""The parameters that users give beside kern's own: joined if they can be, else refused."""

from collections.abc import Mapping
from dataclasses import dataclass

from kern.errors import ConfigurationError

_ELSEWHERE: Mapping[str, str] = {
    "model": "the model's id says it",
    "input": "kern sends the conversation",
    "conversation": "kern sends the conversation",
    "previous_response_id": "kern sends the conversation",
    "instructions": "give them to the agent",
    "stream": "kern streams what somebody reads",
    "background": "pass background=True to the model",
    "timeout": "pass it to the model",
}
"""What may not be given as a parameter, and why."""

_LISTS, _OBJECTS = ("include", "tools"), ("metadata", "reasoning", "text")
"""What kern joins, so that it has to have this form."""

_SEALED = "reasoning.encrypted_content"


@dataclass(frozen=True, slots=True)
class Params:
    """What is sent with each request beside the conversation.

    Attributes:
        body: parameters of the API.
        headers: HTTP headers.
        query: what the address of each request has behind its ``?``.
    """

    body: Mapping[str, object]
    headers: Mapping[str, str]
    query: Mapping[str, object]


def joined(
    own: Mapping[str, object],
    given: Mapping[str, object],
    headers: Mapping[str, str],
    query: Mapping[str, object],
) -> Params:
    """Return the parameters of both, with lists and objects joined.

    Args:
        own: parameters by the keywords of the model; None stands for nothing.
        given: parameters of the API; ``extra_headers``, ``extra_query`` and ``extra_body`` hold
            more of each.
        headers: HTTP headers.
        query: members of the query.

    Raises:
        ConfigurationError: something is given twice, kern sets it itself, or it has another form
            than the API's.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigurationError(f"request_params must be a dict with names, not {given!r:.60}.")
    if not (given or headers or query or own.get("store") is False):
        return Params({name: value for name, value in own.items() if value is not None}, {}, {})
    more = {name: _members(given, name) for name in ("extra_body", "extra_headers", "extra_query")}
    clashes: list[str] = []
    body = {name: value for name, value in own.items() if value is not None}
    direct = {name: value for name, value in given.items() if name not in more}
    for each in (direct, more["extra_body"]):
        clashes += [f"{name} ({_ELSEWHERE[name]})" for name in each if name in _ELSEWHERE]
        body = _join(body, each, "", clashes)
    if body.get("store") is False:
        # Without it, a provider that keeps nothing cannot go on from its own reasoning.
        body = _join(body, {"include": [_SEALED]}, "", clashes)
    sent = _join(_in_lower_case(headers), _in_lower_case(more["extra_headers"]), "", clashes)
    asked = _join(dict(query), more["extra_query"], "", clashes)
    if clashes:
        raise ConfigurationError(
            f"request_params cannot hold {', '.join(clashes)}: kern sets it, or it is given twice."
        )
    _check_forms(body)
    headers = {name: str(value) for name, value in sent.items() if value is not None}
    return Params(body, headers, asked)


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
    return ConfigurationError(f"request_params: {text}, not {value!r:.60}.")


def _members(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = given.get(name) or {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"request_params: {name} must be a dict, not {value!r:.60}.")
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


def members_of(value: object) -> Mapping[str, object] | None:
    """Return the members of a parameter that is an object, of the SDK's or not; else None."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", by_alias=True, exclude_unset=True) if callable(dump) else None
