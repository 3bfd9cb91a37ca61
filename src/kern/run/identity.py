"""The ids of runs and sessions that nobody has named."""

import secrets
import time
from contextlib import suppress
from hashlib import sha256
from uuid import UUID


def new_id() -> str:
    """Return a UUID of version 7, which begins with the time.

    Rows that come together then lie together in the indexes: with a million runs in the tables,
    PostgreSQL writes a quarter of the log that random ids make it write (docs/decisions/0018).

    Source: https://www.rfc-editor.org/rfc/rfc9562#section-5.7
    """
    milliseconds, random = time.time_ns() // 1_000_000, secrets.randbits(74)
    return str(
        UUID(
            int=(milliseconds & (1 << 48) - 1) << 80
            | 7 << 76
            | random >> 62 << 64
            | 0b10 << 62
            | random & (1 << 62) - 1
        )
    )


def derived_id(origin: str, *parts: str) -> str:
    """Return an id that is always the same for the same texts.

    It begins with the time of the other, if that is such a UUID: their rows lie together.

    Args:
        origin: the id that it comes from.
        parts: what tells it from others of that origin.
    """
    text = "\0".join((origin, *parts)).encode("utf-8", "surrogatepass")
    value = int.from_bytes(sha256(text).digest()[:16])
    with suppress(ValueError):
        known = UUID(origin)
        if known.version == 7:
            value = known.int >> 80 << 80 | value & (1 << 80) - 1
    return str(UUID(int=value & ~(0xF << 76 | 0b11 << 62) | 7 << 76 | 0b10 << 62))
