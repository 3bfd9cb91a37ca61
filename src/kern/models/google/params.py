"""The parameters of a request that are no messages: by the names of the SDK, as the API has them.

Source: https://ai.google.dev/api/generate-content
"""

import re
from collections.abc import Mapping

from kern.models.params import Given, Params, lower, members_at, sent
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

_EXTRAS = ("extra_body", "extra_headers")

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


def joined(
    own: Mapping[str, object],
    given: Mapping[str, object],
    default_headers: Mapping[str, str] | None,
) -> Params:
    """Return the parameters of both, with lists and objects joined.

    Args:
        own: parameters by the keywords of the model; None stands for nothing.
        given: parameters by the names of the SDK's ``GenerateContentConfig``; ``extra_headers``
            and ``extra_body`` hold more headers, and more of the body as the API has it.
        default_headers: HTTP headers.

    Raises:
        ConfigurationError: something is given twice, or kern sets it itself.
    """
    body = Given(
        placed({name: value for name, value in own.items() if value is not None}), _ELSEWHERE
    )
    direct = placed({name: value for name, value in given.items() if name not in _EXTRAS})
    for each in (direct, in_camel_case(members_at(given, "extra_body"))):
        for name in _object(each.get("generationConfig")).keys() & _ELSEWHERE.keys():
            body.refuse(name, _ELSEWHERE[name])
        if "streamFunctionCallArguments" in _calling(each):
            body.refuse("streamFunctionCallArguments", "kern reads arguments as a whole")
        body.join(each)
    headers = Given(lower(default_headers or {}))
    headers.join(lower(members_at(given, "extra_headers")))
    body.check()
    headers.check()
    return Params(body.values, sent(headers), {})


def placed(params: Mapping[str, object]) -> Json:
    """Return parameters by the SDK's names under the API's, each in its place in a request."""
    body: Json = {}
    config: Json = {}
    for name, value in in_camel_case(params).items():
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


def _calling(body: Json) -> Mapping[str, object]:
    return _object(_object(body.get("toolConfig")).get("functionCallingConfig"))


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def in_camel_case(members: Mapping[str, object]) -> Json:
    """Return members by the API's names, where they may have the SDK's."""
    renamed = {_camel(name): value for name, value in members.items()}
    return {name: value if name in _FREE else _renamed(value) for name, value in renamed.items()}


def _renamed(value: object) -> object:
    if (members := members_of(value)) is not None:
        return in_camel_case(members)
    if isinstance(value, list | tuple):
        return [_renamed(each) for each in value]
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each[:1].upper() + each[1:] for each in others)
