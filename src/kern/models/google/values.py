"""JSON values, as they are read from an answer and written into a request."""

import json
from collections.abc import Mapping
from typing import TypeAlias

from kern.errors import ModelError

Json: TypeAlias = dict[str, object]


def an_object(values: Mapping[str, object], key: str) -> Json:
    """Return the object under a name, or an empty one."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def objects(values: Mapping[str, object], key: str) -> list[Json]:
    """Return the objects in the list under a name; none where there is no list."""
    found = values.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def a_text(values: Mapping[str, object], key: str) -> str | None:
    """Return the text under a name, or None."""
    value = values.get(key)
    return value if isinstance(value, str) else None


def a_number(values: Mapping[str, object], key: str) -> int | None:
    """Return the whole number under a name, or None."""
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def members_of(value: object) -> Mapping[str, object] | None:
    """Return the members of a value that is an object, of the SDK's or not; else None."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", by_alias=True, exclude_none=True) if callable(dump) else None


def encode(value: object) -> bytes:
    """Return a value as JSON.

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


def _of_the_sdk(value: object) -> object:
    members = members_of(value)
    if members is None:
        raise TypeError(f"a {type(value).__name__} is none")
    return dict(members)


_to_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_of_the_sdk
).encode
