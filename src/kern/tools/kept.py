"""Results of tools that are kept on this machine, for later calls with the same arguments."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec

from kern.aio.threads import call_in_thread
from kern.run.base import RunContext
from kern.run.codec import dump, load
from kern.run.content import Content
from kern.run.state import without_current
from kern.tools.base import Tool, ToolResult
from kern.utils.kept import cache_home, write_whole

logger = logging.getLogger("kern")

# A part of every key; it counts up when kept results of older versions of kern are of no use.
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """A result in its file.

    Attributes:
        created_at: when it was given, in seconds since 1970.
        content: what the model is told.
        data: the same as a JSON value, or None.
    """

    created_at: float
    content: Content
    data: object = None


_decoder = msgspec.json.Decoder(Kept)


class KeptResults:
    """The results of a tool, each in a file that is named by what it was called with."""

    def __init__(self, tool: Tool, identity: str) -> None:
        """Choose the place; nothing is made before the first result.

        Args:
            tool: the tool, with its ``cache_dir`` and ``cache_ttl``.
            identity: names its function, wherever the process is.
        """
        self._tool = tool
        self._identity = identity

    def path(self, arguments: Mapping[str, object], context: RunContext | None) -> Path:
        """Return where the result of a call is.

        Args:
            arguments: what a model wrote.
            context: of the call, where the tool asks for what is of the run.
        """
        from pydantic_core import to_jsonable_python

        own = None if context is None else _own(context)
        asked = [_VERSION, self._identity, self._tool.name, arguments, own]
        given = to_jsonable_python(asked, fallback=repr, inf_nan_mode="strings")
        name = sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
        directory = self._tool.cache_dir
        home = cache_home("tools") if directory is None else Path(directory)
        return home / name[:2] / f"{name}.json"

    async def read(self, path: Path) -> ToolResult | None:
        """Return the result in a file, or None where there is none that is of use."""
        return await call_in_thread(partial(self._read, path))

    async def write(self, path: Path, result: ToolResult) -> None:
        """Keep a result, unless it is an error or holds media."""
        if not result.is_error and not result.ends and isinstance(result.content, str):
            await call_in_thread(partial(self._write, path, result))

    def _read(self, path: Path) -> ToolResult | None:
        try:
            kept = load(path.read_text("utf-8"), _decoder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            logger.warning("The kept result %s cannot be read; the tool is called: %s", path, error)
            return None
        if time.time() - kept.created_at >= self._tool.cache_ttl:
            return None
        return ToolResult(kept.content, kept.data)

    def _write(self, path: Path, result: ToolResult) -> None:
        try:
            kept = Kept(time.time(), result.content, result.data)
            write_whole(path, dump(kept).encode())
        except (OSError, ValueError, TypeError) as error:
            logger.warning("The result cannot be kept at %s: %s", path, error)


def _own(context: RunContext) -> list[object]:
    """Return what a result depends on of the run that it is for, beside the arguments."""
    state = without_current(context.session_state or {})
    return [context.user_id, context.dependencies, context.metadata, state]
