"""Media within what a provider returned: out before it is written, back before it is sent.

Providers want some of their answers back as they were, images included, in base64. An item of which
media was taken names the places, and the blobs that belong there, under :data:`TAKEN`.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from hashlib import sha256
from typing import Any, TypeAlias

from kern.run.codec import dump

Item: TypeAlias = dict[str, object]

TAKEN = "kern.media"
"""The member of an item that says which media was taken of it, and from where."""

# What is shorter is no media.
_LEAST = 64

# Without one of these in their JSON, items hold none.
_SIGNS = ('"data"', '"result"', '"data:')

_KINDS = ("mimeType", "mime_type", "media_type")


def has_media(items: Sequence[Item]) -> bool:
    """Say whether items hold media."""
    try:
        text = dump(items)  # Quicker than to look at each member.
    except (TypeError, ValueError, RecursionError):
        return False  # Who writes it will say that it has no JSON form.
    if not any(sign in text for sign in _SIGNS):
        return False
    return any(True for item in items for _ in _places(item, ()))


def detached_items(items: Sequence[Item], found: dict[str, bytes]) -> list[Item]:
    """Return items with references in place of media.

    Args:
        items: the items; they are not changed.
        found: what references stand for, by their hash; it is added to.
    """
    return [_detached(item, found) for item in items] if has_media(items) else list(items)


def attached_items(items: Sequence[Item], loaded: Mapping[str, bytes]) -> list[Item]:
    """Return items as they were before :func:`detached_items`.

    Args:
        items: the items; they are not changed.
        loaded: what their references stand for, by their hash.
    """
    return [_attached(item, loaded) if TAKEN in item else item for item in items]


def references_in(items: Sequence[Item]) -> Iterator[str]:
    """Yield the hashes of the blobs to which items refer."""
    for item in items:
        if TAKEN in item:
            yield from (taken["hash"] for taken in _taken(item))


def _detached(item: Item, found: dict[str, bytes]) -> Item:
    places = list(_places(item, ()))
    if not places:
        return item
    item, taken = deepcopy(item), []
    for place, prefix, data in places:
        name = sha256(data).hexdigest()
        found[name] = data
        taken.append({"at": list(place), "hash": name, "size": len(data)})
        _put(item, place, prefix)
    return {**item, TAKEN: taken}


def _attached(item: Item, loaded: Mapping[str, bytes]) -> Item:
    item = deepcopy(item)
    for taken in _taken(item):
        prefix = _at(item, taken["at"])
        _put(item, taken["at"], prefix + b64encode(loaded[taken["hash"]]).decode())
    del item[TAKEN]
    return item


def _taken(item: Item) -> list[dict[str, Any]]:
    taken: Any = item[TAKEN]
    return list(taken)


def _places(
    value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str, bytes]]:
    """Yield where there is media, what stands before it there, and the media itself."""
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str):
                if len(each) >= _LEAST and (media := _media(value, name, each)) is not None:
                    yield (*path, name), *media
            elif isinstance(each, dict | list):
                yield from _places(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, dict | list):
                yield from _places(each, (*path, number))


def _media(holder: Mapping[str, object], name: str, text: str) -> tuple[str, bytes] | None:
    """Return what stands before the base64 in a text, and what that holds, or None."""
    prefix = ""
    if text.startswith("data:") and ";base64," in text[:200]:
        head, _, text = text.partition(",")
        prefix = f"{head},"
    elif not (
        (name == "result" and holder.get("type") == "image_generation_call")
        or (name == "data" and holder.get("type") != "text" and any(k in holder for k in _KINDS))
    ):
        return None
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        return None
    # What is written in another way could not be put back as it was.
    return (prefix, data) if b64encode(data).decode() == text else None


def _at(item: Item, place: Sequence[str | int]) -> str:
    value: Any = item
    for each in place:
        value = value[each]
    return str(value)


def _put(item: Item, place: Sequence[str | int], text: str) -> None:
    holder: Any = item
    for each in place[:-1]:
        holder = holder[each]
    holder[place[-1]] = text
