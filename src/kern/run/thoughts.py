"""The steps of a run's thoughts, as its output holds them."""

from typing import Any, overload

import msgspec
from typing_extensions import override

from kern.reasoning.step import ReasoningStep
from kern.run.extra import Extra, HasMore


class StepsField(Extra[list[ReasoningStep]]):
    """A field of steps that is kept as JSON values."""

    @overload
    def __get__(self, holder: None, owner: type) -> "StepsField": ...

    @overload
    def __get__(self, holder: HasMore, owner: type) -> list[ReasoningStep] | None: ...

    @override
    def __get__(
        self, holder: HasMore | None, owner: type
    ) -> "list[ReasoningStep] | StepsField | None":
        if holder is None:
            return self
        found: object = (holder.more or {}).get(self._name)
        return None if found is None else msgspec.convert(found, list[ReasoningStep])

    @override
    def __set__(self, holder: HasMore, value: list[ReasoningStep] | None) -> None:
        kept: Any = msgspec.to_builtins(value)
        super().__set__(holder, kept)
