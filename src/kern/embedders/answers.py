"""What embedders have made, checked: those of users make anything."""

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import cast

from kern.errors import ConfigurationError


def embeddings_of(found: object, number: int, name: str) -> list[object]:
    """Return what an embedder has made, one for each text.

    Args:
        found: what it has made.
        number: of how many texts.
        name: the embedder, for the error.

    Raises:
        ConfigurationError: there is not one for each.
    """
    made = _listed(found)
    if made is None or len(made) != number:
        count = "no" if made is None else len(made)
        raise ConfigurationError(
            f"{name} made {count} embeddings of {number} texts: have it make one of each."
        )
    return made


def numbers_of(found: object, name: str) -> list[float]:
    """Return an embedding as a list of finite numbers; one of NumPy, say, becomes one.

    Args:
        found: what an embedder has made, or a user.
        name: the embedder, for the error.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        numbers = array("d", cast("list[float]", _listed(found) or []))
    except (TypeError, ValueError, OverflowError):
        numbers = array("d")
    if not numbers:
        raise ConfigurationError(f"{name} made an embedding that is no list of numbers.")
    if not math.isfinite(sum(array("f", numbers))):  # Databases keep four bytes of each.
        raise ConfigurationError(f"{name} made an embedding that is not of finite numbers.")
    return numbers.tolist()


def _listed(found: object) -> list[object] | None:
    if not isinstance(found, Iterable) or isinstance(found, str | bytes | Mapping):
        return None
    return [*cast("Iterable[object]", found)]
