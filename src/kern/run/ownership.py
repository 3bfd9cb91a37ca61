"""Whose an id is: users choose ids of runs, sessions and schedules without meeting each other's.

The first user of an id has it as it is. What another user calls by the same id has one that follows
from the id and the user, the user's *own id*. So each finds what is theirs by the id that they
chose, and nobody learns from it whether others have it too.
"""

import re
from collections.abc import Mapping
from hashlib import blake2s

from kern.run.codec import ID_LIMIT

_DIGEST = 16
_OWN = re.compile(rf"~([0-9a-f]{{{_DIGEST}}})[0-9a-f]{{{_DIGEST}}}\Z")
_ROOM = ID_LIMIT - 1 - 2 * _DIGEST


def may_see(user_id: str | None, owner: str | None) -> bool:
    """Say whether a request meets what it asks for.

    Args:
        user_id: the user whom it names; one that names none comes from trusted code.
        owner: the user to whom it belongs; what belongs to none is seen by all who know its id.
    """
    return user_id is None or owner is None or user_id == owner


def own_id(chosen: str, user_id: str) -> str:
    """Return the id of what a user calls ``chosen``, where another user has that id."""
    ending = _OWN.search(chosen)
    if ending is not None and ending[1] == _digest(user_id):
        return chosen
    return f"{chosen[:_ROOM]}~{_digest(user_id)}{_digest(chosen)}"


def ids_of(chosen: str, user_id: str | None) -> tuple[str, ...]:
    """Return the ids under which that can be what a user calls ``chosen``, the own one first."""
    return (chosen,) if user_id is None else tuple(dict.fromkeys((own_id(chosen, user_id), chosen)))


def place(chosen: str, user_id: str, owners: Mapping[str, str | None]) -> str:
    """Return the id under which what a user calls ``chosen`` is, or comes to be.

    Args:
        chosen: the id that the user chose.
        user_id: the user.
        owners: to whom those of :func:`ids_of` belong that are in use.
    """
    own = own_id(chosen, user_id)
    if own in owners:
        return own
    if chosen in owners:
        return chosen if may_see(user_id, owners[chosen]) else own
    # The own id of another user is kept for that one.
    return own if _OWN.search(chosen) else chosen


def _digest(text: str) -> str:
    return blake2s(text.encode(), digest_size=_DIGEST // 2).hexdigest()
