"""Who gave an answer: what only they understand of it is handed back to nobody else."""

from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple
from urllib.parse import urlsplit

from kern.run.message import Message


class Origin(NamedTuple):
    """Who answered; its items, with their ids, signatures and sealed reasoning, are its own.

    Attributes:
        provider: the provider's name, and the protocol's where it is not the provider's main one.
        server: the server, by its host, port and path.
        model: the model's id.
    """

    provider: str
    server: str
    model: str

    def made(self, message: Message) -> bool:
        """Say whether a message holds items of this origin."""
        return bool(message.provider_items) and self == _origin_of(message)


_origin_of = attrgetter("provider", "server", "model")


@lru_cache
def server_at(address: str) -> str:
    """Return the host, port and path of an address, with nothing secret; empty where it is none."""
    try:
        url = urlsplit(address)
    except ValueError:  # The first call will say so.
        return ""
    return url.netloc.rpartition("@")[2].lower() + url.path.rstrip("/")
