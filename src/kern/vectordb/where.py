"""Conditions on ``meta_data`` as SQL; each database says how it compares one key."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from kern.errors import InvalidInputError
from kern.filters import AND, EQ, GT, IN, LT, NOT, OR, FilterExpr, Scalar

Compared: TypeAlias = Callable[[str, str, Scalar, list[object]], str]
"""Returns that a key's value is equal (``=``) to another, greater or less, as SQL; what it compares
is added to the statement's parameters."""


def where(condition: FilterExpr | None, values: list[object], compared: Compared) -> str:
    """Return a condition as SQL.

    Args:
        condition: the condition; None is always met.
        values: the statement's parameters, to which those of the condition are added.
        compared: how the database compares.

    Raises:
        InvalidInputError: it is of a kind that kern does not know.
    """
    match condition:
        case None:
            return "true"
        case EQ(key, value):
            return compared(key, "=", value, values)
        case IN(key, choices):
            found = [compared(key, "=", each, values) for each in choices]
            return _joined(found, "OR") if found else "false"
        case GT(key, value):
            return compared(key, ">", value, values)
        case LT(key, value):
            return compared(key, "<", value, values)
        case NOT(inner):
            return f"NOT {where(inner, values, compared)}"
        case AND(conditions=conditions):
            sign, none = ("OR", "false") if isinstance(condition, OR) else ("AND", "true")
            parts = [where(each, values, compared) for each in conditions]
            return _joined(parts, sign) if parts else none
        case _:
            raise InvalidInputError(f"{condition!r:.50} is no filter of kern.filters.")


def _joined(conditions: Sequence[str], sign: str) -> str:
    """Return conditions as one, in pairs of pairs: SQLite does not nest them a thousand deep."""
    found = [*conditions]
    while len(found) > 1:
        found = [f" {sign} ".join(found[n : n + 2]) for n in range(0, len(found), 2)]
        found = [f"({each})" for each in found]
    return f"({found[0]})"
