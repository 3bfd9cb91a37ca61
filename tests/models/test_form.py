"""The form of an answer, and what is read as one."""

import enum
from dataclasses import dataclass, field
from datetime import date
from threading import Lock
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field, SecretStr, field_serializer, field_validator
from typing_extensions import TypedDict

from kern.errors import ConfigurationError
from kern.models.form import Form, UnfitError


class Line(BaseModel):
    text: str
    amount: float = 1.0


class Invoice(BaseModel):
    number: str
    due: date
    lines: list[Line]
    note: str | None = None
    id: UUID = Field(default_factory=uuid4)

    @field_validator("number")
    @classmethod
    def is_known(cls, value: str) -> str:
        if value == "0":
            raise ValueError("there is no invoice 0")
        return value


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


@dataclass
class Point:
    x: int
    y: int = field(default=0)


class Movie(TypedDict):
    title: str


class Colour(enum.Enum):
    red = "red"
    blue = "blue"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Point, '{"x": 1}', Point(1)),
        (Movie, '{"title": "Alien"}', {"title": "Alien"}),
        (list[Point], '{"result": [{"x": 1, "y": 2}]}', [Point(1, 2)]),
        (Line | Point, '{"result": {"x": 3}}', Point(3)),
        (Literal["a", "b"], '{"result": "b"}', "b"),
        (Colour, '{"result": "red"}', Colour.red),
        (int, '{"result": 7}', 7),
        (bool, "true", True),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (tuple[int, str], '{"result": [1, "a"]}', (1, "a")),
        (Node, '{"name": "a", "children": [{"name": "b"}]}', None),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1}', {"a": 1}),
        ({"type": "array", "items": {"type": "integer"}}, '{"result": [1]}', [1]),
    ],
)
def test_an_answer_becomes_an_instance(kind: Any, text: str, expected: object) -> None:
    form = Form(kind)
    assert form.schema["type"] == "object"
    value = form.read(text)
    instance = form.instance(value)
    assert instance == (Node.model_validate_json(text) if expected is None else expected)
    assert Form.from_json(form.to_json()) is form


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"x": 1, "y": 2}\n```',
        'Here it is:\n```\n{"x": 1, "y": 2}\n```\nAnything else?',
        'The point is {"x": 1, "y": 2}.',
        ' {"x": 1, "y": 2}\n',
    ],
)
def test_what_stands_around_the_json_is_left_out(text: str) -> None:
    assert Form(Point).read(text) == {"x": 1, "y": 2}


def test_a_null_stands_for_a_member_that_may_be_missing() -> None:
    value = Form(Point).read('{"x": 1, "y": null}')
    assert value == {"x": 1, "y": 0}
    value = Form(Invoice).read(
        '{"number": "1", "due": "2026-01-02", "lines": [{"text": "a", "amount": null}], '
        '"note": null, "id": null}'
    )
    assert isinstance(value, dict)
    assert value["lines"] == [{"text": "a", "amount": 1.0}]
    assert value["note"] is None
    nested = Form(list[Point | Line]).read('{"result": [{"text": "a", "amount": null}]}')
    assert nested == [{"text": "a", "amount": 1.0}]
    tree = Form(Node).read('{"name": "a", "children": [{"name": "b", "children": null}]}')
    assert tree == {"name": "a", "children": [{"name": "b", "children": []}]}


def test_what_a_default_makes_is_the_same_whenever_it_is_read() -> None:
    form = Form(Invoice)
    value = form.read('{"number": "1", "due": "2026-01-02", "lines": []}')
    assert form.instance(value) == form.instance(value)


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (Point, "I do not know.", "holds no JSON"),
        (Point, "", "holds no JSON"),
        (Point, '{"x": "one"}', "x: Input should be a valid integer"),
        (Point, "{}", "x: Field required"),
        (Invoice, '{"number": "0", "due": "2026-01-02", "lines": []}', "there is no invoice 0"),
        ({"type": "object", "required": ["a"]}, "{}", "'a' is a required property"),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            '{"a": "b"}',
            "a: 'b' is not of type 'integer'",
        ),
        (list[Annotated[int, Field(gt=0)]], '{"result": [0]}', "0: Input should be greater than 0"),
        (Point, '{"x": 1', "holds no JSON"),
        (Point, "[" * 100_000, "holds no JSON"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#"}}},
            '{"a":' * 400 + "null" + "}" * 400,
            "nested too deeply",
        ),
        (Point, '{"x": "\\ud800"}', "x|surrogate"),
    ],
)
def test_what_does_not_fit_is_told(kind: Any, text: str, told: str) -> None:
    with pytest.raises(UnfitError, match=told):
        Form(kind).read(text)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Lock, "output_schema"),
        (object(), r"has no JSON form: .+\. Pass a pydantic model, a dataclass, a TypedDict or a"),
        ("Invoice", "not a text"),
        ({}, "empty"),
        ({"type": "thing"}, "no JSON Schema"),
        ({"type": "string", "pattern": "("}, "no JSON Schema"),
        ({"$ref": "http://localhost:1/schema.json"}, "refers to 'http"),
        ({"$ref": "#/$defs/Missing"}, "which is not in it"),
        (lambda: 1, "not a function"),
        (5, "has no JSON form"),
    ],
)
def test_a_type_without_a_json_form_is_refused_by_name(kind: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Form(kind)


def test_a_type_that_cannot_say_itself_is_kept_as_it_was_written() -> None:
    class Odd(BaseModel):
        number: int

        @field_serializer("number")
        def fails(self, value: int) -> int:
            raise KeyError(value)

    class Hidden(BaseModel):
        key: SecretStr

    assert Form(Odd).read('{"number": 1}') == {"number": 1}
    form = Form(Hidden)
    assert form.instance(form.read('{"key": "k"}')) == Hidden(key=SecretStr("k"))


def test_a_form_is_made_once_for_a_type() -> None:
    assert Form.of(Point) is Form.of(Point)
    assert Form.of(list[Point]) is Form.of(list[Point])
    assert Form.of({"type": "object"}) is not None


def test_a_text_needs_no_form() -> None:
    assert Form.of(None) is None
    assert Form.of(str) is None


def test_a_form_is_stored_with_where_its_type_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import kern.models.form

    text = Form(Point).to_json()
    monkeypatch.setattr(kern.models.form, "_known", type(kern.models.form._known)())
    again = Form.from_json(text)
    assert again.content_type == "Point"
    made = again.instance({"x": 1, "y": 2})
    assert (type(made).__name__, made) == ("Point", Point(1, 2)) or made == {"x": 1, "y": 2}
    elsewhere = text.replace(f'"{__name__}:Point"', '"nowhere:Point"')
    assert Form.from_json(elsewhere).instance({"x": 1}) == {"x": 1}
    with pytest.raises(UnfitError):
        Form.from_json(elsewhere).read('{"x": "one"}')


def test_an_answer_that_has_just_begun_is_read_as_far_as_it_goes() -> None:
    form = Form(Invoice)
    assert form.partial("") is None
    assert form.partial('{"num') == {}
    assert form.partial('```json\n{"number": "1", "lines": [{"te') == {"number": "1", "lines": [{}]}
    assert Form(list[str]).partial('{"result": ["a", "b') == ["a", "b"]
