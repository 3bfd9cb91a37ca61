"""Whether a JSON value is what a type of an SDK says, with no member that it does not know."""

from collections.abc import Iterable, Mapping
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import is_typeddict


def misfits(value: object, form: Any, place: str = "") -> list[str]:
    """Return the places at which a value is not what a type for parameters says."""
    kind, arguments = get_origin(form), get_args(form)
    if kind in (Annotated, Required, NotRequired):
        return misfits(value, arguments[0], place)
    if kind in (Union, UnionType):
        # The one that is wrong only within is the one that was meant.
        tried = [misfits(value, each, place) for each in arguments]
        return min(tried, key=lambda found: (_is_other_kind(found, place), len(found)))
    if kind is Literal:
        return [] if value in arguments else [f"{place}={value!r}"]
    if is_typeddict(form):
        return _of_members(value, form, place)
    if form in (object, Any):
        return []
    plain = kind or form
    if plain in (dict, Mapping):
        return [] if isinstance(value, dict) else [place]
    if isinstance(plain, type) and issubclass(plain, Iterable) and plain is not str:
        if not isinstance(value, list):
            return [place]
        [item, *_] = arguments or (object,)
        return [each for i, one in enumerate(value) for each in misfits(one, item, f"{place}[{i}]")]
    if plain is float:
        plain = (int, float)
    return [] if isinstance(value, plain) else [f"{place}: {type(value).__name__}"]


def _is_other_kind(found: list[str], place: str) -> bool:
    at_place = (place, f"{place}=", f"{place}: ")
    return any(each == place or each.startswith(at_place[1:]) for each in found)


@cache
def _hints(form: Any) -> Mapping[str, Any]:
    return get_type_hints(form, include_extras=True)


def _of_members(value: object, form: Any, place: str) -> list[str]:
    if not isinstance(value, dict):
        return [place]
    hints = _hints(form)
    if form.__name__ == "InputSchemaTyped":  # JSON Schema, with any keyword.
        hints = {name: hints.get(name, object) for name in {*hints, *value}}
    found = [f"{place}.{name} is unknown" for name in value.keys() - hints.keys()]
    found += [f"{place}.{name} is missing" for name in form.__required_keys__ - value.keys()]
    for name in value.keys() & hints.keys():
        found += misfits(value[name], hints[name], f"{place}.{name}")
    return found
