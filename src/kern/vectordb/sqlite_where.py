"""Conditions on ``meta_data`` as SQLite has them; keys and values are parameters."""

from kern.filters import FilterExpr, Scalar, kind_of
from kern.vectordb.values import cleaned
from kern.vectordb.where import where

_LARGEST = 2**63

_KINDS = {"boolean": "'true', 'false'", "number": "'integer', 'real'", "string": "'text'"}


def sqlite_where(condition: FilterExpr | None, values: list[object]) -> str:
    """Return a condition as SQL.

    Args:
        condition: the condition; None is always met.
        values: the statement's parameters, to which those of the condition are added.

    Raises:
        InvalidInputError: it is of a kind that kern does not know.
    """
    if condition is None:
        return "true"
    # One look at the values for all that is asked of them: SQLite does not take a thousand.
    asked = where(condition, values, _compared)
    return f"(SELECT {asked} AND count(*) >= 0 FROM json_each(meta_data) AS known)"


def _compared(key: str, sign: str, value: Scalar, values: list[object]) -> str:
    kind = kind_of(value) or "string"
    if isinstance(value, str):
        value = cleaned(value)
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        value = float(value)  # As SQLite reads such numbers.
    values += [cleaned(key), value]
    # Not by a path: a key may hold what a path has a meaning for.
    return (
        f"ifnull(max(known.key = ?{len(values) - 1} AND known.type IN ({_KINDS[kind]}) "
        f"AND known.value {sign} ?{len(values)}), false)"
    )
