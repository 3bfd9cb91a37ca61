"""Arguments as models write them: read kindly where it is clear what was meant, else strictly."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from kern.run.base import RunContext
from kern.tools import FunctionTool, ToolResult

CONTEXT: RunContext = RunContext("run", "session", "agent", None, None, 1, "call", "run/1/0", {})


class Address(BaseModel):
    street: str = "Hill"


def look(
    city: str = "Bonn",
    days: int = 1,
    share: float = 0.5,
    exact: bool | None = None,
    home: Address | None = None,
    many: list[str] = [],  # noqa: B006 # it is only read
) -> str:
    """Look."""
    return json.dumps([city, days, share, exact, home and home.street, many])


async def told(arguments: str) -> ToolResult:
    """Return what a model is told of a call."""
    return await FunctionTool(look).call(arguments, CONTEXT)


USUAL = ["Bonn", 1, 0.5, None, None, []]


@pytest.mark.parametrize("arguments", ["", " ", "\n\t", "null", " null ", "{}", " { } ", "\u00a0"])
async def test_nothing_is_no_arguments(arguments: str) -> None:
    assert await told(arguments) == ToolResult(json.dumps(USUAL))


@pytest.mark.parametrize("arguments", ["", "null", "  "])
async def test_nothing_does_not_stand_for_an_argument_that_has_to_be(arguments: str) -> None:
    def need(city: str) -> None:
        raise AssertionError("called")

    result = await FunctionTool(need).call(arguments, CONTEXT)
    assert result == ToolResult(
        "The arguments do not fit need: city: Field required", is_error=True
    )


@pytest.mark.parametrize(
    ("arguments", "place", "value"),
    [
        ('{"city": null}', 0, "Bonn"),
        ('{"city": null, "days": null, "share": null}', 1, 1),
        ('{"many": null, "days": 3}', 1, 3),
        ('{"exact": null}', 3, None),
        ('{"days": "7"}', 1, 7),
        ('{"share": 1}', 2, 1.0),
        ('{"exact": "true"}', 3, True),
        (' {"city": "K\u00f6ln"}\n', 0, "K\u00f6ln"),
        ('{"city": "\\\\u0000"}', 0, "\\u0000"),
        ('{"city": "\\ud83e\\udd8a"}', 0, "\U0001f98a"),
    ],
)
async def test_what_is_clear_is_taken(arguments: str, place: int, value: object) -> None:
    result = await told(arguments)
    assert not result.is_error, result
    assert json.loads(str(result.content))[place] == value


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ("[]", "arguments: Input should be an object"),
        ('"{}"', "arguments: Input should be an object"),
        ("7", "arguments: Input should be an object"),
        ("true", "arguments: Input should be an object"),
        ("{} {}", "arguments: Invalid JSON: trailing characters"),
        ("```json\n{}\n```", "arguments: Invalid JSON: expected value"),
        ("{'city': 'Bonn'}", "arguments: Invalid JSON: key must be a string"),
        ('{"city": "Bonn",}', "arguments: Invalid JSON: trailing comma"),
        ("\0", "arguments: Invalid JSON"),
        ('{"share": NaN}', "arguments: Invalid JSON: NaN is no number"),
        ('{"share": -Infinity}', "arguments: Invalid JSON: -Infinity is no number"),
        ('{"share": 1e999}', "arguments: 1e999 is too large a number"),
        ('{"days": ' + "9" * 5000 + "}", "arguments: Invalid JSON: number out of range"),
        ('{"city": "Bonn", "city": "Ulm"}', "city: it is given twice"),
        ('{"home": {"street": "a", "street": "b"}}', "street: it is given twice"),
        ('{"town": "Bonn"}', "town: Extra inputs are not permitted (there are: city, days,"),
        ('{"citty": "Bonn"}', "citty: Extra inputs are not permitted (did you mean city?)"),
        ('{"city": 3}', "city: Input should be a valid string"),
        ('{"days": 1.5}', "days: Input should be a valid integer"),
        ('{"days": null, "city": 3}', "city: Input should be a valid string"),
        ('{"home": {"street": null}}', "home.street: Input should be a valid string"),
        ('{"many": [null]}', "many.0: Input should be a valid string"),
        ('{"city": "a\\u0000b"}', "city: a text holds \\u0000"),
        ('{"many": ["a", "\\u0000"]}', "many.1: a text holds \\u0000"),
        ('{"home": {"street": "\\u0000"}}', "home.street: a text holds \\u0000"),
        ('{"city": "\\ud83e"}', "arguments: Invalid JSON: unexpected end of hex escape"),
        ('{"city": "\ud83e"}', "arguments: Input should be a valid string"),
        ('{"many": ' + "[" * 5000, "arguments: Invalid JSON: recursion limit"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_anything_else_goes_back_with_what_was_wrong(arguments: str, wrong: str) -> None:
    result = await told(arguments)
    assert result.is_error
    assert str(result.content).startswith(f"The arguments do not fit look: {wrong}")
    assert len(str(result.content)) < 500


async def test_what_is_told_of_many_faults_is_short() -> None:
    arguments = json.dumps({f"{'x' * 1000}{number}": number for number in range(1000)})
    content = str((await told(arguments)).content)
    assert content.endswith("; and 992 more")
    assert len(content) < 4000


async def test_every_tool_gets_an_object_where_there_is_nothing() -> None:
    class Raw(FunctionTool[[], str]):
        async def execute(self, arguments: str, *_: Any) -> ToolResult:
            return ToolResult(arguments)

    for nothing in ("", "null", " \n"):
        assert await Raw(look).call(nothing, CONTEXT) == ToolResult("{}")
    assert await Raw(look).call("[1]", CONTEXT) == ToolResult("[1]")
