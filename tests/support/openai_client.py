"""The official client of OpenAI, over what a server would send it; and its types, held strictly."""

from collections.abc import Iterable, Iterator

import httpx2
from openai import OpenAI
from pydantic import BaseModel

KNOWN_MORE = {"store", "presence_penalty", "frequency_penalty"}
"""What OpenAI's API sends, and its types do not have."""


def client_told(frames: Iterable[bytes], kind: str = "text/event-stream") -> OpenAI:
    """Return a client that is answered the same to everything.

    Args:
        frames: the body of the answer.
        kind: its media type.
    """
    body = b"".join(frames)
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": kind}, content=body)
    )
    return OpenAI(
        api_key="none",
        base_url="http://127.0.0.1/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


def unknown(value: object, place: str = "") -> Iterator[str]:
    """Yield the members of a value that its type does not know."""
    if isinstance(value, BaseModel):
        for name in (value.model_extra or {}).keys() - KNOWN_MORE:
            yield f"{place}.{name}"
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from unknown(each, f"{place}[{index}]")
