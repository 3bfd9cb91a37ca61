"""What narrows a search: conditions on what is known of a document, its ``meta_data``.

A condition is false where the document has no such value, or one of another kind. Keys and values
are data everywhere, never a part of a statement.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from kern.errors import InvalidInputError

Scalar: TypeAlias = str | int | float | bool
"""What a value in ``meta_data`` is compared with."""

DEPTH = 32
"""How deep conditions may be nested."""

LIMIT = 1000
"""How many values conditions may compare with in all."""


class FilterExpr(ABC):
    """A condition; ``&``, ``|`` and ``~`` put several together.

    Example:
        >>> recent = GT("year", 2020) & ~EQ("lang", "de")
        >>> recent.matches({"year": 2024, "lang": "en"})
        True
    """

    @abstractmethod
    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""

    @abstractmethod
    def to_dict(self) -> dict[str, object]:
        """Return the condition as JSON values, of which :func:`filter_of` makes it again."""

    def __and__(self, other: "FilterExpr") -> "AND":
        return AND(self, other)

    def __or__(self, other: "FilterExpr") -> "OR":
        return OR(self, other)

    def __invert__(self) -> "NOT":
        return NOT(self)


Filters: TypeAlias = FilterExpr | Mapping[str, object] | Sequence[object] | None
"""What narrows a search, in each of its forms; see :func:`filter_of`."""


@dataclass(frozen=True)
class EQ(FilterExpr):
    """The value is this one; 1 is 1.0, and neither ``True`` nor ``"1"``.

    Attributes:
        key: its name in ``meta_data``.
        value: what it must be.

    Example:
        >>> EQ("lang", "en").matches({"lang": "en"})
        True
    """

    key: str
    value: Scalar

    def __post_init__(self) -> None:
        _check_key(self.key)
        _check_scalar(self.value)

    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""
        found = meta_data.get(self.key)
        return kind_of(found) == kind_of(self.value) and found == self.value

    def to_dict(self) -> dict[str, object]:
        """Return the condition as JSON values, of which :func:`filter_of` makes it again."""
        return {"op": "EQ", "key": self.key, "value": self.value}


@dataclass(frozen=True)
class IN(FilterExpr):
    """The value is one of these.

    Attributes:
        key: its name in ``meta_data``.
        values: what it may be.

    Example:
        >>> IN("lang", ["en", "fr"]).matches({"lang": "de"})
        False
    """

    key: str
    values: Sequence[Scalar]

    def __post_init__(self) -> None:
        _check_key(self.key)
        if isinstance(self.values, str | bytes) or not isinstance(self.values, Sequence):
            raise InvalidInputError(f"IN({self.key!r:.50}, …) needs a list of values.")
        for each in self.values:
            _check_scalar(each)
        object.__setattr__(self, "values", tuple(self.values))

    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""
        return any(EQ(self.key, each).matches(meta_data) for each in self.values)

    def to_dict(self) -> dict[str, object]:
        """Return the condition as JSON values, of which :func:`filter_of` makes it again."""
        return {"op": "IN", "key": self.key, "values": [*self.values]}


@dataclass(frozen=True)
class GT(FilterExpr):
    """The value is greater: a number than a number, or a text, such as a date, than a text.

    Attributes:
        key: its name in ``meta_data``.
        value: what it must be greater than.

    Example:
        >>> GT("date", "2026-01-01").matches({"date": "2026-03-09"})
        True
    """

    key: str
    value: str | int | float

    def __post_init__(self) -> None:
        _check_key(self.key)
        _check_ordered(self.value)

    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""
        return _is_less(self.value, meta_data.get(self.key))

    def to_dict(self) -> dict[str, object]:
        """Return the condition as JSON values, of which :func:`filter_of` makes it again."""
        return {"op": "GT", "key": self.key, "value": self.value}


@dataclass(frozen=True)
class LT(FilterExpr):
    """The value is less: a number than a number, or a text, such as a date, than a text.

    Attributes:
        key: its name in ``meta_data``.
        value: what it must be less than.

    Example:
        >>> LT("year", 2026).matches({"year": "2025"})
        False
    """

    key: str
    value: str | int | float

    def __post_init__(self) -> None:
        _check_key(self.key)
        _check_ordered(self.value)

    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""
        return _is_less(meta_data.get(self.key), self.value)

    def to_dict(self) -> dict[str, object]:
        """Return the condition as JSON values, of which :func:`filter_of` makes it again."""
        return {"op": "LT", "key": self.key, "value": self.value}


class AND(FilterExpr):
    """All of the conditions are met.

    Attributes:
        conditions: the conditions.

    Example:
        >>> AND(EQ("lang", "en"), GT("year", 2020))
        AND(EQ(key='lang', value='en'), GT(key='year', value=2020))
    """

    def __init__(self, *conditions: FilterExpr) -> None:
        """Put conditions together.

        Raises:
            InvalidInputError: one is none.
        """
        self.conditions = _checked(conditions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.conditions))})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.conditions == other.conditions

    def __hash__(self) -> int:
        return hash((type(self), self.conditions))

    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""
        return all(each.matches(meta_data) for each in self.conditions)

    def to_dict(self) -> dict[str, object]:
        """Return the condition as JSON values, of which :func:`filter_of` makes it again."""
        conditions = [each.to_dict() for each in self.conditions]
        return {"op": type(self).__name__, "conditions": conditions}


class OR(AND):
    """One of the conditions is met, or several.

    Attributes:
        conditions: the conditions.

    Example:
        >>> OR(EQ("lang", "en"), EQ("lang", "fr")).matches({"lang": "fr"})
        True
    """

    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""
        return any(each.matches(meta_data) for each in self.conditions)


@dataclass(frozen=True)
class NOT(FilterExpr):
    """The condition is not met; so also where a document has no such value.

    Attributes:
        condition: the condition.

    Example:
        >>> NOT(EQ("lang", "en")).matches({})
        True
    """

    condition: FilterExpr

    def __post_init__(self) -> None:
        _checked((self.condition,))

    def matches(self, meta_data: Mapping[str, object]) -> bool:
        """Say whether what is known of a document meets the condition."""
        return not self.condition.matches(meta_data)

    def to_dict(self) -> dict[str, object]:
        """Return the condition as JSON values, of which :func:`filter_of` makes it again."""
        return {"op": "NOT", "condition": self.condition.to_dict()}


def filter_of(filters: Filters) -> FilterExpr | None:
    """Return what narrows a search as one condition; None where nothing does.

    Args:
        filters: a condition, also as JSON values; or a mapping from names in ``meta_data`` to what
            their values must be, or to a list of what they may be; or a list of all of these, which
            must all be met.

    Raises:
        InvalidInputError: they are none of these, or too many, or nested too deep.

    Example:
        >>> filter_of({"lang": "en", "year": [2025, 2026]})
        AND(EQ(key='lang', value='en'), IN(key='year', values=(2025, 2026)))
        >>> filter_of([{"op": "GT", "key": "year", "value": 2020}])
        GT(key='year', value=2020)
    """
    found = _read(filters, DEPTH)
    if found is not None and _count(found, DEPTH) > LIMIT:
        raise InvalidInputError(f"Filters compare with more than {LIMIT} values.")
    return found


def kind_of(value: object) -> str | None:
    """Return what kind of value it is, as JSON names these; None where it is not compared."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else None


def _read(filters: object, depth: int) -> FilterExpr | None:
    if filters is None or isinstance(filters, FilterExpr):
        return filters
    if not depth:
        raise InvalidInputError(f"Filters are nested more than {DEPTH} deep.")
    if isinstance(filters, Mapping):
        if "op" in filters:
            return _of_dict(filters, depth - 1)
        return _joined([_of_pair(key, value) for key, value in filters.items()])
    if isinstance(filters, Sequence) and not isinstance(filters, str | bytes):
        read = [_read(each, depth - 1) for each in filters]
        return _joined([each for each in read if each is not None])
    raise InvalidInputError(
        "Filters are a condition such as EQ('lang', 'en'), a dict such as {'lang': 'en'}, or a "
        f"list of these, not a {type(filters).__name__}."
    )


def _joined(conditions: Sequence[FilterExpr]) -> FilterExpr | None:
    if len(conditions) == 1:
        return conditions[0]
    return AND(*conditions) if conditions else None


def _of_pair(key: object, value: object) -> FilterExpr:
    if not isinstance(key, str):
        raise InvalidInputError(f"A filter's key must be text, not {key!r:.50}.")
    if isinstance(value, list | tuple | set | frozenset):
        return IN(key, [*value])
    return EQ(key, value)  # type: ignore[arg-type] # which it checks


def _of_dict(values: Mapping[object, object], depth: int) -> FilterExpr:
    op, key, value = values.get("op"), values.get("key"), values.get("value")
    if op in ("AND", "OR"):
        conditions = values.get("conditions")
        if not isinstance(conditions, Sequence) or isinstance(conditions, str):
            raise InvalidInputError(f"The filter {op} needs a list of conditions.")
        read = [_read(each, depth) for each in conditions]
        return (AND if op == "AND" else OR)(*(each for each in read if each is not None))
    if op == "NOT":
        condition = _read(values.get("condition"), depth)
        if condition is None:
            raise InvalidInputError("The filter NOT needs a condition.")
        return NOT(condition)
    comparisons: dict[str, Callable[..., FilterExpr]] = {"EQ": EQ, "IN": IN, "GT": GT, "LT": LT}
    if not isinstance(op, str) or op not in comparisons:
        raise InvalidInputError(
            f"There is no filter {op!r:.50}. There are {', '.join([*comparisons, 'AND, OR, NOT'])}."
        )
    if op == "IN":
        value = values.get("values", value)
    return comparisons[op](key, value)


def _count(condition: FilterExpr, depth: int) -> int:
    """Return how many values a condition compares with, if it is not nested deeper than that."""
    if not depth:
        raise InvalidInputError(f"Filters are nested more than {DEPTH} deep.")
    if isinstance(condition, AND):
        return sum(_count(each, depth - 1) for each in condition.conditions)
    if isinstance(condition, NOT):
        return _count(condition.condition, depth - 1)
    return len(condition.values) if isinstance(condition, IN) else 1


def _checked(conditions: tuple[FilterExpr, ...]) -> tuple[FilterExpr, ...]:
    for each in conditions:
        if not isinstance(each, FilterExpr):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"{each!r:.50} is no condition such as EQ('lang', 'en').")
    return conditions


def _check_key(key: object) -> None:
    if not isinstance(key, str) or not key:
        raise InvalidInputError(f"A filter's key must be text, not {key!r:.50}.")


def _check_scalar(value: object) -> None:
    try:
        is_right = _is_text(value) or (isinstance(value, int | float) and math.isfinite(value))
    except OverflowError:
        raise InvalidInputError("A filter compares with numbers below 1.8e308.") from None
    if not is_right:
        raise InvalidInputError(
            f"A filter compares with a text, a finite number or a bool, not with {value!r:.50}."
        )


def _check_ordered(value: object) -> None:
    _check_scalar(value)
    if isinstance(value, bool):
        raise InvalidInputError("GT and LT compare numbers and texts, not a bool.")


def _is_less(one: object, other: object) -> bool:
    if _is_text(one) and _is_text(other):
        return one < other
    return _is_number(one) and _is_number(other) and one < other


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def _is_number(value: object) -> TypeGuard[float]:
    return kind_of(value) == "number"
