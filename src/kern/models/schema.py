"""JSON Schemas as the providers take them: each allows a part of the language, and its own.

What a provider cannot be told to hold its model to is told to the model in words, in the
description, and left to kern, which looks at each answer. What changes what an answer looks like
(a list of names that are not known, say) cannot be left out: then the schema cannot be said.

Sources: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas,
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations,
https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from kern.models.json_schema import Schema, referred
from kern.run.codec import dump, parse

# What says nothing of a value.
_NOTES = {
    *("title", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly"),
    *("writeOnly", "discriminator", "contentEncoding", "contentMediaType", "externalDocs"),
}

# What only narrows down a value: kern looks at it where the provider does not.
_LIMITS = {
    *("pattern", "format", "minLength", "maxLength", "multipleOf", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "uniqueItems", "contains"),
    *("minContains", "maxContains", "minProperties", "maxProperties", "propertyNames", "not"),
    "dependentRequired",
}

# What all of them take, and what is written here.
_FORM = {
    *("type", "description", "enum", "const", "properties", "required", "additionalProperties"),
    *("items", "anyOf", "$ref", "$defs", "definitions"),
}

_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
)


class _UnsayableError(Exception):
    """The provider has no word for a part of the schema."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What a provider takes.

    Attributes:
        limits: the limits to which it holds its model.
        all_required: whether an object has to have all of its members.
        closed: whether objects must be closed to members that are not named.
        recursive: whether a schema may refer to itself.
        tuples: whether there are lists with a schema for each place.
        constants: whether it knows ``const``, or only an ``enum`` of texts and numbers.
    """

    limits: frozenset[str]
    all_required: bool = False
    closed: bool = True
    recursive: bool = True
    tuples: bool = False
    constants: bool = True


_OPENAI = _Dialect(
    frozenset(
        {
            *("pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum"),
            *("exclusiveMaximum", "minItems", "maxItems"),
        }
    ),
    all_required=True,
)
_CLAUDE = _Dialect(frozenset({"format", "minItems"}), recursive=False)
_GEMINI = _Dialect(
    frozenset({"format", "minimum", "maximum", "minItems", "maxItems"}),
    closed=False,
    tuples=True,
    constants=False,
)


def for_openai(schema: Mapping[str, object]) -> Schema | None:
    """Return a schema as OpenAI's strict mode takes it; None where it cannot be said there.

    A member that may be missing may be null instead: :meth:`kern.models.form.Form.read` leaves
    such a null out.

    Args:
        schema: a JSON Schema with an object as its root.

    Example:
        >>> for_openai({"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}})
        ... # doctest: +NORMALIZE_WHITESPACE
        {'type': 'object', 'properties': {'a': {'type': ['string', 'null'], 'description':
        'maxLength: 3'}}, 'required': ['a'], 'additionalProperties': False}
    """
    return _said(dump(schema), _OPENAI)


def for_claude(schema: Mapping[str, object]) -> Schema | None:
    """Return a schema as Claude takes it for its answers; None where it cannot be said there."""
    return _said(dump(schema), _CLAUDE)


def for_gemini(schema: Mapping[str, object]) -> Schema | None:
    """Return a schema as Gemini takes it as JSON Schema; None where it cannot be said there."""
    return _said(dump(schema), _GEMINI)


@lru_cache(maxsize=256)
def _said(text: str, dialect: _Dialect) -> Schema | None:
    schema = cast(Schema, parse(text))
    if not dialect.recursive and _is_recursive(schema, schema, ()):
        return None
    try:
        return _rewritten(schema, dialect)
    except _UnsayableError:
        return None


def _rewritten(schema: object, dialect: _Dialect) -> Schema:
    if not isinstance(schema, dict):
        raise _UnsayableError("a schema that is true or false")
    given: Schema = {name: value for name, value in schema.items() if name not in _NOTES}
    given = _one_of_all(given)
    if "oneOf" in given:
        if "anyOf" in given:
            raise _UnsayableError("two unions in one")
        given["anyOf"] = given.pop("oneOf")
    left_out = {name: given.pop(name) for name in [*given] if _is_left_out(name, given, dialect)}
    if left_out:
        told = [] if "description" not in given else [str(given["description"])]
        told += [f"{name}: {_in_words(value)}" for name, value in left_out.items()]
        given["description"] = "; ".join(told)
    allowed = _FORM | dialect.limits | ({"prefixItems"} if dialect.tuples else set())
    if unknown := given.keys() - allowed:
        raise _UnsayableError(f"{', '.join(sorted(unknown))}")
    if "$ref" in given:
        return _reference(given)
    if not given.keys() & {"type", "enum", "const", "anyOf"}:
        raise _UnsayableError("any value")
    return _parts(given, dialect)


def _parts(given: Schema, dialect: _Dialect) -> Schema:
    """Return a schema with all that is within it rewritten."""

    def each(value: object) -> Schema:
        return _rewritten(value, dialect)

    if not dialect.constants:
        _as_enum(given)
    for name in ("$defs", "definitions"):
        if isinstance(defs := given.get(name), dict):
            given[name] = {key: each(value) for key, value in defs.items()}
    for name in ("anyOf", "prefixItems"):
        if isinstance(values := given.get(name), list):
            given[name] = [*map(each, values)]
    kind = given.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "array" in kinds and "prefixItems" not in given:
        given["items"] = each(given.get("items", True))
    elif "items" in given and given["items"] is not False:
        given["items"] = each(given["items"])
    if "object" in kinds or "properties" in given:
        _object(given, dialect, each)
    return given


def _object(given: Schema, dialect: _Dialect, each: Callable[[object], Schema]) -> None:
    members = given.get("properties")
    more = given.get("additionalProperties", False)
    if dialect.closed:
        if more is not False or not isinstance(members, dict) or not members:
            raise _UnsayableError("members that are not named")
        given["additionalProperties"] = False
    elif isinstance(more, dict) and more:
        given["additionalProperties"] = each(more)
    if not isinstance(members, dict):
        return
    required = given.get("required", [])
    assert isinstance(required, list)
    if not {*required} <= members.keys():
        raise _UnsayableError("a member that is required and not described")
    rewritten = {name: each(value) for name, value in members.items()}
    given["properties"] = rewritten
    if dialect.all_required:
        given["properties"] = {
            name: value if name in required else _or_null(value)
            for name, value in rewritten.items()
        }
        given["required"] = [*members]
        # The order in which others are compared is that of their writing.
        given["additionalProperties"] = given.pop("additionalProperties")


def _reference(given: Schema) -> Schema:
    """Return a schema that refers to another, which may say nothing else beside it."""
    reference: Schema = {"$ref": given.pop("$ref")}
    defs = {name: given.pop(name) for name in ("$defs", "definitions") if name in given}
    if defs:
        raise _UnsayableError("a root that refers to another schema")
    if given.keys() - {"description"}:
        raise _UnsayableError("a reference with more beside it")
    return {"anyOf": [reference], **given} if given else reference


def _or_null(schema: Schema) -> Schema:
    """Return a schema to which null fits too."""
    kind, options = schema.get("type"), schema.get("anyOf")
    if isinstance(kind, str) and not schema.keys() & {"enum", "const", "anyOf"}:
        return schema if kind == "null" else {**schema, "type": [kind, "null"]}
    if isinstance(kind, list) and not schema.keys() & {"enum", "const", "anyOf"}:
        return schema if "null" in kind else {**schema, "type": [*kind, "null"]}
    null: Schema = {"type": "null"}
    if isinstance(options, list) and not schema.keys() - {"anyOf", "description"}:
        return schema if null in options else {**schema, "anyOf": [*options, null]}
    told = {"description": schema["description"]} if "description" in schema else {}
    inner = {name: value for name, value in schema.items() if name != "description"}
    return {"anyOf": [inner, null], **told}


def _one_of_all(given: Schema) -> Schema:
    """Return a schema without ``allOf`` where that holds one schema only."""
    every = given.get("allOf")
    if not isinstance(every, list) or len(every) != 1 or not isinstance(every[0], dict):
        return given
    rest = {name: value for name, value in given.items() if name != "allOf"}
    if rest.keys() & every[0].keys() - _NOTES - {"description"}:
        return given
    return {**{name: value for name, value in every[0].items() if name not in _NOTES}, **rest}


def _is_left_out(name: str, given: Schema, dialect: _Dialect) -> bool:
    """Say whether the provider does not hold its model to a limit."""
    if name not in _LIMITS:
        return False
    value = given[name]
    if name not in dialect.limits:
        return True
    if name == "format":
        return value not in _FORMATS
    if name == "pattern":
        return "(?" in str(value) or "\\b" in str(value)
    return name == "minItems" and dialect is _CLAUDE and value not in (0, 1)


def _as_enum(given: Schema) -> None:
    """Say a constant, or several, as Gemini does: texts and numbers only."""
    values = [given.pop("const")] if "const" in given else given.pop("enum", None)
    if values is None:
        return
    assert isinstance(values, list)
    kinds = {bool: "boolean", type(None): "null", str: "string", int: "integer", float: "number"}
    if not {*map(type, values)} <= kinds.keys():
        raise _UnsayableError("a constant that is a list or an object")
    named = [*dict.fromkeys(kinds[type(each)] for each in values)]
    given.setdefault("type", named[0] if len(named) == 1 else named)
    if not {"boolean", "null"} & {*named}:
        given["enum"] = values
        return
    told = [str(given["description"])] if "description" in given else []
    given["description"] = "; ".join([*told, f"one of: {_in_words(values)}"])


def _is_recursive(schema: object, root: Schema, within: tuple[str, ...]) -> bool:
    if isinstance(schema, list):
        return any(_is_recursive(each, root, within) for each in schema)
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference in within:
            return True
        return _is_recursive(referred(schema, root), root, (*within, reference))
    return any(
        _is_recursive(value, root, within)
        for name, value in schema.items()
        if name not in ("$defs", "definitions")
    )


def _in_words(value: object) -> str:
    return value if isinstance(value, str) else dump(value)
