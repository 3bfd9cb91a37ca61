"""Fields that few values have: kept in one dict, so that all others do not pay for them."""

from typing import Any, Generic, Protocol, TypeVar, overload

Value = TypeVar("Value")


class HasMore(Protocol):
    """What keeps such fields."""

    more: dict[str, Any] | None


class Extra(Generic[Value]):
    """A field that is kept in ``more``, under its name; None where it is not there.

    Example:
        >>> class Note:
        ...     more = None
        ...     author = Extra[str]()
        >>> note = Note()
        >>> note.author = "Ada"
        >>> note.author, note.more
        ('Ada', {'author': 'Ada'})
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, holder: None, owner: type) -> "Extra[Value]": ...

    @overload
    def __get__(self, holder: HasMore, owner: type) -> Value | None: ...

    def __get__(self, holder: HasMore | None, owner: type) -> "Value | Extra[Value] | None":
        if holder is None:
            return self
        return None if holder.more is None else holder.more.get(self._name)

    def __set__(self, holder: HasMore, value: Value | None) -> None:
        holder.more = {**(holder.more or {}), self._name: value}
