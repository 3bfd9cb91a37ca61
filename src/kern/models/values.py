"""JSON values: how they are written, and how they are read where their form is not certain."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from kern.errors import ModelError

Json: TypeAlias = dict[str, object]


def encode(value: object) -> bytes:
    """Return a value as JSON, as the SDK would write it.

    Raises:
        ModelError: it has no JSON form.
    """
    try:
        text = _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"The request has no JSON form: {error}.", kind="invalid_request"
        ) from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # A lone surrogate has no bytes in UTF-8.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def members_of(value: object) -> Mapping[str, object] | None:
    """Return the members of a parameter that is an object, of the SDK's or not; else None."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", by_alias=True, exclude_unset=True) if callable(dump) else None


def listed(name: str, values: object) -> list[object]:
    """Return the items of a parameter; none where it is None.

    Raises:
        ModelError: it is no list.
    """
    if values is not None and not isinstance(values, list | tuple):
        raise ModelError(f"{name} must be a list, not {values!r:.60}.", kind="invalid_request")
    return list(values or ())


def objects_in(values: object) -> list[Json]:
    """Return the objects in a list; of anything else none."""
    if not isinstance(values, list):
        return []
    return [value for value in values if isinstance(value, dict)]


def object_at(values: Mapping[str, object], key: str) -> Json:
    """Return the object at a key, or an empty one."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def text_at(values: Mapping[str, object], key: str) -> str | None:
    """Return the text at a key, or None."""
    value = values.get(key)
    return value if isinstance(value, str) else None


def number_at(values: Mapping[str, object], key: str) -> int:
    """Return the whole number at a key, or 0."""
    value = values.get(key)
    return value if isinstance(value, int) else 0


def _of_the_sdk(value: object) -> object:
    """Return a parameter that is an object of the SDK's as JSON values."""
    members = members_of(value)
    if members is None:
        raise TypeError(f"a {type(value).__name__} is none")
    return dict(members)


_to_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_of_the_sdk
).encode


def to_object(members: Mapping[str, bytes]) -> bytes:
    """Return a JSON object whose members are JSON already."""
    return b"{%b}" % b",".join([_begun(name) + value for name, value in members.items()])


@lru_cache  # They are few, and each request has them.
def _begun(name: str) -> bytes:
    return json.dumps(name).encode() + b":"
