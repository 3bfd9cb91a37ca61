"""Files of the web, fetched past the guard that keeps kern out of its own network.

Who chooses the URL has kern's machine send a request; see :mod:`kern.webhooks.address`.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from email.message import Message
from mimetypes import guess_extension
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urljoin

from kern.errors import ContentError, WebhookError
from kern.extras import extra
from kern.webhooks.address import Target, parse_target, resolve

ALLOW_PRIVATE = "KERN_KNOWLEDGE_ALLOW_PRIVATE"
"""The setting that lets URLs lead to private addresses, and begin with ``http://``."""

# How many other addresses an answer may lead to, and the seconds for one and for its head.
_REDIRECTS, _PATIENCE, _HEAD = 5, 300.0, 30.0

_HEADERS = {
    "User-Agent": "kern-agents (https://pypi.org/project/kern-agents)",
    "Accept-Encoding": "identity",
}


class Fetched(NamedTuple):
    """A file of the web.

    Attributes:
        path: where it is now.
        media_type: what its server calls it, or None.
    """

    path: Path
    media_type: str | None


@contextmanager
def folder() -> Generator[Path, None, None]:
    """Have a directory for what is fetched, which goes afterwards."""
    with TemporaryDirectory(prefix="kern-") as made:
        yield Path(made)


async def fetch(url: str, into: Path, most: int) -> Fetched:
    """Fetch a file of the web.

    Args:
        url: where it is; answers may lead on to others, five times.
        into: a directory.
        most: how many bytes it may have.

    Raises:
        ContentError: it could not be fetched, and why.
        MissingExtraError: aiohttp is not installed.
        ConfigurationError: ``KERN_KNOWLEDGE_ALLOW_PRIVATE`` is neither 0 nor 1.
    """
    with extra("knowledge"):
        import aiohttp
    try:
        async with asyncio.timeout(_PATIENCE):
            for _ in range(_REDIRECTS + 1):
                target = _parsed(url)
                found = await _fetch(target, into, most)
                if isinstance(found, Fetched):
                    return found
                url = _led(url, found)
    except WebhookError as error:
        raise ContentError(str(error)) from None
    except TimeoutError:
        raise ContentError(f"it was not answered within {_PATIENCE:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise ContentError(f"it cannot be reached: {type(error).__name__}") from None
    raise ContentError(f"it leads on to more than {_REDIRECTS} others")


def _parsed(url: str) -> Target:
    try:
        return parse_target(url)
    except ValueError as error:
        raise ContentError(f"the URL {error}") from None


def _led(url: str, to: str) -> str:
    """Return where an answer leads on to."""
    try:
        return urljoin(url, to)
    except ValueError as error:
        raise ContentError(f"it leads on to a URL that is none: {error}") from None


async def _fetch(target: Target, into: Path, most: int) -> Fetched | str:
    """Return what there is, or where it leads on to."""
    import aiohttp
    from yarl import URL

    from kern.webhooks.post import pinned

    addresses = await resolve(target, ALLOW_PRIVATE)
    async with (
        pinned(addresses) as session,
        session.get(
            URL(target.origin + target.path, encoded=True),
            headers=_HEADERS,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_HEAD, sock_read=_HEAD),
        ) as answer,
    ):
        to = answer.headers.get("Location")
        if answer.status in (301, 302, 303, 307, 308) and to:
            return to
        if answer.status != 200:
            raise ContentError(f"it was answered with {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise ContentError("it is compressed, though that was not asked for")
        media_type = _media_type(answer.headers.get("Content-Type"))
        suffix = PurePosixPath(target.path.partition("?")[0]).suffix
        if not suffix[1:].isalnum() or len(suffix) > 11:
            suffix = guess_extension(media_type or "") or ""
        path = into / f"page{suffix}"
        size = 0
        with path.open("wb") as file:  # a piece at a time
            async for piece in answer.content.iter_chunked(1 << 16):
                size += len(piece)
                if size > most:
                    raise too_large(None, most)
                file.write(piece)
        return Fetched(path, media_type)


def too_large(size: int | None, most: int) -> ContentError:
    """Return the error for what has too many bytes.

    Args:
        size: how many, where that is known.
        most: how many it may have.
    """
    has = f"it has {size:,} bytes" if size is not None else "it has more bytes"
    return ContentError(f"{has}, and {most:,} are read: give max_file_size=, or a part of it")


def _media_type(header: str | None) -> str | None:
    if header is None:
        return None
    message = Message()
    message["Content-Type"] = header
    return message.get_content_type()
