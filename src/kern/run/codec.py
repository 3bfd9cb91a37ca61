r"""How values become text at rest: JSON, never pickle.

What models and tools do produce (``\u0000``, lone surrogates) is escaped, so that it survives every
database and comes back as it was.
"""

import json
import re
from typing import TypeVar

import msgspec

from kern.errors import InvalidInputError

Value = TypeVar("Value")

_dump = msgspec.json.Encoder().encode
_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode

ID_LIMIT = 255
"""How many characters an id has at most."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def encode(value: object, what: str) -> str:
    """Return ``value`` as JSON text.

    Args:
        value: None, bool, int, float, str, or lists and dicts (with str keys) of these.
        what: what the value is, for the error ("metadata").

    Raises:
        InvalidInputError: the value has no JSON form.
    """
    try:
        return _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{what} has no JSON form: {error}. Use None, bool, int, finite float, str, "
            "and lists or dicts of these."
        ) from error


def decode_object(text: str | bytes | None) -> dict[str, object]:
    """Return the JSON object in ``text``; nothing stored is an empty one.

    Raises:
        ValueError: the text is no JSON object.
    """
    value = parse(text) if text else {}
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value


def parse(text: str | bytes) -> object:
    """Return the JSON value in a text; where it has NaN or Infinity, which JSON has not, None.

    Raises:
        ValueError: there is none.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # It may also hold the escape of a lone surrogate.
        return json.loads(text, parse_constant=lambda _: None)


def dump(value: object) -> str:
    """Return a dataclass, or JSON values and dataclasses in one another, as JSON text."""
    try:
        return _dump(value).decode()
    except UnicodeEncodeError:  # A lone surrogate has no UTF-8, but JSON can escape it.
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


def to_json_value(value: object) -> object:
    """Return an instance of a type of a user's, such as a pydantic model, as JSON values."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, msgspec.Struct):
        own: object = msgspec.to_builtins(value, enc_hook=to_json_value)
        return own
    from pydantic_core import to_jsonable_python

    converted: object = to_jsonable_python(value)
    return converted


def shown(content: object) -> str:
    """Return the content of a run, or of an event, as a text."""
    if content is None or isinstance(content, str):
        return content or ""
    return dump(to_json_value(content))


def load(text: str, decoder: "msgspec.json.Decoder[Value]") -> Value:
    """Return what :func:`dump` has made a text of.

    Raises:
        ValueError: the text is damaged, or holds something else.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # It may hold the escape of a lone surrogate.
        return msgspec.convert(json.loads(text), decoder.type)


def join_halves(text: str) -> str:
    """Return a text in which two halves of a character are that character, as JSON reads them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def check_id(name: str, value: object) -> str:
    """Return ``value`` if it can serve as an id.

    Args:
        name: what the id is of ("run_id"), for the error.
        value: 1 to 255 characters without control characters and lone surrogates.

    Raises:
        InvalidInputError: it is anything else.
    """
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a string, not {type(value).__name__}.")
    if not 0 < len(value) <= ID_LIMIT:
        raise InvalidInputError(f"{name} must have 1 to {ID_LIMIT} characters, not {len(value)}.")
    if _UNPRINTABLE.search(value):
        raise InvalidInputError(
            f"{name} {value!r} holds a control character or a lone surrogate. "
            "Use printable characters."
        )
    return value


def check_user(user_id: object) -> str | None:
    """Return the user whom a request names; None for none.

    Raises:
        InvalidInputError: it cannot be an id.
    """
    return None if user_id is None else check_id("user_id", user_id)
