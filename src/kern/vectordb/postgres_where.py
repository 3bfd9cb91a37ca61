"""Conditions on ``meta_data`` as PostgreSQL has them; keys and values are parameters."""

from kern.filters import FilterExpr, Scalar
from kern.vectordb.values import cleaned, json_of
from kern.vectordb.where import where


def postgres_where(condition: FilterExpr | None, values: list[object]) -> str:
    """Return a condition as SQL.

    Args:
        condition: the condition; None is always met.
        values: the statement's parameters, to which those of the condition are added.

    Raises:
        InvalidInputError: it is of a kind that kern does not know.
    """
    return where(condition, values, _compared)


def _has(key: str, value: Scalar, values: list[object]) -> str:
    """Return that a key has a value, in a form that the index on ``meta_data`` serves."""
    values.append(json_of({key: value}, "the filter"))
    return f"meta_data @> ${len(values)}::jsonb"


def _compared(key: str, sign: str, value: Scalar, values: list[object]) -> str:
    if sign == "=":
        return _has(key, value, values)
    is_text = isinstance(value, str)
    values += [cleaned(key), cleaned(value) if isinstance(value, str) else repr(value)]
    found, other = f"${len(values) - 1}::text", f"${len(values)}::text"
    kind, cast = ("string", 'COLLATE "C"') if is_text else ("number", "::numeric")
    return (
        f"CASE WHEN jsonb_typeof(meta_data -> {found}) = '{kind}' "
        f"THEN (meta_data ->> {found}) {cast} {sign} {other}{'' if is_text else cast} "
        "ELSE false END"
    )
