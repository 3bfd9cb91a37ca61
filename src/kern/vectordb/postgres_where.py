"""Conditions on ``meta_data`` as PostgreSQL has them; keys and values are parameters."""

from kern.errors import InvalidInputError
from kern.filters import AND, EQ, GT, IN, LT, NOT, OR, FilterExpr, Scalar
from kern.vectordb.values import cleaned, joined, json_of


def postgres_where(condition: FilterExpr | None, values: list[object]) -> str:
    """Return a condition as SQL.

    Args:
        condition: the condition; None is always met.
        values: the statement's parameters, to which those of the condition are added.

    Raises:
        InvalidInputError: it is of a kind that kern does not know.
    """
    match condition:
        case None:
            return "true"
        case EQ(key, value):
            return _has(key, value, values)
        case IN(key, choices):
            found = [_has(key, each, values) for each in choices]
            return joined(found, "OR") if found else "false"
        case GT(key, value):
            return _compared(key, ">", value, values)
        case LT(key, value):
            return _compared(key, "<", value, values)
        case NOT(inner):
            return f"NOT {postgres_where(inner, values)}"
        case AND(conditions=conditions):
            sign, none = ("OR", "false") if isinstance(condition, OR) else ("AND", "true")
            parts = [postgres_where(each, values) for each in conditions]
            return joined(parts, sign) if parts else none
        case _:
            raise InvalidInputError(f"{condition!r:.50} is no filter of kern.filters.")


def _has(key: str, value: Scalar, values: list[object]) -> str:
    """Return that a key has a value, in a form that the index on ``meta_data`` serves."""
    values.append(json_of({key: value}, "the filter"))
    return f"meta_data @> ${len(values)}::jsonb"


def _compared(key: str, sign: str, value: str | int | float, values: list[object]) -> str:
    is_text = isinstance(value, str)
    values += [cleaned(key), cleaned(value) if isinstance(value, str) else repr(value)]
    found, other = f"${len(values) - 1}::text", f"${len(values)}::text"
    kind, cast = ("string", 'COLLATE "C"') if is_text else ("number", "::numeric")
    return (
        f"CASE WHEN jsonb_typeof(meta_data -> {found}) = '{kind}' "
        f"THEN (meta_data ->> {found}) {cast} {sign} {other}{'' if is_text else cast} "
        "ELSE false END"
    )
