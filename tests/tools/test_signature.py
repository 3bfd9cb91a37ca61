"""What a model is told of a function: its parameters as JSON Schema, its docstring."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from kern.errors import ConfigurationError
from kern.run.base import RunContext
from kern.tools import FunctionTool


class Colour(enum.Enum):
    red = "RED"
    blue = "BLUE"


class Address(BaseModel):
    street: str
    number: int = 1


@dataclass
class Point:
    x: float
    y: float


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what the model is told of the parameters."""
    parameters: dict[str, Any] = FunctionTool(function).schema.parameters
    found: dict[str, Any] = parameters["properties"]
    return found


def google(city: str, days: int = 3) -> None:
    """Look at the weather.

    It need not be good.

    Args:
        city: where, and
            in which country.
        days: for how long.
    """


def numpy(city: str, days: int = 3) -> None:
    """Look at the weather.

    It need not be good.

    Parameters
    ----------
    city : str
        where, and
        in which country.
    days : int
        for how long.
    """


def sphinx(city: str, days: int = 3) -> None:
    """Look at the weather.

    It need not be good.

    :param city: where, and
        in which country.
    :param days: for how long.
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_every_style_of_docstring_is_read(function: Callable[..., None]) -> None:
    schema = FunctionTool(function).schema
    assert schema.name == function.__name__
    assert schema.description == "Look at the weather.\n\nIt need not be good."
    assert schema.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["city"],
        "properties": {
            "city": {"type": "string", "description": "where, and\nin which country."},
            "days": {"type": "integer", "description": "for how long.", "default": 3},
        },
    }


def test_a_function_with_nothing_said_about_it_is_described_by_its_name() -> None:
    def look(anything) -> None: ...  # type: ignore[no-untyped-def]

    schema = FunctionTool(look).schema
    assert schema.description == "look"
    assert schema.parameters["properties"] == {"anything": {}}


def test_a_function_without_parameters_takes_an_empty_object() -> None:
    def look() -> None: ...

    assert FunctionTool(look).schema.parameters == {
        "type": "object",
        "additionalProperties": False,
        "properties": {},
    }


def test_the_types_of_python_are_told_as_json_schema() -> None:
    def look(
        a: Optional[int],  # noqa: UP045 # written this way, too
        b: int | None = None,
        c: Literal["x", "y"] = "x",
        d: list[str] = [],  # noqa: B006 # a default that the model is told
        e: dict[str, float] = {},  # noqa: B006
        f: tuple[int, str] = (1, ""),
        g: bool = False,
    ) -> None: ...

    number = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert properties(look) == {
        "a": number,
        "b": number | {"default": None},
        "c": {"type": "string", "enum": ["x", "y"], "default": "x"},
        "d": {"type": "array", "items": {"type": "string"}, "default": []},
        "e": {"type": "object", "additionalProperties": {"type": "number"}, "default": {}},
        "f": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
            "default": [1, ""],
        },
        "g": {"type": "boolean", "default": False},
    }


def test_enums_models_and_dataclasses_are_told_with_their_parts() -> None:
    def look(colour: Colour, home: Address, spots: list[Point]) -> None: ...

    parameters: dict[str, Any] = FunctionTool(look).schema.parameters
    parts = parameters["$defs"]
    assert parts["Colour"]["enum"] == ["RED", "BLUE"]
    assert parts["Address"]["required"] == ["street"]
    assert parts["Point"]["required"] == ["x", "y"]
    assert parameters["properties"]["spots"]["items"] == {"$ref": "#/$defs/Point"}
    assert parameters["required"] == ["colour", "home", "spots"]


def test_what_annotated_and_field_say_is_told() -> None:
    def look(
        a: Annotated[int, Field(description="how many", ge=1)],
        b: Annotated[str, Field(max_length=3)] = "x",
        c: int = Field(default=3, description="how often", le=9),
        d: int = Field(description="needed"),
    ) -> None: ...

    assert properties(look) == {
        "a": {"type": "integer", "minimum": 1, "description": "how many"},
        "b": {"type": "string", "maxLength": 3, "default": "x"},
        "c": {"type": "integer", "maximum": 9, "default": 3, "description": "how often"},
        "d": {"type": "integer", "description": "needed"},
    }
    assert FunctionTool(look).schema.parameters["required"] == ["a", "d"]


def test_a_default_without_a_json_form_is_not_told() -> None:
    def look(a: object = object()) -> None: ...

    assert properties(look) == {"a": {}}
    assert "required" not in FunctionTool(look).schema.parameters


def test_a_bound_method_is_told_without_its_self() -> None:
    class Station:
        def look(self, city: str) -> None:
            """Look from here.

            Args:
                city: where.
            """

    schema = FunctionTool(Station().look).schema
    assert (schema.name, schema.description) == ("look", "Look from here.")
    assert schema.parameters["properties"] == {"city": {"type": "string", "description": "where."}}


def test_a_callable_object_is_told_as_its_call_method() -> None:
    class Look:
        """An object."""

        def __call__(self, city: str) -> None:
            """Look around.

            Args:
                city: where.
            """

    schema = FunctionTool(Look()).schema
    assert (schema.name, schema.description) == ("Look", "Look around.")
    assert schema.parameters["properties"] == {"city": {"type": "string", "description": "where."}}


def test_a_partial_is_told_as_what_is_left_of_its_function() -> None:
    schema = FunctionTool(partial(google, "Bonn")).schema
    assert schema.name == "google"
    assert schema.description.startswith("Look at the weather.")
    assert schema.parameters["properties"] == {
        "days": {"type": "integer", "description": "for how long.", "default": 3}
    }
    assert properties(partial(google, days=9))["days"]["default"] == 9


def test_a_decorated_function_is_told_as_the_one_inside() -> None:
    @wraps(google)
    def outside(*args: Any, **kwargs: Any) -> None: ...

    assert FunctionTool(outside).schema == FunctionTool(google).schema


@pytest.mark.parametrize(
    "context", ["RunContext", "Annotated[RunContext, 'of the call']", "RunContext | None"]
)
@pytest.mark.parametrize("parameters", ["context: {}, a: int", "a: int, context: {}"])
def test_the_parameter_for_the_context_is_hidden(parameters: str, context: str) -> None:
    scope: dict[str, Any] = {"RunContext": RunContext, "Annotated": Annotated}
    exec(f"def look({parameters.format(context)}): ...", scope)
    assert properties(scope["look"]) == {"a": {"type": "integer"}}


def test_names_that_pydantic_uses_itself_can_name_parameters() -> None:
    names = [
        "schema",
        "json",
        "_x",
        "self_",
        "model_config",
        "copy",
        "dict",
        "model_fields",
        "__y",
        "argument_a",
        "class_",
    ]
    scope: dict[str, Any] = {}
    exec(f"def look({', '.join(f'{name}: int' for name in names)}): ...", scope)
    assert list(properties(scope["look"])) == names


def test_further_keywords_are_not_told() -> None:
    def look(where: str, **kwargs: Any) -> None: ...

    assert list(properties(look)) == ["where"]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("*args", "Tool look: its parameter *args cannot be given by name."),
        ("a, /", "Tool look: its parameter a cannot be given by name."),
        ("b: str, a: Lock", "Tool look: its parameter a has no JSON form: Unable to generate"),
        ("a: 'Nowhere'", "Tool look: its signature is unclear: name 'Nowhere' is not defined"),
    ],
)
def test_what_cannot_be_told_to_a_model_cannot_be_a_tool(parameters: str, complaint: str) -> None:
    class Lock: ...

    scope: dict[str, Any] = {"Lock": Lock}
    exec(f"def look({parameters}): ...", scope)
    with pytest.raises(ConfigurationError) as raised:
        FunctionTool(scope["look"])
    assert str(raised.value).startswith(complaint)
    assert "arbitrary_types_allowed" not in str(raised.value)  # Of pydantic, and no help here.
