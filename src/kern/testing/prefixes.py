"""A prompt cache as providers have it: requests that begin alike pay for what is new."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from kern.testing.protocols import Json, Protocol, anthropic
from kern.testing.reply import Usage

# So many characters of JSON are a token here.
_CHARACTERS = 4

# How far before a marker Anthropic looks for what it has kept, in blocks.
_LOOKBACK = 20


class PrefixCache:
    """Remembers how requests began, and counts their tokens.

    Of a request to Anthropic it keeps and finds what is marked with ``cache_control``, of others
    everything. It has no least length, and forgets nothing.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._known: set[str] = set()

    def usage(self, protocol: Protocol, body: Mapping[str, Any], output_tokens: int) -> Usage:
        """Return the tokens of a request, and keep it.

        Args:
            protocol: whose it is.
            body: the request.
            output_tokens: the tokens of the answer.
        """
        blocks = [*_blocks(body)]
        sizes, ends = [0], [""]
        for text, _ in blocks:
            sizes.append(sizes[-1] + len(text))
            ends.append(sha256((ends[-1] + text).encode()).hexdigest())
        marks = [place for place, (_, marked) in enumerate(blocks, 1) if marked]
        if "cache_control" in body:
            marks.append(len(blocks))
        is_marked = protocol is anthropic
        kept = marks if is_marked else [*range(1, len(ends))]
        looked_at = (
            {place - back for place in marks for back in range(_LOOKBACK)} if is_marked else kept
        )
        read = max((i for i in looked_at if i > 0 and ends[i] in self._known), default=0)
        written = max(0, sizes[max(kept, default=0)] - sizes[read]) if is_marked else 0
        self._known |= {ends[i] for i in kept}
        return Usage(
            sizes[-1] // _CHARACTERS,
            output_tokens,
            cached_tokens=sizes[read] // _CHARACTERS,
            cache_write_tokens=written // _CHARACTERS,
        )


def _blocks(body: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield what a request consists of as JSON, in the order in which it is read.

    With each, whether it is marked.
    """
    yield _block(body.get("tools"), last_of=body.get("tools"))
    system = body.get("system") or body.get("systemInstruction") or body.get("instructions")
    if isinstance(system, list):
        yield from map(_block, system)
    else:
        yield _block(system)
    messages = body.get("messages") or body.get("contents") or body.get("input") or ()
    for message in [messages] if isinstance(messages, str) else messages:
        if (
            isinstance(message, dict)
            and "role" in message
            and isinstance(message.get("content"), list)
        ):
            role = message["role"]
            for block in message["content"]:
                yield _block({**block, "role": role} if isinstance(block, dict) else block)
        else:
            yield _block(message)


def _block(value: object, last_of: object = None) -> tuple[str, bool]:
    """Return a block as JSON without its marker, and whether it has one."""
    last = last_of[-1] if isinstance(last_of, list) and last_of else value
    marked = isinstance(last, dict) and "cache_control" in last
    return json.dumps(_plain(value), sort_keys=True), marked


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        plain: Json = {
            name: _plain(each) for name, each in value.items() if name != "cache_control"
        }
        return plain
    return value
