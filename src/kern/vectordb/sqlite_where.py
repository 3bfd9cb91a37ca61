"""Conditions on ``meta_data`` as SQLite has them; keys and values are parameters."""

from kern.errors import InvalidInputError
from kern.filters import AND, EQ, GT, IN, LT, NOT, OR, FilterExpr, Scalar, kind_of
from kern.vectordb.values import cleaned, joined

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
    asked = _where(condition, values)
    return f"(SELECT {asked} AND count(*) >= 0 FROM json_each(meta_data) AS known)"


def _where(condition: FilterExpr, values: list[object]) -> str:
    match condition:
        case EQ(key, value):
            return _compared(key, "=", value, values)
        case IN(key, choices):
            found = [_compared(key, "=", each, values) for each in choices]
            return joined(found, "OR") if found else "false"
        case GT(key, value):
            return _compared(key, ">", value, values)
        case LT(key, value):
            return _compared(key, "<", value, values)
        case NOT(inner):
            return f"NOT {_where(inner, values)}"
        case AND(conditions=conditions):
            sign, none = ("OR", "false") if isinstance(condition, OR) else ("AND", "true")
            parts = [_where(each, values) for each in conditions]
            return joined(parts, sign) if parts else none
        case _:
            raise InvalidInputError(f"{condition!r:.50} is no filter of kern.filters.")


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
