"""The hooks of an agent: what a user has given as one, checked when the agent is made."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from kern.binder import Binder, Known, definition_of
from kern.errors import ConfigurationError
from kern.guardrails.base import BaseGuardrail, check_guardrail
from kern.hooks import runs_in_background
from kern.keywords import shown
from kern.run.agent import RunOutput
from kern.run.base import RUN_VALUES
from kern.run.given import RunInput, with_texts

Given = TypeVar("Given")

Kind: TypeAlias = Literal["pre", "post"]

_KNOWN: Known = {**RUN_VALUES, "session": "AgentSession"}
_KNOWN_OF: Mapping[Kind, Known] = {
    "pre": {"run_input": RunInput, **_KNOWN},
    "post": {"run_output": RunOutput, **_KNOWN},
}


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of an agent.

    Attributes:
        kind: when it is called.
        place: its place among those of its kind.
        name: what it is called.
        function: the guardrail, or what calls the function.
        in_background: whether it is called beside what follows the answer.
    """

    kind: Kind
    place: int
    name: str
    function: BaseGuardrail | Binder
    in_background: bool

    @classmethod
    def of(cls, kind: Kind, place: int, given: object) -> "Hook":
        """Return what a user has given as a hook.

        Raises:
            ConfigurationError: it is none, or asks for what there is not.
        """
        is_last = runs_in_background(given)
        if isinstance(given, BaseGuardrail):
            name = type(given).__name__
            return cls(kind, place, name, check_guardrail(given), is_last)
        if isinstance(given, type) or not callable(given):
            raise ConfigurationError(
                f"{kind}_hooks takes functions and guardrails, not {shown(given)}."
            )
        name = getattr(given, "__name__", None) or type(given).__name__
        binder = Binder(given, _KNOWN_OF[kind], what=f"The {kind}-hook {name}")
        return cls(kind, place, name, binder, is_last)

    @property
    def is_portable(self) -> bool:
        """Whether it is the same in every process that has its agent, and holds no caller's."""
        if isinstance(self.function, BaseGuardrail):
            return "<locals>" not in type(self.function).__qualname__
        function = definition_of(self.function.function)
        return (
            inspect.isfunction(self.function.function)
            and getattr(function, "__closure__", None) is None
            and "." not in function.__qualname__
        )


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of an agent, in their order.

    Attributes:
        pre: those before the first model call.
        post: those after the answer.
    """

    pre: tuple[Hook, ...] = ()
    post: tuple[Hook, ...] = ()

    @classmethod
    def of(cls, pre: object, post: object) -> "Hooks | None":
        """Return what a user has given as ``pre_hooks`` and ``post_hooks``; None for no hook.

        Raises:
            ConfigurationError: it is no list of hooks.
        """
        made = cls(tuple(_listed("pre", pre)), tuple(_listed("post", post)))
        return made if made.pre or made.post else None

    @property
    def is_portable(self) -> bool:
        """Whether they are the same in every process that has their agent."""
        return all(each.is_portable for each in (*self.pre, *self.post))

    @property
    def in_background(self) -> list[Hook]:
        """Those that are called beside what follows the answer."""
        return [each for each in (*self.pre, *self.post) if each.in_background]

    def at_submit(self, given: Given) -> Given:
        """Return what a run is given as its guardrails let it be stored."""
        for hook in self.pre:
            guardrail = hook.function
            if isinstance(guardrail, BaseGuardrail):
                given = with_texts(given, guardrail.at_submit)
        return given


def _listed(kind: Kind, given: object) -> Iterator[Hook]:
    if given is None:
        return
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ConfigurationError(
            f"{kind}_hooks must be a list of functions and guardrails, not {given!r:.80}."
        )
    for place, each in enumerate(given):
        yield Hook.of(kind, place, each)
