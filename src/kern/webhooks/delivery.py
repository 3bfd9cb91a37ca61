"""Telling a web server that a run has ended, by the Standard Webhooks scheme.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

At least once: whoever receives the same ``webhook-id`` again has been told before. The scheme's
Python library is not used to sign: that is one call of ``hmac``. The tests verify with it.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import os
import random
import time
import uuid

from kern import __version__
from kern.aio.retry import until_available
from kern.db.base import Store
from kern.errors import ConfigurationError, WebhookError
from kern.run.agent import RunOutput
from kern.run.codec import encode
from kern.run.record import RunRecord
from kern.webhooks.address import parse_target, resolve

logger = logging.getLogger("kern")

# Seconds for a whole try, from the look-up of the name to the head of the answer.
_TIMEOUT = 20.0
# The scheme's example: the pause before each try, three days and three hours in all.
_PAUSES = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
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


async def deliver_webhook(store: Store, run_id: str, attempts: int) -> float | None:
    """Tell the receiver of a run's end, once.

    Args:
        store: where the run is.
        run_id: the run.
        attempts: how many tries there were before.

    Returns:
        The seconds before the next try, or None where there is to be none.
    """
    record = await until_available(lambda: store.get(run_id))
    if record is None or record.webhook is None or not record.status.is_terminal:
        return None  # It was taken up again, and its next end is told for itself.
    try:
        await deliver(record)
    except (ConfigurationError, WebhookError) as error:
        delay = next_delay(attempts + 1)
        if isinstance(error, WebhookError):
            delay = None if error.permanent or delay is None else max(delay, error.retry_after)
        outlook = "giving up" if delay is None else f"trying again in {delay:.0f} s"
        logger.warning("webhook of run %s, try %d: %s; %s", run_id, attempts + 1, error, outlook)
        return delay
    await until_available(lambda: store.webhook_delivered(run_id, record.attempt))
    return None


async def deliver(record: RunRecord) -> None:
    """Send the end of a run to its webhook, once.

    Args:
        record: a run that has ended and has a webhook.

    Raises:
        WebhookError: the receiver did not take it.
        ConfigurationError: ``KERN_WEBHOOK_SECRET`` or ``KERN_WEBHOOK_ALLOW_PRIVATE`` is not what
            it should be, or the HTTP client is not installed.
    """
    secrets = signing_secrets()
    try:
        from kern.webhooks.post import post
    except ImportError as error:
        raise ConfigurationError(
            f"Webhooks need {error.name}: pip install 'kern[webhooks]'."
        ) from error
    try:
        target = parse_target(record.webhook or "")
        identifier, body = _message(record)
    except ValueError as error:
        raise WebhookError(f"what is stored cannot be sent: {error}", permanent=True) from None
    now = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": f"kern/{__version__}",
        "webhook-id": identifier,
        "webhook-timestamp": str(now),
        "webhook-signature": _sign(secrets, f"{identifier}.{now}.".encode() + body),
    }
    try:
        async with asyncio.timeout(_TIMEOUT):
            await post(target, await resolve(target), headers, body)
    except TimeoutError:
        raise WebhookError(f"{target.origin} did not answer within {_TIMEOUT:g} s") from None


def next_delay(attempts: int) -> float | None:
    """Return the seconds before the next try; None where there were enough.

    The receivers that failed together are not tried again together: each delay is up to a fifth
    shorter or longer than the schedule's.

    Args:
        attempts: how many tries have failed.
    """
    if attempts >= len(_PAUSES):
        return None
    return _PAUSES[attempts] * random.uniform(0.8, 1.2)


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


def _sign(secrets: list[bytes], content: bytes) -> str:
    digests = [hmac.digest(secret, content, "sha256") for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _message(record: RunRecord) -> tuple[str, bytes]:
    """Return the id and the body, the same at every try; only the body's size is limited."""
    known = RunOutput.from_record(record).to_dict()
    data = {name: known[name] for name in _FIELDS}
    omitted: list[str] = []
    for name in ("content", "metadata", "error"):
        if len(encode(data, "webhook")) > _LARGEST:
            data[name] = None
            omitted.append(name)
    ended = record.finished_at or record.created_at
    body = {
        "type": f"run.{record.status.name}",
        "timestamp": ended.isoformat(),
        "data": data | {"omitted": omitted},
    }
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"kern:{record.run_id}:{ended.isoformat()}")
    return str(identifier), encode(body, "webhook").encode()
