"""What of a request Anthropic's prompt cache is to keep.

Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kern.models.anthropic.turns import Turn, Turns
from kern.models.base import ModelRequest
from kern.models.values import Json


@dataclass(frozen=True, slots=True)
class Options:
    """What is marked in a request.

    Attributes:
        cache_system: whether the provider is to keep what goes before the messages.
        cache_tools: whether the provider is to keep the tools.
        for_an_hour: whether it is to keep them for an hour instead of five minutes.
        citations: whether the model is to cite the documents that it is given.
        cache_conversation: whether the provider is to keep the messages; None where it is likely
            that they are sent again.
    """

    cache_system: bool = False
    cache_tools: bool = False
    for_an_hour: bool = False
    citations: bool = False
    cache_conversation: bool | None = False

    @property
    def marker(self) -> Json:
        """What ends a part of the request that the provider is to keep."""
        kept: Json = {"type": "ephemeral"}
        return {"cache_control": {**kept, "ttl": "1h"} if self.for_an_hour else kept}


def options_for(
    options: Options, request: ModelRequest, encoded: Turns, given: Mapping[str, object]
) -> Options:
    """Return what is marked in a request, by what is likely to be sent again.

    Args:
        options: what the user has chosen.
        request: what is asked.
        encoded: its messages.
        given: the other parameters; with a ``cache_control`` in them the provider marks itself.
    """
    chosen = options.cache_conversation
    if chosen is None:  # The next request repeats this one where a tool is called.
        chosen = bool(request.tools) or len(encoded.turns) > 1
    if not chosen or given.get("cache_control") is not None:
        return replace(options, cache_conversation=False)
    # Other runs of the agent begin with the same tools and system message.
    tools = options.cache_tools or not encoded.system
    return replace(options, cache_conversation=True, cache_system=True, cache_tools=tools)


def marked(turns: Sequence[Turn], options: Options) -> Iterator[bytes]:
    """Yield the turns as JSON, marked where the provider is to look for what it has kept.

    That is at the end, and where the request before ended: the provider finds by itself only what
    is at most twenty blocks back.
    """
    last: Sequence[int] = ()
    if options.cache_conversation:
        last = [place for place, turn in enumerate(turns) if turn.role == "user"][-2:]
    for place, turn in enumerate(turns):
        yield turn.to_json(options.marker if place in last else None)
