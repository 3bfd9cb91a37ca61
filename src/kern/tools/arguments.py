"""The arguments that a model wrote: read kindly where it is clear what was meant, else strictly.

What does not fit is said in words for the model, so that it can write the call anew.
"""

import json
import math
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NoReturn

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# How much a model is told of what was wrong: so many faults, each in so many characters.
_MOST, _LONGEST = 8, 200


class UnfitError(ValueError):
    """Arguments do not fit; the text is for the model."""


def read_arguments(model: type[BaseModel], text: str) -> BaseModel:
    r"""Return the arguments in a text.

    ``null`` stands for the default of an argument that has one and takes no ``null``. Apart from
    that the text has to be a JSON object that fits, in which no name comes twice and no text holds
    ``\u0000``, which no model means to write.

    Args:
        model: what they have to fit; its fields have aliases.
        text: a JSON object, as a model wrote it.

    Raises:
        UnfitError: they do not fit.
    """
    try:
        given = _read(model, text)
        values = json.loads(
            text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite
        )
        for place in _with_nul(values) if "\\u0000" in text else ():
            raise UnfitError(f"{place}: a text holds \\u0000; write the character that is meant")
    except UnfitError:
        raise
    except ValidationError as error:
        raise UnfitError(_describe(error, model)) from None
    except (ValueError, RecursionError) as error:
        raise UnfitError(f"arguments: Invalid JSON: {error}") from None
    return given


def _read(model: type[BaseModel], text: str) -> BaseModel:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        wrong = {each["loc"][0] for each in error.errors(include_url=False) if each["loc"]}
        optional = {
            each.alias for each in model.model_fields.values() if not each.is_required()
        } & wrong
        values = json.loads(text) if optional else {}
        kept = {
            name: value
            for name, value in values.items()
            if not (value is None and name in optional)
        }
        if len(kept) == len(values):
            raise
    return model.model_validate_json(json.dumps(kept))


def _describe(error: ValidationError, model: type[BaseModel]) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_fault(each, model) for each in faults[:_MOST]]
    if len(faults) > _MOST:
        told.append(f"and {len(faults) - _MOST} more")
    return "; ".join(told)


def _fault(fault: ErrorDetails, model: type[BaseModel]) -> str:
    place = ".".join(map(str, fault["loc"]))
    hint = ""
    if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
        names = [str(each.alias) for each in model.model_fields.values()]
        near = get_close_matches(place, names, 1)
        known = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}"
        hint = f" ({known})"
    return f"{place[:_LONGEST] or 'arguments'}: {fault['msg'][:_LONGEST]}{hint}"


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnfitError(f"{twice[:_LONGEST]}: it is given twice")
    return values


def _refuse(name: str) -> NoReturn:
    raise UnfitError(f"arguments: Invalid JSON: {name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UnfitError(f"arguments: {text[:_LONGEST]} is too large a number")
    return number


def _with_nul(value: object, place: str = "") -> Iterator[str]:
    """Yield the places of the texts that hold a NUL."""
    if isinstance(value, str):
        if "\0" in value:
            yield place.removeprefix(".")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _with_nul(name, f"{place}.{ascii(name)[1:-1]}")
            yield from _with_nul(each, f"{place}.{ascii(name)[1:-1]}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _with_nul(each, f"{place}.{number}")
