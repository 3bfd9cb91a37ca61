"""The runs that ``Idempotency-Key`` stands for: a request that is sent twice begins one run."""

import re
from hashlib import sha256

import msgspec

from kern.run.identity import derived_id
from kern.server.caller import Caller
from kern.server.problems import RequestError

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_encode = msgspec.json.Encoder(order="deterministic").encode


def keyed_run_id(key: str | None, caller: Caller, agent_id: str) -> str | None:
    """Return the id of the run that a request begins; None where it has no ``Idempotency-Key``.

    It follows from the key, the user and the agent: users do not meet each other's keys, and no
    table has to keep them.

    Raises:
        RequestError: the key cannot be used (400).
    """
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise RequestError(
            400,
            "Idempotency-Key must have 1 to 255 printable ASCII characters. Use a new UUID for "
            "each thing that you want done, and the same one where you ask for it again.",
            code="invalid_idempotency_key",
        )
    return derived_id("idempotency", caller.user_id or "", agent_id, key)


def fingerprint(body: object) -> str:
    """Return what tells one request's body, JSON values, from others."""
    try:
        text = _encode(body)
    except UnicodeEncodeError:  # A lone surrogate has no UTF-8.
        text = repr(body).encode("utf-8", "backslashreplace")
    return sha256(text).hexdigest()


def reused_key() -> RequestError:
    """Return what a request is refused with whose key was sent with another body."""
    return RequestError(
        422,
        "This Idempotency-Key was sent with another request before, or what that began is not "
        "kept any more. Send the same request again, or take a new key.",
        code="idempotency_key_reused",
    )
