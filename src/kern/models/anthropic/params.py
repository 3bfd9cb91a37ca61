"""The parameters of the Messages API that users give, in several places."""

from collections.abc import Mapping, Sequence

from kern.models.params import Given, Params, lower, members_at, sent
from kern.models.values import members_of

_ELSEWHERE: Mapping[str, str] = {
    "model": "the model's id says it",
    "messages": "kern sends the conversation",
    "system": "give it to the agent as instructions",
    "stream": "kern streams what somebody reads",
    "timeout": "pass it to the model",
}
"""What may not be given as a parameter, and why."""

_EXTRAS = ("betas", "extra_body", "extra_headers", "extra_query")

_BETAS = "anthropic-beta"

# Which form of MCP servers the mcp_toolset belongs to.
_MCP, _MCP_BETA = "mcp-client-", "mcp-client-2025-11-20"


def joined(
    own: Mapping[str, object],
    given: Mapping[str, object],
    default_headers: Mapping[str, str] | None,
    betas: Sequence[str],
) -> Params:
    """Return the parameters of all, with lists and objects joined.

    Args:
        own: parameters by the keywords of the model; None stands for nothing.
        given: parameters of the API; ``extra_headers``, ``extra_query``, ``extra_body`` and
            ``betas`` hold more of each.
        default_headers: HTTP headers.
        betas: the names of abilities that are asked for by a header.

    Raises:
        ConfigurationError: something is given twice, or kern sets it itself.
    """
    body = Given(own, _ELSEWHERE)
    body.join({name: value for name, value in given.items() if name not in _EXTRAS})
    body.join(members_at(given, "extra_body"))
    names = [*betas, *_texts(given.get("betas"))]
    headers = Given({})
    for more in (lower(default_headers or {}), lower(members_at(given, "extra_headers"))):
        names += str(more.pop(_BETAS, "")).split(",")
        headers.join(more)
    body.check()
    headers.check()
    params = body.values
    if servers := params.get("mcp_servers"):
        params, names = _with_toolsets(params, servers, names)
    if asked := ",".join(dict.fromkeys(name for each in names if (name := each.strip()))):
        headers.join({_BETAS: asked})
    return Params(params, sent(headers), members_at(given, "extra_query"))


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
