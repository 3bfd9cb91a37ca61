"""The steps of a run's thoughts, as its output holds them."""

from typing import Any

import msgspec
from typing_extensions import override

from kern.reasoning.step import ReasoningStep
from kern.run.extra import Extra, HasMore


class StepsField(Extra[list[ReasoningStep]]):
    """A field of steps that is kept as JSON values."""

    @override
    def __get__(self, holder: HasMore | None, owner: type) -> Any:
        found: object = self if holder is None else (holder.more or {}).get(self._name)
        return msgspec.convert(found, list[ReasoningStep]) if isinstance(found, list) else found

    @override
    def __set__(self, holder: HasMore, value: list[ReasoningStep] | None) -> None:
        kept: Any = msgspec.to_builtins(value)
        super().__set__(holder, kept)
