"""A function called with the JSON that a model wrote, and what it returned as text."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import pytest
from hypothesis import given
from pydantic import BaseModel, field_validator
from strategies import Json, json_values

from kern.agent import Agent
from kern.aio.threads import Threads
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext
from kern.run.content import text_of
from kern.testing import ScriptedModel
from kern.tools import FunctionTool, Tool, ToolResult, Toolset, tool

CONTEXT: RunContext = RunContext("run", "session", "agent", None, None, 1, "call", "run/1/0", {})


class Address(BaseModel):
    street: str


@dataclass
class Point:
    x: float
    y: float


async def result_of(function: Callable[..., Any], arguments: str = "{}") -> ToolResult:
    """Return what a call of the function comes to."""
    return await FunctionTool(function).call(arguments, CONTEXT)


async def call(function: Callable[..., Any], arguments: str = "{}") -> str:
    """Return what the model is told of a call that succeeds."""
    result = await result_of(function, arguments)
    assert not result.is_error
    return text_of(result.content)


async def failed_call(function: Callable[..., Any], arguments: str = "{}") -> str:
    """Return what the model is told of a call that fails."""
    result = await result_of(function, arguments)
    assert result.is_error
    assert result.data is None
    return text_of(result.content)


def test_a_decorator_without_arguments_makes_a_tool() -> None:
    @tool
    def look(city: str) -> str:
        """Look around."""
        return f"{city} is there"

    assert isinstance(look, Tool)
    assert repr(look) == "FunctionTool('look')"
    assert (look.name, look.schema.description) == ("look", "Look around.")
    assert look.on_interrupt == "retry"
    assert not look.requires_confirmation
    assert look("Bonn") == "Bonn is there"


def test_a_decorator_with_arguments_makes_the_tool_that_they_say() -> None:
    @tool(
        name="look-around",
        description="Look.",
        on_interrupt="pause",
        timeout=3,
        requires_confirmation=True,
    )
    def look() -> str:
        """Do something else."""
        return ""

    assert (look.name, look.schema.name) == ("look-around", "look-around")
    assert look.schema.description == "Look."
    assert (look.on_interrupt, look.timeout) == ("pause", 3)
    assert look.requires_confirmation


@pytest.mark.parametrize("what", ["a text", 3, None])
def test_what_cannot_be_called_cannot_be_a_tool(what: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        FunctionTool(what)
    assert str(raised.value) == (
        f"A tool must be a function, not {type(what).__name__}. "
        "Give the function itself, without calling it: Agent(tools=[search])."
    )


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            {"type": "web_search"},
            "not dict. A tool of the provider is given to the agent: Agent(",
        ),
        (
            Agent("Expert", ScriptedModel()),
            "not Agent. An agent is given as agent.as_tool(): Agent(tools=[researcher.as_tool()]).",
        ),
        (FunctionTool, "not the class FunctionTool; write FunctionTool(...)."),
        (Toolset, "not the class Toolset; write Toolset(...)."),
    ],
)
def test_what_was_meant_by_what_is_no_tool_is_said(what: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        FunctionTool(what)
    assert said in str(raised.value)


def test_another_rule_for_interrupts_is_refused() -> None:
    with pytest.raises(ConfigurationError) as raised:
        tool(on_interrupt="stop")(look_from)  # type: ignore[call-overload] # it is refused
    assert str(raised.value) == "on_interrupt must be 'retry', 'fail' or 'pause', not 'stop'."


@pytest.mark.parametrize("name", ["look around", "größe", "x" * 65, "look.around"])
def test_a_name_that_providers_refuse_is_refused_at_once(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a tool"):
        FunctionTool(lambda: None, name=name)


def test_a_nameless_function_needs_a_name() -> None:
    with pytest.raises(ConfigurationError, match="'<lambda>' cannot name a tool"):
        FunctionTool(lambda: None)
    assert FunctionTool(lambda: None, name="nothing").name == "nothing"


def test_two_tools_of_one_name_are_refused() -> None:
    def look() -> None: ...

    with pytest.raises(ConfigurationError) as raised:
        Agent("Tester", OpenAIResponses(), tools=[look, tool(name="look")(lambda: None)])
    assert str(raised.value).startswith("Two tools have the name 'look'; give one of them another")


async def test_arguments_become_what_the_annotations_say() -> None:
    seen: list[object] = []

    def look(home: Address, spot: Point, day: datetime, many: list[int], ok: bool = True) -> None:
        seen.extend([home, spot, day, many, ok])

    given = {
        "home": {"street": "Hill"},
        "spot": {"x": 1, "y": "2.5"},
        "day": "2026-01-02T03:04:05Z",
        "many": ["1", 2.0],
    }
    day = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await call(look, json.dumps(given))
    assert seen == [Address(street="Hill"), Point(1.0, 2.5), day, [1, 2], True]


async def test_any_name_of_a_parameter_gets_its_argument() -> None:
    def look(schema: int, json: int, _x: int, self_: int, model_config: int) -> str:
        return f"{schema} {json} {_x} {self_} {model_config}"

    given = {"model_config": 5, "self_": 4, "_x": 3, "json": 2, "schema": 1}
    assert await call(look, json.dumps(given)) == "1 2 3 4 5"


async def test_no_text_at_all_is_no_arguments() -> None:
    assert await call(lambda_named(lambda: "done"), "") == "done"


def lambda_named(function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = "look"
    return function


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ("{}", "city: Field required"),
        ('{"city": 3}', "city: Input should be a valid string"),
        ('{"city": "Bonn", "days": "x"}', "days: Input should be a valid integer"),
        ('{"city": "Bonn", "sort": "x"}', "sort: Input should be 'up' or 'down'"),
        ('{"city": "Bonn", "town": 1}', "town: Extra inputs are not permitted"),
        ('{"city": "Bonn", "context": {}}', "context: Extra inputs are not permitted"),
        ('{"city": "Bonn", "home": {"street": 1}}', "home.street: Input should be a valid string"),
        ('{"days": 1.5}', "city: Field required; days: Input should be a valid integer"),
        ("[1]", "arguments: Input should be an object"),
        ('{"city": "Bo', "arguments: Invalid JSON: EOF while parsing"),
        ("nonsense \ud800", "arguments: Input should be a valid string"),
        ("[" * 100_000, "arguments: Invalid JSON: recursion limit"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_in_words_for_the_model(
    arguments: str, wrong: str
) -> None:
    def look(
        city: str,
        context: RunContext,
        days: int = 1,
        sort: Literal["up", "down"] = "up",
        home: Address | None = None,
    ) -> None:
        raise AssertionError("called")

    told = await failed_call(look, arguments)
    assert told.startswith(f"The arguments do not fit look: {wrong}")


@pytest.mark.parametrize("first", [True, False])
async def test_the_context_is_given_wherever_its_parameter_stands(first: bool) -> None:
    def look(context: RunContext, city: str) -> str:
        return f"{city} {context.idempotency_key}"

    def look_last(city: str, some: RunContext | None = None) -> str:
        assert some is not None
        return f"{city} {some.idempotency_key}"

    function = look if first else look_last
    assert await call(function, '{"city": "Bonn"}') == "Bonn run/1/0"


class Station:
    def look(self, city: str) -> str:
        return f"{city} from here"

    async def alook(self, city: str) -> str:
        await asyncio.sleep(0)
        return f"{city} from here"

    async def __call__(self, city: str) -> str:
        return await self.alook(city)


def look_from(where: str, city: str) -> str:
    return f"{city} from {where}"


async def alook_from(where: str, city: str) -> str:
    return f"{city} from {where}"


@pytest.mark.parametrize(
    "function",
    [
        Station().look,
        Station().alook,
        Station(),
        partial(look_from, "here"),
        partial(look_from, where="here"),
        partial(alook_from, "here"),
    ],
)
async def test_methods_callables_and_partials_are_called(function: Callable[..., Any]) -> None:
    assert await call(function, '{"city": "Bonn"}') == "Bonn from here"


class Shop:
    def __init__(self, name: str) -> None:
        self.name = name

    @tool
    def greet(self, guest: str) -> str:
        return f"{self.name} greets {guest}"

    @tool(name="sell", description="Sell.", on_interrupt="fail", timeout=9)
    async def asell(self, what: str) -> str:
        return f"{self.name} sells {what}"


async def test_a_method_is_a_tool_of_the_instance_on_which_it_is_looked_up() -> None:
    one, other = Shop("One"), Shop("Other")
    assert (await one.greet.call('{"guest": "Ada"}', CONTEXT)).content == "One greets Ada"
    assert (await other.asell.call('{"what": "tea"}', CONTEXT)).content == "Other sells tea"
    assert one.greet("Bob") == "One greets Bob"
    assert await one.asell(what="milk") == "One sells milk"

    sell = one.asell
    assert sell.schema.description == "Sell."
    assert sell.schema.parameters["required"] == ["what"]
    assert (sell.name, sell.on_interrupt, sell.timeout) == ("sell", "fail", 9)
    assert not sell.is_portable
    assert Shop.greet(one, "Eve") == "One greets Eve"


async def test_a_synchronous_function_is_called_in_another_thread() -> None:
    assert await call(lambda_named(lambda: threading.get_ident())) != str(threading.get_ident())


async def test_a_wait_for_a_thread_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kern.aio.threads._threads", Threads(1, patience=60))
    end = threading.Event()

    @tool(timeout=60)
    def occupy() -> bool:
        return end.wait(10)

    @tool(timeout=0.5)
    def look() -> str:
        return "seen"

    async with asyncio.TaskGroup() as calls:
        calls.create_task(occupy.call("{}", CONTEXT))
        looking = calls.create_task(look.call("{}", CONTEXT))
        done, _ = await asyncio.wait({looking}, timeout=0.7)
        assert not done
        end.set()
    assert looking.result() == ToolResult("seen")


class UntoldError(Exception):
    def __str__(self) -> str:
        raise SystemExit


class Odd:
    def __str__(self) -> str:
        return "odd"

    def __repr__(self) -> str:
        return "Odd()"


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("as it is", "as it is"),
        ("", ""),
        ("\u0000 \ud800 é", "\u0000 \ud800 é"),
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        (Decimal("1.50"), '"1.50"'),
        ({"a": [1, {"b": None}]}, '{"a": [1, {"b": null}]}'),
        ({"é": "\ud800\u0000"}, '{"é": "\ud800\\u0000"}'),
        ({1: 2}, '{"1": 2}'),
        (Address(street="Hill"), '{"street": "Hill"}'),
        ([Point(1, 2)], '[{"x": 1, "y": 2}]'),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (b"bytes", '"bytes"'),
        (b"\xff", "b'\\xff'"),
        ({"a": b"\xff"}, "{'a': b'\\xff'}"),
        ({"\ud800": 1}, '{"\ud800": 1}'),
        (Odd(), '"odd"'),
        ({"a": Odd()}, '{"a": "odd"}'),
        ({1}, "[1]"),
    ],
    ids=ascii,
)
async def test_what_a_function_returns_becomes_text(result: object, told: str) -> None:
    def look() -> object:
        return result

    assert await call(look) == told


@given(json_values)
async def test_any_json_value_is_told_as_json_and_kept_as_data(value: Json) -> None:
    async def look() -> Json:
        return value

    result = await result_of(look)
    if isinstance(value, str):
        assert result == ToolResult(value)
    else:
        assert json.loads(text_of(result.content)) == result.data == value


async def test_what_has_a_json_form_is_kept_as_data_in_that_form() -> None:
    async def look() -> object:
        return [Address(street="Hill"), (Point(1, 2),), Odd()]

    data = [{"street": "Hill"}, [{"x": 1, "y": 2}], "odd"]
    assert await result_of(look) == ToolResult(json.dumps(data), data)


async def test_what_has_no_json_form_becomes_text_without_data() -> None:
    circle: list[object] = []
    circle.append(circle)
    result: object = circle

    def look() -> object:
        return result

    assert await result_of(look) == ToolResult("[[...]]")
    result = {"a": float("nan")}
    assert await result_of(look) == ToolResult("{'a': nan}")


@pytest.mark.parametrize("is_error", [True, False])
async def test_a_tool_result_is_passed_through_as_it_is(is_error: bool) -> None:
    made = ToolResult("seen", {"a": 1}, is_error)

    async def alook() -> ToolResult:
        return made

    assert await result_of(lambda_named(lambda: made)) is made
    assert await result_of(alook) is made


@pytest.mark.parametrize("size", [1_000_000])
async def test_a_result_may_be_large(size: int) -> None:
    assert await call(lambda_named(lambda: "é" * size)) == "é" * size
    assert len(await call(lambda_named(lambda: ["x" * size]))) == size + 4


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LookupError("nowhere"), "LookupError: nowhere"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (UntoldError(), "UntoldError: its text cannot be read: SystemExit"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_a_function_raises_is_told(error: BaseException, told: str) -> None:
    def look() -> None:
        raise error

    async def alook() -> None:
        raise error

    assert await failed_call(look) == await failed_call(alook) == told


async def test_what_a_validator_of_its_own_says_is_told() -> None:
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def _is_even(cls, number: int) -> int:
            if number % 2:
                raise ValueError("must be even")
            return number

    def look(even: Even) -> None: ...

    told = await failed_call(look, '{"even": {"number": 1}}')
    assert told == "The arguments do not fit look: even.number: Value error, must be even"


async def test_a_function_left_behind_learns_that_it_was_cancelled() -> None:
    began, heard = threading.Event(), threading.Event()
    context: RunContext = RunContext(
        "run", "session", "agent", None, None, 1, "call", "run/1/0", {}
    )

    def look(context: RunContext) -> None:
        began.set()
        while not context.cancelled:
            pass
        heard.set()

    task = asyncio.create_task(FunctionTool(look).call("{}", context))
    assert await asyncio.to_thread(began.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(heard.wait, 5)


async def test_further_keywords_are_empty() -> None:
    def look(where: str, **kwargs: Any) -> str:
        return f"{where} {kwargs}"

    assert await call(look, '{"where": "Rome"}') == "Rome {}"
