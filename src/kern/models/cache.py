"""Answers that are kept on this machine, so that programs in the making need not pay them again."""

import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
from typing_extensions import override

from kern.aio.threads import call_in_thread
from kern.errors import ConfigurationError
from kern.models.base import Model, ModelRequest, ModelResponse, OutputMode, Piece, Reasoning, Text
from kern.models.calls import ids_in
from kern.run.codec import dump, load
from kern.run.content import ReasoningPart
from kern.run.message import Metrics
from kern.run.numbers import check_seconds
from kern.utils.kept import cache_home, write_whole

logger = logging.getLogger("kern")

# A part of every key; it counts up when kept answers of older versions of kern are of no use.
_VERSION = 1

# In how many characters each a kept text is handed out.
_PIECE = 40


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in its file.

    Attributes:
        created_at: when it was given, in seconds since 1970.
        response: the answer.
    """

    created_at: float
    response: ModelResponse


_decoder = msgspec.json.Decoder(Kept)


class ResponseCache:
    """Answers of a model, each in a file that is named by what was asked.

    It is for development: answers are kept as they are, for all who may read the files.

    Attributes:
        directory: where the files are.
        ttl: for how many seconds an answer is of use, or None for any time.

    Example:
        >>> cache = ResponseCache(".answers", ttl=3600)
        >>> str(cache.directory)
        '.answers'
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        ttl: float | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> None:
        """Choose the place; nothing is made before the first answer.

        Args:
            directory: where the files are; by default ``kern/responses`` in ``XDG_CACHE_HOME``, or
                in ``~/.cache``.
            ttl: for how many seconds an answer is of use; by default for any time.
            parameters: what the model sends with each request.

        Raises:
            ConfigurationError: the time is no number of seconds.
        """
        if ttl is not None:
            check_seconds("cache_ttl", ttl, ConfigurationError)
        self.ttl = ttl
        self.directory: Path = cache_home("responses") if directory is None else Path(directory)
        self._parameters = dict(parameters or {})

    def before(self, model: Model) -> Model:
        """Return a model that gives kept answers of this one, and asks it for all others."""
        return CachedModel(model, self)

    def path(self, model: Model, request: ModelRequest) -> Path:
        """Return where the answer to a request is kept.

        What differs from run to run though the same is asked is no part of the name.
        """
        schema = request.output_schema
        asked = [
            _VERSION,
            type(model).__qualname__,
            model.origin,
            self._parameters,
            [each.to_dict() for each in request.messages],
            [asdict(each) for each in request.tools],
            request.tool_choice,
            None if schema is None else [schema.name, schema.schema, schema.strict, schema.mode],
            request.settings,
        ]
        if request.options is not None:
            asked.append(asdict(request.options))
        name = sha256(json.dumps(asked, sort_keys=True, default=_plain).encode()).hexdigest()
        return self.directory / name[:2] / f"{name}.json"

    def read(self, path: Path) -> ModelResponse | None:
        """Return the answer in a file, or None where there is none that is of use."""
        try:
            kept = load(path.read_text("utf-8"), _decoder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            logger.warning("The kept answer %s cannot be read; it is asked for: %s", path, error)
            return None
        if self.ttl is not None and time.time() - kept.created_at >= self.ttl:
            return None
        return replace(kept.response, metrics=Metrics(model_calls=1, cached_calls=1, cost=0.0))

    def write(self, path: Path, response: ModelResponse) -> None:
        """Keep an answer; who reads at the same time sees all of it, or none."""
        try:
            write_whole(path, dump(Kept(time.time(), response)).encode())
        except OSError as error:
            logger.warning("The answer cannot be kept at %s: %s", path, error)


class CachedModel(Model):
    """A model whose kept answers are given in place of new ones."""

    def __init__(self, model: Model, cache: ResponseCache) -> None:
        """Put the answers of a cache before a model."""
        self.id, self.provider = model.id, model.provider
        self.keeps_answers, self.price = model.keeps_answers, model.price
        self._model = model
        self._cache = cache

    @property
    @override
    def origin(self) -> str:
        return self._model.origin

    @override
    def output_mode(self, request: ModelRequest) -> OutputMode:
        return self._model.output_mode(request)

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        path, known = await self._look_up(request)
        if known is None:
            known = await self._model.respond(request)
            await call_in_thread(partial(self._cache.write, path, known))
        return known

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        path, known = await self._look_up(request)
        if known is not None:
            for piece in _pieces(known):
                yield piece
            return
        async with aclosing(self._model.stream(request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ModelResponse):
                    await call_in_thread(partial(self._cache.write, path, piece))
                yield piece

    @override
    async def cancel(self, handle: str) -> None:
        await self._model.cancel(handle)

    async def _look_up(self, request: ModelRequest) -> tuple[Path, ModelResponse | None]:
        path = self._cache.path(self._model, request)
        known = None
        if request.handle is None:  # Else the provider has the answer, and it is paid for.
            known = await call_in_thread(partial(self._cache.read, path))
        if known and ids_in([known.message]) & ids_in(request.messages):
            known = None  # A conversation has each id of a call once.
        return path, known


def cached(model: Model) -> Model:
    """Return a model that gives kept answers, if the model has a cache; else the model itself."""
    cache = model.response_cache
    return model if cache is None else cache.before(model)


def response_cache(
    cache_response: bool,
    cache_ttl: float | None,
    cache_dir: str | Path | None,
    parameters: Mapping[str, object],
) -> ResponseCache | None:
    """Return the cache that the arguments of a model ask for, or None.

    Args:
        cache_response: whether there is one.
        cache_ttl: see :class:`ResponseCache`.
        cache_dir: where it is.
        parameters: what the model sends with each request.

    Raises:
        ConfigurationError: the time is no number of seconds, or an argument is without effect.
    """
    if cache_response:
        return ResponseCache(cache_dir, cache_ttl, parameters)
    if cache_ttl is None and cache_dir is None:
        return None
    given = {"cache_ttl": cache_ttl, "cache_dir": cache_dir}
    if unused := [name for name, value in given.items() if value is not None]:
        raise ConfigurationError(f"Without cache_response=True {', '.join(unused)} has no effect.")
    return None


def _pieces(response: ModelResponse) -> list[Piece]:
    message = response.message
    parts = message.content if isinstance(message.content, tuple) else ()
    thoughts = [Reasoning(part.text) for part in parts if isinstance(part, ReasoningPart)]
    text = message.text
    texts = [Text(text[begin : begin + _PIECE]) for begin in range(0, len(text), _PIECE)]
    return [*thoughts, *texts, response]


def _plain(value: object) -> object:
    """Return what stands for a parameter that is no JSON value."""
    if isinstance(value, Mapping):
        return dict(value)
    values = getattr(value, "model_dump", None)
    return values(mode="json") if callable(values) else repr(value)
