"""Schemas as the providers take them: what fits the original fits what is sent, and comes back."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from kern.models.form import Form
from kern.models.schema import for_claude, for_gemini, for_openai

Json = dict[str, Any]

_LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 2, "maxLength": 9},
        {"type": "string", "pattern": "^[a-z]+$"},
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": 0, "exclusiveMaximum": 50},
        {"type": "number", "multipleOf": 0.5},
        {"type": "boolean", "title": "Flag", "default": True},
        {"type": "null"},
        {"type": ["string", "null"]},
        {"enum": ["a", "b", 3]},
        {"enum": ["a", None]},
        {"const": True},
        {"const": "fixed", "type": "string"},
        {"$ref": "#/$defs/Point"},
        {"$ref": "#/$defs/Point", "description": "where", "default": {"x": 1}},
        {"allOf": [{"$ref": "#/$defs/Point"}], "title": "Where"},
    ]
)


def _object(members: Mapping[str, Json], required: set[str]) -> Json:
    return {
        "type": "object",
        "properties": dict(members),
        "required": sorted(required & members.keys()),
        "additionalProperties": False,
    }


def _objects(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    names = st.sampled_from(["title", "a", "type", "properties", "x"])
    return st.builds(_object, st.dictionaries(names, inner, min_size=1, max_size=3), st.sets(names))


def _more(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    lists = st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least, "maxItems": 4},
        inner,
        st.integers(0, 2),
    )
    unions = st.builds(
        lambda name, options: {name: options},
        st.sampled_from(["anyOf", "oneOf"]),
        st.lists(inner, min_size=1, max_size=3),
    )
    return lists | unions | _objects(inner)


_DEFS = {"Point": _object({"x": {"type": "integer"}, "y": {"type": "number"}}, {"x"})}

_ANY: st.SearchStrategy[Any] = st.recursive(_LEAVES, _more, max_leaves=4)

_SCHEMAS = _objects(_ANY).map(lambda schema: {**schema, "$defs": _DEFS})


@st.composite
def fitting(draw: st.DrawFn, schema: Json, root: Json) -> Any:
    """Draw a value that fits one of the schemas of this module."""
    if reference := schema.get("$ref"):
        return draw(fitting(root["$defs"][reference.rpartition("/")[2]], root))
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return draw(fitting(draw(st.sampled_from(schema[name])), root))
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum") or [schema["const"]]))
    kinds = schema["type"]
    match draw(st.sampled_from(kinds)) if isinstance(kinds, list) else kinds:
        case "object":
            return {
                name: draw(fitting(each, root))
                for name, each in schema["properties"].items()
                if name in schema["required"] or draw(st.booleans())
            }
        case "array":
            count = draw(st.integers(schema["minItems"], schema["maxItems"]))
            return [draw(fitting(schema["items"], root)) for _ in range(count)]
        case "string" if "format" in schema:
            return draw(st.dates()).isoformat()
        case "string":
            return draw(st.text("abc", min_size=2, max_size=9))
        case "integer":
            return draw(st.integers(0, 49))
        case "number":
            return draw(st.integers(-9, 9)) / 2
        case "boolean":
            return draw(st.booleans())
    return None


def as_sent(value: object, schema: Json, root: Json) -> object:
    """Return a value as a model writes it that has to write all members."""
    if "$ref" in schema:
        return as_sent(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for branch in schema.get("anyOf", ()):
        written = as_sent(value, branch, root)
        if Draft202012Validator({**branch, "$defs": root.get("$defs", {})}).is_valid(written):
            return written
    if isinstance(value, list):
        return [as_sent(each, schema.get("items", {}), root) for each in value]
    if isinstance(value, dict):
        members = schema.get("properties", {})
        return {name: as_sent(value.get(name), each, root) for name, each in members.items()}
    return value


@settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.data())
def test_what_fits_is_sayable_strictly_and_read_as_it_was(data: st.DataObject) -> None:
    schema = data.draw(_SCHEMAS)
    value = data.draw(fitting(schema, schema))
    assume(Draft202012Validator(schema).is_valid(value))
    strict = for_openai(schema)
    assert strict is not None
    Draft202012Validator.check_schema(strict)
    written = as_sent(value, strict, strict)
    assert Draft202012Validator(strict).is_valid(written)
    form = Form(schema)
    read = form.read(json.dumps(written))
    assert Draft202012Validator(schema).is_valid(read)
    ambiguous = ("anyOf", "oneOf", "null", "None")
    assert read == value or any(each in str(schema) for each in ambiguous)


@settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.data())
def test_what_fits_is_sayable_to_claude_and_gemini(data: st.DataObject) -> None:
    schema = data.draw(_SCHEMAS)
    value = data.draw(fitting(schema, schema))
    assume(Draft202012Validator(schema).is_valid(value))
    for rewrite in (for_claude, for_gemini):
        rewritten = rewrite(schema)
        assert rewritten is not None
        Draft202012Validator.check_schema(rewritten)
        assert Draft202012Validator(rewritten).is_valid(value)


@settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
@given(_SCHEMAS)
def test_a_strict_schema_is_what_openai_documents(schema: Json) -> None:
    strict = for_openai(schema)
    assert strict is not None
    assert strict["type"] == "object"
    assert "anyOf" not in strict
    for each in _subschemas(strict):
        assert each.keys() <= {
            *("type", "description", "enum", "const", "properties", "required", "items", "anyOf"),
            *("additionalProperties", "$ref", "$defs", "pattern", "format", "multipleOf"),
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"),
        }
        if "$ref" in each:
            assert each.keys() == {"$ref"}
        if each.get("type") == "object":
            assert each["additionalProperties"] is False
            assert [*each["required"]] == [*each["properties"]]


def _subschemas(schema: Json) -> list[Json]:
    found = [schema]
    for name in ("properties", "$defs"):
        for each in schema.get(name, {}).values():
            found += _subschemas(each)
    for each in schema.get("anyOf", ()):
        found += _subschemas(each)
    if isinstance(schema.get("items"), dict):
        found += _subschemas(schema["items"])
    return found


class Node(BaseModel):
    """A tree."""

    name: str
    children: "list[Node]" = []


@pytest.mark.parametrize(
    ("kind", "openai", "claude", "gemini"),
    [
        (dict[str, int], False, False, True),
        (dict, False, False, True),
        (Node, True, False, True),
        (list[Any], False, False, False),
        (tuple[int, str], False, False, True),
        ({"type": "object", "patternProperties": {"a": {}}}, False, False, False),
        ({"type": "object", "properties": {"a": True}}, False, False, False),
    ],
)
def test_what_cannot_be_said_is_known(kind: Any, openai: bool, claude: bool, gemini: bool) -> None:
    schema = Form(kind).schema
    assert (for_openai(schema) is not None) is openai
    assert (for_claude(schema) is not None) is claude
    assert (for_gemini(schema) is not None) is gemini


def test_the_schema_that_was_given_is_left_as_it_was() -> None:
    schema = Form(Node).schema
    before = str(schema)
    for rewrite in (for_openai, for_claude, for_gemini):
        rewrite(schema)
    assert str(schema) == before


def test_the_model_is_told_what_the_provider_does_not_look_at() -> None:
    class Code(BaseModel):
        code: str = Field(min_length=3, description="the code")

    strict = for_openai(Form(Code).schema)
    assert strict is not None
    assert strict["properties"] == {
        "code": {"type": "string", "description": "the code; minLength: 3"}
    }
