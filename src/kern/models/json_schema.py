"""JSON Schemas as such: what refers to what, what fits, and what a null in a value means."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from kern.errors import ConfigurationError
from kern.run.codec import encode

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema = dict[str, object]

WRAP = "result"
"""What holds an answer that is no object: providers ask for one at the root."""

# How much is said of what is wrong with a schema, in characters.
_LONGEST = 200


def schema_in(given: Mapping[Any, object], keyword: str) -> Schema:
    """Return the JSON Schema that a dict is, or holds in OpenAI's form.

    Args:
        given: the dict.
        keyword: where it was given, for errors.

    Raises:
        ConfigurationError: it is none.
    """
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    for name in ("json_schema", "schema"):
        inner = given.get(name)
        if isinstance(inner, Mapping) and (name == "schema" or given.get("type") == name):
            given = inner
    schema: Schema = json.loads(encode(dict(given), keyword))
    try:
        kind = validator_for(schema, default=Draft202012Validator)
        # It knows of patterns.
        kind.check_schema(schema, format_checker=kind.FORMAT_CHECKER)  # type: ignore[call-arg] # not in the stubs
    except SchemaError as error:
        raise ConfigurationError(
            f"{keyword} is no JSON Schema: {error.json_path}: {error.message[:_LONGEST]}"
        ) from error
    if not schema:
        raise ConfigurationError(f"{keyword} is an empty dict, which says nothing of an answer.")
    for reference in _references(schema):
        # Nothing is fetched for a schema, which a user of the application may have given.
        if not referred({"$ref": reference}, schema) or not reference.startswith("#"):
            raise ConfigurationError(f"{keyword} refers to {reference!r:.200}, which is not in it.")
    return schema


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        schema = [*schema.values()]
    for each in schema if isinstance(schema, list) else ():
        yield from _references(each)


def validator_of(schema: Schema) -> "Validator":
    """Return what looks whether a value fits; it fetches nothing."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(schema, default=Draft202012Validator)
    nothing_to_fetch: Registry[Any] = Registry()
    return kind(schema, registry=nothing_to_fetch)


def with_object_root(schema: Schema) -> tuple[Schema, bool]:
    """Return a schema whose root is an object, and whether the value is within that.

    Args:
        schema: any schema.
    """
    defs: Schema = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    root = {**referred(schema, schema), **defs}
    if root.get("type") == "object" and not {"anyOf", "oneOf", "allOf"} & root.keys():
        return root, False
    inner = {name: value for name, value in schema.items() if name not in defs}
    wrap: Schema = {
        "type": "object",
        "properties": {WRAP: inner},
        "required": [WRAP],
        "additionalProperties": False,
    }
    return {**wrap, **defs}, True


def referred(schema: Schema, root: Schema) -> Schema:
    """Return the schema that another one refers to within its root; itself where it does not.

    Args:
        schema: the schema.
        root: the whole of which it is a part.
    """
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return schema
    found: object = root
    for name in reference[1:].split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def without_nulls(value: object, schema: object, root: Schema, validator: "Validator") -> object:
    """Return a value without the nulls of members that may be missing but not null.

    Args:
        value: the value.
        schema: what it has to fit.
        root: the whole of which the schema is a part.
        validator: looks whether a value fits the root.
    """
    if not isinstance(schema, dict):
        return value
    if "$ref" in schema:
        return without_nulls(value, referred(schema, root), root, validator)
    for name in ("anyOf", "oneOf", "allOf"):
        for branch in cast("list[object]", schema.get(name, [])):
            reading = without_nulls(value, branch, root, validator)
            if validator.evolve(schema=branch).is_valid(cast(Any, reading)):
                return reading
    if isinstance(value, list):
        return [without_nulls(each, schema.get("items"), root, validator) for each in value]
    if not isinstance(value, dict):
        return value
    members: dict[str, object] = schema.get("properties", {})
    required = schema.get("required", ())
    return {
        name: without_nulls(each, members.get(name), root, validator)
        for name, each in value.items()
        if each is not None
        or name not in members
        or name in required
        or validator.evolve(schema=members[name]).is_valid(None)
    }
