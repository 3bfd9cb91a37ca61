"""The parameters of a request that are no messages: by the names of the SDK, as the API has them.

Source: https://ai.google.dev/api/generate-content
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kern.errors import ConfigurationError
from kern.models.values import Json, members_of

_ELSEWHERE: Mapping[str, str] = {
    "model": "the model's id says it",
    "contents": "kern sends the conversation",
    "systemInstruction": "give instructions to the agent",
    "candidateCount": "kern reads one answer",
    "httpOptions": "pass base_url, timeout and default_headers to the model",
    "automaticFunctionCalling": "kern calls the tools",
    "automaticContinuation": "kern repeats calls",
    "shouldReturnHttpResponse": "kern reads the answer",
}
"""What may not be given as a parameter, and why."""

_AT_THE_ROOT = frozenset(
    (
        "cachedContent",
        "generationConfig",
        "labels",
        "modelArmorConfig",
        "safetySettings",
        "serviceTier",
        "store",
        "toolConfig",
        "tools",
    )
)
"""What has its place beside ``generationConfig``, which holds all else."""

_FREE = frozenset(
    ("args", "labels", "parameters", "parametersJsonSchema", "response", "responseJsonSchema")
) | {"responseSchema"}
"""The members whose own members have names that mean something to their user only."""

_OLD = re.compile(r"(?:.*/)?gemini-(?:1|2)\b")


def is_before_3(model: str) -> bool:
    """Say whether a model is older than Gemini 3; one that is not known is not."""
    return _OLD.match(model) is not None


@dataclass(frozen=True, slots=True)
class Params:
    """What is sent with each request beside the conversation.

    Attributes:
        body: parameters of the API, each in its place.
        headers: HTTP headers.
    """

    body: Json
    headers: Mapping[str, str]


def joined(
    own: Mapping[str, object], given: Mapping[str, object], headers: Mapping[str, str]
) -> Params:
    """Return the parameters of both, with lists and objects joined.

    Args:
        own: parameters by the keywords of the model; None stands for nothing.
        given: parameters by the names of the SDK's ``GenerateContentConfig``; ``extra_headers``
            and ``extra_body`` hold more headers, and more of the body as the API has it.
        headers: HTTP headers.

    Raises:
        ConfigurationError: something is given twice, or kern sets it itself.
    """
    more = {name: _members(given, name) for name in ("extra_body", "extra_headers")}
    clashes: list[str] = []
    body = placed({name: value for name, value in own.items() if value is not None})
    direct = placed({name: value for name, value in given.items() if name not in more})
    for each in (direct, _in_camel_case(more["extra_body"])):
        found = {**each, **_object(each.get("generationConfig"))}
        clashes += [f"{name} ({_ELSEWHERE[name]})" for name in found if name in _ELSEWHERE]
        if "streamFunctionCallArguments" in _calling(each):
            clashes.append("streamFunctionCallArguments (kern reads arguments as a whole)")
        body = _join(body, each, "", clashes)
    sent = _join(_in_lower_case(headers), _in_lower_case(more["extra_headers"]), "", clashes)
    if clashes:
        raise ConfigurationError(
            f"request_params cannot hold {', '.join(clashes)}: kern sets it, or it is given twice."
        )
    return Params(body, {name: str(value) for name, value in sent.items()})


def placed(params: Mapping[str, object]) -> Json:
    """Return parameters by the SDK's names under the API's, each in its place in a request."""
    body: Json = {}
    config: Json = {}
    for name, value in _in_camel_case(params).items():
        if name == "generationConfig":
            config |= _object(value)
        elif name in _AT_THE_ROOT or name in _ELSEWHERE:
            body[name] = value
        else:
            config[name] = value
    return {**body, "generationConfig": config} if config else body


def overridden(body: Json, settings: Mapping[str, object]) -> Json:
    """Return a body in which the settings of one call win over what it has.

    Args:
        body: the parameters in their places.
        settings: parameters by the names of the SDK's ``GenerateContentConfig``.
    """
    new = placed(settings)
    config = {**_object(body.get("generationConfig")), **_object(new.get("generationConfig"))}
    return {**body, **new, **({"generationConfig": config} if config else {})}


def _members(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = given.get(name) or {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"request_params: {name} must be a dict, not {value!r:.60}.")
    return value


def _calling(body: Json) -> Mapping[str, object]:
    return _object(_object(body.get("toolConfig")).get("functionCallingConfig"))


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _in_camel_case(members: Mapping[str, object]) -> Json:
    renamed = {_camel(name): value for name, value in members.items()}
    return {name: value if name in _FREE else _renamed(value) for name, value in renamed.items()}


def _renamed(value: object) -> object:
    if (members := members_of(value)) is not None:
        return _in_camel_case(members)
    if isinstance(value, list | tuple):
        return [_renamed(each) for each in value]
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each[:1].upper() + each[1:] for each in others)


def _in_lower_case(headers: Mapping[str, object]) -> Json:
    return {name.lower(): value for name, value in headers.items()}


def _join(
    first: Mapping[str, object], second: Mapping[str, object], within: str, clashes: list[str]
) -> Json:
    """Return the members of both, noting the names of those that cannot be joined."""
    both = dict(first)
    for name, value in second.items():
        known = both.get(name)
        if known is None or known == value:
            both[name] = value
        elif isinstance(known, list) and isinstance(value, list):
            both[name] = [*known, *(each for each in value if each not in known)]
        elif isinstance(known, Mapping) and isinstance(value, Mapping):
            both[name] = _join(known, value, f"{within}{name}.", clashes)
        else:
            clashes.append(f"{within}{name}")
    return both
