"""Pages of lists, and the opaque cursors that lead from one to the next."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2s
from typing import Annotated, TypeVar

from pydantic import Field

from kern.errors import RunNotFoundError
from kern.run.codec import check_id, dump
from kern.server.problems import RequestError
from kern.server.runs.documented import Body

Item = TypeVar("Item")

_DIGEST = 12


class Paged(Body):
    """The parameters of a list."""

    limit: Annotated[int, Field(ge=1, le=200, description="How many there are on a page.")] = 50
    cursor: Annotated[
        str | None,
        Field(
            max_length=1000,
            description="The `next` of the page before, of the same list with the same filters.",
        ),
    ] = None


async def page(
    find: Callable[[int, str | None], Awaitable[Sequence[Item]]],
    id_of: Callable[[Item], str],
    asked: Paged,
    *what: object,
) -> tuple[list[Item], str | None]:
    """Return a page of a list, and the cursor of the next one, if there is one.

    Args:
        find: returns items of the list: how many at most, and after which one.
        id_of: the id of an item.
        asked: the parameters of the list.
        what: which list that is, and whose: JSON values. With ``limit`` and ``cursor`` left out,
            the parameters belong to it.

    Raises:
        RequestError: the cursor is that of another list, or the item where it stands is gone.
    """
    told = asked.model_dump_json(exclude={"limit", "cursor"})
    key = blake2s(dump([told, *what]).encode(), digest_size=_DIGEST).digest()
    after = None if asked.cursor is None else _read(asked.cursor, key)
    try:
        found = await find(asked.limit + 1, after)
    except RunNotFoundError:
        raise _gone() from None
    shown = [*found[: asked.limit]]
    more = len(found) > asked.limit
    return shown, _cursor(id_of(shown[-1]), key) if more else None


def _cursor(id: str, key: bytes) -> str:
    return urlsafe_b64encode(key + id.encode()).decode().rstrip("=")


def _read(cursor: str, key: bytes) -> str:
    """Return the id in a cursor of the list that has this key."""
    try:
        given = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        id = check_id("cursor", given[_DIGEST:].decode())
    except ValueError:
        raise RequestError(
            400, "This is no cursor.", code="invalid_cursor", param="cursor"
        ) from None
    if given[:_DIGEST] != key:
        raise RequestError(
            400,
            "This cursor is of another list, or of the same with other filters. Begin this one "
            "without a cursor.",
            code="cursor_of_another_list",
            param="cursor",
        )
    return id


def _gone() -> RequestError:
    return RequestError(
        400,
        "What this cursor stands at has been deleted. Begin the list again.",
        code="cursor_gone",
        param="cursor",
    )
