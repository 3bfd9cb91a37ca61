"""The binder: which values a user's function is called with, and where."""

import functools
import threading
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from kern.binder import Binder
from kern.errors import ConfigurationError
from kern.run.base import RunContext

if TYPE_CHECKING:
    from fractions import Fraction

KNOWN: dict[str, type | str | None] = {
    "agent": "Agent",
    "run_context": RunContext,
    "run_input": None,
    "session_state": None,
}
CONTEXT: RunContext = RunContext("run", "session")


class Agent:
    """Stands for a class that lies above."""


class Special(Agent):
    """One of a user's."""


VALUES = {
    "agent": Agent(),
    "run_context": CONTEXT,
    "run_input": "Hello",
    "session_state": {"a": 1},
}


def bind(function: Any) -> Binder:
    return Binder(function, KNOWN, what="The hook f")


async def given(function: Any) -> Any:
    return await bind(function).call(VALUES)


async def test_a_parameter_is_bound_by_its_name() -> None:
    def hook(run_input: str, session_state: dict[str, int]) -> object:
        return run_input, session_state

    assert bind(hook).names == {"run_input", "session_state"}
    assert await given(hook) == ("Hello", {"a": 1})


@pytest.mark.parametrize(
    "hint",
    [
        RunContext,
        RunContext[dict[str, object]],
        RunContext | None,
        Annotated[RunContext, "which"],
        "RunContext",
        "RunContext[Any] | None",
        "kern.run.RunContext",
    ],
)
async def test_a_parameter_is_bound_by_its_annotation(hint: Any) -> None:
    def hook(ctx, agent):  # type: ignore[no-untyped-def] # it is annotated below
        return ctx

    hook.__annotations__["ctx"] = hint
    assert bind(hook).names == {"run_context", "agent"}
    assert await given(hook) is CONTEXT


async def test_an_annotation_says_more_than_a_name() -> None:
    def hook(agent: RunContext, who: Special) -> object:
        return agent, who

    assert await given(hook) == (CONTEXT, VALUES["agent"])


async def test_an_annotation_that_cannot_be_read_leaves_the_name() -> None:
    def hook(run_input: "Fraction", ctx: RunContext) -> object:
        return run_input, ctx

    assert await given(hook) == ("Hello", CONTEXT)


async def test_a_parameter_with_a_default_is_left_alone_where_nothing_is_known_of_it() -> None:
    def hook(limit: int = 3, *, run_input: str = "none") -> object:
        return limit, run_input

    assert await given(hook) == (3, "Hello")


async def test_keywords_get_everything() -> None:
    def hook(run_input: str, *rest: object, **more: object) -> object:
        return rest, sorted(more)

    assert bind(hook).names == set(KNOWN)
    assert await given(hook) == ((), ["agent", "run_context", "session_state"])


async def test_a_parameter_that_is_given_by_its_place() -> None:
    def hook(run_input: str, context: RunContext, /, agent: object) -> object:
        return run_input, context, agent

    assert await given(hook) == ("Hello", CONTEXT, VALUES["agent"])


class Hook:
    """Whatever can be called."""

    def __call__(self, run_input: str) -> str:
        return f"{run_input} of an object"

    async def method(self, run_input: str) -> str:
        return f"{run_input} of a method"

    @classmethod
    def of_class(cls, run_input: str) -> str:
        return f"{run_input} of {cls.__name__}"


class Made:
    """Made by being called."""

    def __init__(self, run_input: str, ctx: RunContext) -> None:
        self.given = run_input, ctx


async def test_anything_that_can_be_called_is() -> None:
    assert await given(Hook()) == "Hello of an object"
    assert await given(Hook().method) == "Hello of a method"
    assert await given(Hook.of_class) == "Hello of Hook"
    assert await given(functools.partial(lambda n, run_input: (n, run_input), 1)) == (1, "Hello")
    assert (await given(Made)).given == ("Hello", CONTEXT)


async def test_a_wrapped_function_is_read_as_what_it_wraps() -> None:
    def wrap(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            return function(*args, **kwargs)

        return call

    @wrap
    async def hook(run_input: str) -> str:
        return run_input

    assert await given(hook) == "Hello"


async def test_a_synchronous_function_is_called_in_a_thread_and_what_it_returns_is_awaited() -> (
    None
):
    threads = []

    async def later() -> str:
        threads.append(threading.current_thread())
        return "later"

    def hook() -> object:
        threads.append(threading.current_thread())
        return later()

    assert await given(hook) == "later"
    assert threads[0] is not threads[1] is threading.current_thread()


async def test_what_a_function_raises_is_raised() -> None:
    def hook() -> None:
        raise ZeroDivisionError("of the hook")

    with pytest.raises(ZeroDivisionError, match="of the hook"):
        await given(hook)


def test_an_unknown_parameter_is_refused_with_the_nearest() -> None:
    def hook(run_inptu: str) -> None: ...

    with pytest.raises(ConfigurationError, match="The hook f has a parameter 'run_inptu'") as found:
        bind(hook)
    assert "Did you mean 'run_input'?" in str(found.value)


def test_an_unknown_parameter_is_refused_with_all_that_are_known() -> None:
    def hook(zzz: str) -> None: ...

    with pytest.raises(ConfigurationError, match="agent, run_context, run_input, session_state"):
        bind(hook)


@pytest.mark.parametrize("function", [3, "text", None])
def test_what_cannot_be_called_is_refused(function: object) -> None:
    with pytest.raises(ConfigurationError, match="The hook f: its signature is unclear"):
        bind(function)
