"""The JSON of a request to the Messages API.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

import logging
from collections.abc import Mapping, Sequence

from kern.errors import ModelError
from kern.models.anthropic.asked import asked_for
from kern.models.anthropic.caching import Options, marked, options_for
from kern.models.anthropic.turns import Turn, Turns
from kern.models.base import ModelRequest
from kern.models.origin import Origin
from kern.models.params import set_by_both, settings_of
from kern.models.schema import for_claude
from kern.models.strict import strict_parameters
from kern.models.values import Json, encode, listed, members_of, objects_in
from kern.run.tool import ToolSchema

logger = logging.getLogger("kern")


def request_body(
    request: ModelRequest, origin: Origin, own: Mapping[str, object], options: Options
) -> dict[str, bytes]:
    """Return the body of a request: its parameters, each as JSON.

    The same messages always give the same bytes, so that the provider's prompt cache still hits.

    Args:
        request: the conversation, the tools, and how to answer.
        origin: whose answers are handed back as they were, with thinking and signatures.
        own: the other parameters.
        options: what is marked in it.

    Raises:
        ModelError: a message holds something that the API does not take, all of them are empty, a
            parameter has no JSON form, or the request sets what kern does.
    """
    encoded = Turns(origin, citations=options.citations).of(request)
    if not encoded.turns:
        raise ModelError(
            f"There is nothing to ask {origin.model}: every message is empty.",
            kind="invalid_request",
        )
    settings = settings_of(request, _SET_HERE)
    given: Json = {**own, **settings, "messages": None}
    if request.options is not None:
        given |= {**asked_for(request.options, given, origin.model), **settings}
    options = options_for(options, request, encoded, given)
    if encoded.container is not None:
        given.setdefault("container", encoded.container)
    if encoded.system:
        if "system" in settings:
            raise set_by_both(["system"])
        given["system"] = _system(encoded.system, options)
    if tools := _tools(request, own, options):
        given["tools"] = tools
    if choice := _tool_choice(request, given, origin.model):
        given["tool_choice"] = choice
    form = request.output_schema
    if form is not None and form.is_native:
        output = members_of(given.get("output_config")) or {}
        if output.get("format") is not None:
            raise set_by_both(["output_config.format"])
        schema = for_claude(form.schema) or dict(form.schema)
        given["output_config"] = {**output, "format": {"type": "json_schema", "schema": schema}}
    body = {name: encode(value) for name, value in given.items()}
    body["messages"] = b"[%b]" % b",".join(marked(encoded.turns, options))
    return body


_SET_HERE = frozenset(("messages", "stream"))


def continued(body: Mapping[str, bytes], answers: Sequence[Json]) -> Mapping[str, bytes]:
    """Return a body that has the model go on with an answer in which it has paused.

    Args:
        body: what was asked.
        answers: the answers to it so far, each with which the model has paused.
    """
    if not answers:
        return body
    blocks = [block for answer in answers for block in objects_in(answer.get("content"))]
    turn = Turn("assistant", blocks=[*map(encode, blocks)]).to_json()
    more = {"messages": body["messages"][:-1] + b"," + turn + b"]"}
    container = members_of(answers[-1].get("container")) or {}
    if container.get("id"):  # What its tools have made by now is there.
        more["container"] = encode(container["id"])
    return {**body, **more}


def _system(texts: Sequence[str], options: Options) -> object:
    text = "\n\n".join(texts)
    if not options.cache_system:
        return text
    return [{"type": "text", "text": text, **options.marker}]


def _tools(
    request: ModelRequest, own: Mapping[str, object], options: Options
) -> list[Mapping[str, object]]:
    """Return the agent's functions, and the tools that the provider has, as its user gave them.

    A tool that the provider defines and the agent has a function for (``bash``, say) is sent as the
    provider defines it.
    """
    given: list[Mapping[str, object]] = []
    for tools in (own.get("tools"), request.settings.get("tools")):
        given += [
            members for tool in listed("tools", tools) if (members := members_of(tool)) is not None
        ]
    names = {tool.name for tool in request.tools}
    defined = {each.get("name") for each in given if each.get("type", "custom") != "custom"}
    if twice := [str(name) for each in given if (name := each.get("name")) in names - defined]:
        raise set_by_both([f"the tool {name}" for name in twice])
    functions = [_function(tool) for tool in request.tools if tool.name not in defined]
    tools = [*functions, *given]
    if options.cache_tools and tools:
        tools[-1] = {**tools[-1], **options.marker}
    return tools


def _function(tool: ToolSchema) -> Mapping[str, object]:
    strict = strict_parameters(tool, for_claude)
    function: Json = {"name": tool.name, "input_schema": strict or tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if strict is not None:
        function["strict"] = True
    return function


_CHOICES = {"none": "none", "auto": "auto", "required": "any"}


def _tool_choice(request: ModelRequest, given: Json, model: str) -> Mapping[str, object] | None:
    """Return how the model is to choose among the tools; of none, nothing can be said."""
    choice, form = request.tool_choice, request.output_schema
    own = members_of(given.pop("tool_choice", None)) or {}
    if not given.get("tools") or not (choice or own):
        return None
    asked: Json = {"type": "auto", **own}
    if isinstance(choice, Mapping):
        asked |= choice
    elif choice is not None:
        asked["type"] = _CHOICES.get(choice, "tool")
        if asked["type"] == "tool":
            asked["name"] = choice
    if asked["type"] in ("any", "tool") and _thinks(given):
        # The API refuses it: a model that is made to call something cannot think first.
        if form is None or form.mode != "tool":
            logger.warning("%s thinks before it answers, so it is free to call no tool.", model)
        asked = {name: value for name, value in asked.items() if name != "name"}
        asked["type"] = "auto"
    if asked["type"] == "none":
        return {"type": "none"}
    return asked


def _thinks(given: Mapping[str, object]) -> bool:
    thinking = members_of(given.get("thinking")) or {}
    return thinking.get("type") not in (None, "disabled")
