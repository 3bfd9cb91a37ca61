"""What the query of an URL asks for: every parameter is read, or refused by its name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self

from fastapi import Request

from kern.server.problems import RequestError

_FLAGS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}

_MOST, _USUAL = 100, 20


class Query:
    """The parameters in the query of an URL, each a list of texts."""

    def __init__(self, given: Mapping[str, list[str]]) -> None:
        """Read them later."""
        self._given = given

    @classmethod
    def of(cls, request: Request, *known: str) -> Self:
        """Return those of a request.

        Args:
            request: the request.
            *known: their names; lists may have ``[]`` after theirs.

        Raises:
            RequestError: there is another one (400).
        """
        given: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            plain = name.removesuffix("[]")
            if plain not in known:
                raise RequestError(
                    400,
                    f"There is no parameter {name!r:.100}.",
                    code="unknown_parameter",
                    param=name[:100],
                )
            given.setdefault(plain, []).append(value)
        return cls(given)

    def text(self, name: str) -> str | None:
        """Return a parameter as a text; None where it is not given.

        Raises:
            RequestError: it is given twice (400).
        """
        values = self._given.get(name, [])
        if len(values) > 1:
            raise _unusable(name, "is given more than once")
        return values[0] if values else None

    def flag(self, name: str) -> bool:
        """Return a parameter that is true or false.

        Raises:
            RequestError: it is neither (400).
        """
        text = self.text(name)
        if text is not None and text.lower() not in _FLAGS:
            raise _unusable(name, f"must be true or false, not {text!r:.50}")
        return text is not None and _FLAGS[text.lower()]

    def count(self, name: str, least: int = 0, most: int = 2**53) -> int | None:
        """Return a parameter that is a whole number; None where it is not given.

        Raises:
            RequestError: it is none, or out of its bounds (400).
        """
        text = self.text(name)
        if text is None:
            return None
        is_number = text.isascii() and text.isdecimal() and len(text) < 20
        if not is_number or not least <= int(text) <= most:
            bounds = f"from {least} on" if most == 2**53 else f"from {least} to {most}"
            raise _unusable(name, f"must be a whole number {bounds}, not {text!r:.50}")
        return int(text)

    def choices(self, name: str, known: Collection[str]) -> list[str]:
        """Return a parameter that may be given several times, each time one of these.

        Raises:
            RequestError: one is something else (400).
        """
        given = self._given.get(name, [])
        for each in given:
            if each not in known:
                raise _unusable(name, f"cannot be {each!r:.100}", "unsupported_value")
        return given

    def limit(self) -> int:
        """Return how many a page has."""
        found = self.count("limit", 1, _MOST)
        return _USUAL if found is None else found

    def is_oldest_first(self) -> bool:
        """Say whether ``order`` is ``"asc"``."""
        order = self.choices("order", ("asc", "desc"))
        return self.text("order") == "asc" if order else False

    def page(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the page of items, the oldest of which is the first, that is asked for.

        Raises:
            RequestError: ``after`` is none of them, or a parameter cannot be used (400).
        """
        limit, after = self.limit(), self.text("after")
        ordered = list(items) if self.is_oldest_first() else list(reversed(items))
        if after is not None:
            ids = [each["id"] for each in ordered]
            if after not in ids:
                raise _unusable("after", f"is no item of this list: {after!r:.100}")
            ordered = ordered[ids.index(after) + 1 :]
        return page_of(ordered[:limit], has_more=len(ordered) > limit)


def page_of(items: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return a page as OpenAI's API writes it."""
    return {
        "object": "list",
        "data": items,
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def _unusable(name: str, why: str, code: str = "invalid_value") -> RequestError:
    return RequestError(400, f"{name} {why}.", code=code, param=name)
