"""The notification of a web server that a run has ended or paused, by Standard Webhooks.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

At least once: a receiver drops what comes with a ``webhook-id`` that it has seen. The scheme's
Python library is not used to sign: that is one call of ``hmac``. The tests verify with it.
"""

import asyncio
import base64
import binascii
import hmac
import os
import time
from datetime import UTC, datetime
from urllib.parse import quote

from kern import __version__
from kern.errors import ConfigurationError, WebhookError
from kern.extras import extra
from kern.run.agent import RunOutput
from kern.run.codec import encode
from kern.run.record import RunRecord
from kern.webhooks.address import parse_target, resolve

# Seconds for a whole try, from the look-up of the name to the head of the answer.
_TIMEOUT = 20.0

# A bigger body is refused by many servers.
_LARGEST = 256 * 1024
_FIELDS = (
    "run_id",
    "session_id",
    "agent_id",
    "agent_name",
    "user_id",
    "status",
    "content",
    "content_type",
    "error",
    "metadata",
    "metrics",
    "created_at",
)
_WHSEC = "whsec_"


async def deliver(record: RunRecord, delivery_id: str) -> None:
    """Send the end of a run, or that it is paused, to its webhook, once.

    Args:
        record: a run that has ended or is paused, and has a webhook.
        delivery_id: the same at every try, another for every end.

    Raises:
        WebhookError: the receiver did not take it.
        ConfigurationError: ``KERN_WEBHOOK_SECRET`` or ``KERN_WEBHOOK_ALLOW_PRIVATE`` is not what
            it should be.
        MissingExtraError: the HTTP client is not installed.
    """
    secrets = signing_secrets()
    with extra("webhooks"):
        from kern.webhooks.post import post
    try:
        target = parse_target(record.webhook or "")
        body = _body(record)
    except ValueError as error:
        raise WebhookError(f"what is stored cannot be sent: {error}", permanent=True) from None
    try:
        async with asyncio.timeout(_TIMEOUT):
            headers = _headers(secrets, delivery_id, body)
            await post(target, await resolve(target), headers, body)
    except TimeoutError:
        raise WebhookError(f"{target.origin} did not answer within {_TIMEOUT:g} s") from None


def signing_secrets() -> list[bytes]:
    """Return the keys to sign with, from ``KERN_WEBHOOK_SECRET``.

    It holds one secret, or several separated by spaces while one is being replaced.

    Raises:
        ConfigurationError: it holds none, or something else.
    """
    secrets = [_secret(text) for text in os.environ.get("KERN_WEBHOOK_SECRET", "").split()]
    if not secrets:
        raise ConfigurationError(f"Webhooks are signed, and there is no secret. {_REMEDY}")
    return secrets


_REMEDY = (
    "Set KERN_WEBHOOK_SECRET to whsec_ and the base64 of 24 to 64 random bytes, such as "
    'echo "whsec_$(openssl rand -base64 32)" prints.'
)


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_WHSEC), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_WHSEC) or not 24 <= len(secret) <= 64:
        # It is not shown: it may be the secret but for a character.
        raise ConfigurationError(f"KERN_WEBHOOK_SECRET holds something else. {_REMEDY}")
    return secret


def _headers(secrets: list[bytes], delivery_id: str, body: bytes) -> dict[str, str]:
    # Users choose run ids, and full stops separate what is signed: an id must hold none.
    identifier = quote(delivery_id, safe="/:@").replace(".", "%2E")
    now = int(time.time())
    content = f"{identifier}.{now}.".encode() + body
    digests = [hmac.digest(secret, content, "sha256") for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": f"kern/{__version__}",
        "webhook-id": identifier,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(digest).decode()}" for digest in digests
        ),
    }


def _body(record: RunRecord) -> bytes:
    """Return what is sent, the same at every try; its size is limited."""
    run = RunOutput.from_record(record)
    known = run.to_dict()
    data = {name: known[name] for name in _FIELDS}
    if run.metadata is not None:  # What a server remembers of its requests is not for others.
        told = {key: each for key, each in run.metadata.items() if not key.startswith("kern.")}
        data["metadata"] = told or None
    ended = record.finished_at or record.created_at
    large: tuple[str, ...] = ("content", "metadata", "error")
    if run.is_paused:
        data["requirements"], large = known["requirements"], (*large, "requirements")
        paused_at = max((each.created_at for each in run.requirements), default=run.created_at)
        ended = datetime.fromtimestamp(paused_at, UTC)
    omitted: list[str] = []
    for name in large:
        if len(encode(data, "webhook")) > _LARGEST:
            data[name] = None
            omitted.append(name)
    body = {
        "type": f"run.{record.status.name}",
        "timestamp": ended.isoformat(),
        "data": data | {"omitted": omitted},
    }
    return encode(body, "webhook").encode()
