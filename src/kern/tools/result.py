"""What a function returned, as what a model is told."""

import inspect
import json
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Coroutine,
    Generator,
    ItemsView,
    Iterator,
    KeysView,
    Sequence,
    ValuesView,
)
from contextlib import aclosing, nullcontext
from functools import partial
from typing import TypeGuard

from kern.aio.threads import call_in_thread
from kern.errors import described
from kern.media import Media, max_media_size
from kern.run.base import RunContext
from kern.run.content import Part, TextPart, text_of
from kern.run.event import CustomEvent
from kern.tools.base import ToolResult

# How many items of an iterator are taken; one with more may have no end.
_MOST = 100_000

# A model that is not told so may make the call again.
_CALLED = "the tool was called, but it returned"
_ADVICE = "Return a text, JSON values, dataclasses or models, or a ToolResult."

_OPAQUE = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>")


async def as_result(returned: object, context: RunContext) -> ToolResult:
    """Return what a function returned as a result, awaited and iterated over if need be.

    Args:
        returned: what it returned.
        context: of the call; its readers get what a generator yields as it comes.

    Raises:
        Exception: see :func:`told`, and what awaiting it raises.
    """
    while inspect.isawaitable(returned):
        returned = await returned
    if isinstance(returned, AsyncIterable):
        items = await _gathered(returned, context)
        returned = _joined(items) if isinstance(returned, AsyncGenerator) else items
    if isinstance(returned, Iterator) or _has_media(returned):  # It may block: media of a file.
        return await call_in_thread(partial(told, returned, context))
    return told(returned, context)


def told(returned: object, context: RunContext) -> ToolResult:
    """Return a value as a result: a text as it is, a generator's texts joined, the rest as JSON.

    An image, a recording, a video or a file is a part of the result, also in a list.

    Args:
        returned: the value.
        context: of the call. Once that is stopped nobody waits for the result, and iterating ends.

    Raises:
        TypeError: it holds something that has no text, such as a coroutine.
        Exception: what iterating over it raises, or the value itself, if it is an exception.
    """
    from pydantic_core import to_jsonable_python

    if isinstance(returned, ToolResult):
        return returned
    if isinstance(returned, BaseException):
        raise returned
    if isinstance(returned, Iterator):
        items = _taken(returned, context)
        returned = _joined(items) if isinstance(returned, Generator) else items
    if isinstance(returned, str):
        return ToolResult(returned)
    if _has_media(returned):
        return ToolResult(tuple(_parts(returned, context)))
    try:
        data = to_jsonable_python(returned, fallback=_plain)
        return ToolResult(json.dumps(data, ensure_ascii=False, allow_nan=False), data)
    except TypeError as error:
        if str(error).startswith(_CALLED):
            raise
        raise TypeError(f"{_CALLED} what has no JSON form: {error}. {_ADVICE}") from None
    except ValueError:  # Bytes that are no text, NaN, circles: it was done, whatever it returned.
        if (halves := _with_halves(returned)) is not None:
            return ToolResult(halves, json.loads(halves))
        text = str(returned)
        if found := _OPAQUE.search(text):
            raise _no_text(found[0]) from None
        return ToolResult(text)


def _with_halves(returned: object) -> str | None:
    """Return a value as JSON that holds halves of characters, which UTF-8 has no bytes for."""
    try:
        return json.dumps(returned, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _has_media(returned: object) -> TypeGuard[Media | Sequence[object]]:
    if isinstance(returned, list | tuple):
        return any(isinstance(each, Media) for each in returned)
    return isinstance(returned, Media)


def _parts(returned: Media | Sequence[object], context: RunContext) -> Iterator[Part]:
    limit = max_media_size()
    for each in [returned] if isinstance(returned, Media) else returned:
        if isinstance(each, Media):
            yield each.to_part(limit)
        else:
            yield TextPart(text_of(told(each, context).content))


def _plain(value: object) -> object:
    """Return a value that has no JSON form in another form."""
    if isinstance(value, range | KeysView | ValuesView | ItemsView):
        return list(value)
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, BaseException):
        return described(value)
    if isinstance(listed := _listed(value), list | int | float):  # As NumPy's arrays have it.
        return listed
    text = str(value)
    # Nobody has said what its text is to be: Python's own only names it.
    if type(value).__str__ is object.__str__ and text.startswith("<") and text.endswith(">"):
        if isinstance(value, Coroutine):
            value.close()
        raise _no_text(text, value)
    return text


def _listed(value: object) -> object:
    tolist = getattr(type(value), "tolist", None)
    return tolist(value) if callable(tolist) else None


def _no_text(shown: str, value: object = None) -> TypeError:
    if inspect.isawaitable(value):
        advice = "Await it, and return what it gives."
    elif isinstance(value, AsyncIterable):
        advice = "Iterate over it, and return what it yields."
    else:
        advice = _ADVICE
    return TypeError(f"{_CALLED} what cannot be told as text: {shown}. {advice}")


async def _gathered(items: AsyncIterable[object], context: RunContext) -> list[object]:
    found: list[object] = []
    emit = context.emit if isinstance(items, AsyncGenerator) else None
    async with aclosing(items) if isinstance(items, AsyncGenerator) else nullcontext():
        async for item in items:
            _append(found, item, emit)
    return found


def _taken(items: Iterator[object], context: RunContext) -> list[object]:
    found: list[object] = []
    emit = context.emit if isinstance(items, Generator) else None
    for item in _with_return(items) if isinstance(items, Generator) else items:
        if context.cancelled:
            break
        _append(found, item, emit)
    return found


def _with_return(items: Generator[object, None, object]) -> Iterator[object]:
    """Yield what a generator yields, and what it returns if that is something."""
    returned = yield from items
    if returned is not None:
        yield returned


def _append(found: list[object], item: object, emit: Callable[[object], None] | None) -> None:
    if emit is not None:
        emit(item)
        if isinstance(item, CustomEvent):
            return
    if len(found) == _MOST:
        raise TypeError(
            f"the tool was called, but what it returned yields more than {_MOST:,} items. Return "
            "fewer, or one text."
        )
    found.append(item)


def _joined(items: list[object]) -> object:
    """Return texts as one text, anything else as it is."""
    return "".join(map(str, items)) if all(isinstance(each, str) for each in items) else items
