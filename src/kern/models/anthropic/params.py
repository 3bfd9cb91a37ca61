"""The parameters that users give beside kern's own: joined if they can be, else refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kern.errors import ConfigurationError
from kern.models.values import members_of

_ELSEWHERE: Mapping[str, str] = {
    "model": "the model's id says it",
    "messages": "kern sends the conversation",
    "system": "give it to the agent as instructions",
    "stream": "kern streams what somebody reads",
    "timeout": "pass it to the model",
}
"""What may not be given as a parameter, and why."""

_BETAS = "anthropic-beta"

# Which form of MCP servers the mcp_toolset belongs to.
_MCP, _MCP_BETA = "mcp-client-", "mcp-client-2025-11-20"


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
    betas: Sequence[str],
) -> Params:
    """Return the parameters of all, with lists and objects joined.

    Args:
        own: parameters by the keywords of the model; None stands for nothing.
        given: parameters of the API; ``extra_headers``, ``extra_query``, ``extra_body`` and
            ``betas`` hold more of each.
        headers: HTTP headers.
        betas: the names of abilities that are asked for by a header.

    Raises:
        ConfigurationError: something is given twice, or kern sets it itself.
    """
    more = {name: _members(given, name) for name in ("extra_body", "extra_headers", "extra_query")}
    clashes: list[str] = []
    body = {name: value for name, value in own.items() if value is not None}
    direct = {name: value for name, value in given.items() if name not in (*more, "betas")}
    for each in (direct, more["extra_body"]):
        clashes += [f"{name} ({_ELSEWHERE[name]})" for name in each if name in _ELSEWHERE]
        body = _join(body, each, "", clashes)
    names = [*betas, *_texts(given.get("betas"))]
    sent: dict[str, object] = {}
    for each in (headers, more["extra_headers"]):
        lower = {name.lower(): value for name, value in each.items()}
        names += str(lower.pop(_BETAS, "")).split(",")
        sent = _join(sent, lower, "", clashes)
    if servers := body.get("mcp_servers"):
        body, names = _with_toolsets(body, servers, names)
    if asked := ",".join(dict.fromkeys(name for each in names if (name := each.strip()))):
        sent[_BETAS] = asked
    if clashes:
        raise ConfigurationError(
            f"request_params cannot hold {', '.join(clashes)}: kern sets it, or it is given twice."
        )
    return Params(body, {name: str(value) for name, value in sent.items()}, more["extra_query"])


def _with_toolsets(
    body: dict[str, object], servers: object, betas: list[str]
) -> tuple[dict[str, object], list[str]]:
    """Return parameters and betas with which the tools of MCP servers are offered.

    Who names the beta has chosen a form of these parameters, and gives them in it.
    """
    if any(each.strip().startswith(_MCP) for each in betas):
        return body, betas
    tools = [*_objects(body.get("tools"))]
    offered = {each.get("mcp_server_name") for each in tools}
    for server in _objects(servers):
        if server.get("name") not in offered:
            tools.append({"type": "mcp_toolset", "mcp_server_name": server.get("name")})
    return {**body, "tools": tools}, [*betas, _MCP_BETA]


def _objects(values: object) -> list[Mapping[str, object]]:
    found = values if isinstance(values, list | tuple) else []
    return [members for each in found if (members := members_of(each)) is not None]


def _texts(values: object) -> list[str]:
    return [str(each) for each in values] if isinstance(values, list | tuple) else []


def _members(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = given.get(name) or {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"request_params: {name} must be a dict, not {value!r:.60}.")
    return value


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
