"""The parameters of OpenAI's protocols that users give, in several places."""

from collections.abc import Mapping

from kern.models.base import ModelRequest
from kern.models.openai.options import ClientOptions
from kern.models.params import Given, Params, lower, members_at, sent, set_by_both, wrong_form
from kern.models.values import Json, listed, members_of

_EXTRAS = ("extra_headers", "extra_query", "extra_body")

_PLACES = frozenset((*_EXTRAS, "request_params", "default_headers", "default_query"))
"""The options that hold parameters."""

_LISTS, _OBJECTS = ("include", "tools"), ("metadata", "reasoning", "stream_options", "text")
"""What kern joins or looks into, so that it has to have this form."""


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
    body = Given(own, elsewhere)
    if options.keys().isdisjoint(_PLACES):
        _check_forms(body.values)
        return Params(body.values, {}, {})
    given = members_at(options, "request_params")
    body.join({name: value for name, value in given.items() if name not in _EXTRAS})
    headers = Given(lower(members_at(options, "default_headers")))
    query = Given(members_at(options, "default_query"))
    for where in (options, given):
        body.join(members_at(where, "extra_body"))
        headers.join(lower(members_at(where, "extra_headers")))
        query.join(members_at(where, "extra_query"))
    for part in (body, headers, query):
        part.check()
    _check_forms(body.values)
    return Params(body.values, sent(headers), query.values)


def _check_forms(body: Mapping[str, object]) -> None:
    for name, value in body.items():
        if value is None:
            continue
        if name in _OBJECTS and members_of(value) is None:
            raise wrong_form(f"{name} must be a dict", value)
        if name in _LISTS:
            if not isinstance(value, list | tuple):
                raise wrong_form(f"{name} must be a list", value)
            for each in value if name == "tools" else ():
                if members_of(each) is None:
                    raise wrong_form("a tool must be a dict", each)


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


def _name_of(tool: object) -> str | None:
    """Return the name of a tool, which Chat Completions has in an object within it."""
    members = members_of(tool) or {}
    for values in (members, *map(members_of, (members.get("function"), members.get("custom")))):
        if isinstance(name := (values or {}).get("name"), str):
            return name
    return None
