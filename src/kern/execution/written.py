"""Values as text that a model reads, and texts with names that are filled."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from kern.run.tags import inert

ReferencesFormat: TypeAlias = Literal["json", "yaml"]
"""How documents are written for the model."""


# A name and nothing else: what reads an attribute or has a format is no placeholder.
_PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")


_BETWEEN = ",\n"


def filled(text: str, names: Mapping[str, object]) -> str:
    """Return a text in which each ``{name}`` that is known is its value.

    It is done once: what a value says is text and nothing more, and holds no tag of kern's. A name
    that is not known stays as it is, and so does everything else in braces: JSON, attributes,
    formats.

    Args:
        text: the text.
        names: what the names stand for.

    Example:
        >>> filled('{who} has {what}: {"a": 1} {who.name} {who!r} {nobody}', {"who": "{what}"})
        '{what} has {what}: {"a": 1} {who.name} {who!r} {nobody}'
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        return inert(written(names[name])) if name in names else match[0]

    return _PLACEHOLDER.sub(value_of, text) if "{" in text else text


def has_names(text: str) -> bool:
    """Say whether there may be something to fill in a text."""
    return _PLACEHOLDER.search(text) is not None


def written(value: object) -> str:
    """Return a value as a model reads it: a text as it is, what holds others as JSON.

    Args:
        value: any value; see :func:`json_values`.
    """
    if value is None or isinstance(value, str | int | float):
        return str(value)
    values = json_values(value)
    return values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)


def json_values(value: object) -> object:
    """Return a value as JSON values.

    Args:
        value: any value. Objects are what pydantic makes of them; of what has neither that nor a
            text of its own only the type is told.
    """
    from pydantic_core import to_jsonable_python

    try:
        values: object = to_jsonable_python(value, fallback=_shown)
        return values
    except UnicodeEncodeError:  # A key is no text that has a UTF-8.
        values = json.loads(json.dumps(value, default=_shown))
        return values
    except (ValueError, RecursionError):  # It holds itself, or bytes that are no text.
        return _shown(value)


def _shown(value: object) -> str:
    """Return an object as text, without an address in memory, which differs from run to run."""
    kind = type(value)
    has_text = kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__
    return str(value) if has_text and not callable(value) else f"<{kind.__name__}>"


def listed(documents: Sequence[object], format: ReferencesFormat) -> str:
    """Return documents as a model reads them.

    Args:
        documents: objects or texts, as a retriever gave them.
        format: how.
    """
    values = [json_values(each) for each in documents]
    if format == "json":
        return f"[{_BETWEEN.join([json.dumps(each, ensure_ascii=False) for each in values])}]"
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    try:
        text: str = yaml.dump(values, Dumper=dumper, allow_unicode=True, sort_keys=False)
    except UnicodeEncodeError:  # It has a half of a character, which YAML can escape only.
        text = yaml.dump(values, Dumper=yaml.SafeDumper, sort_keys=False)
    return text.rstrip()
