"""What a function's signature and docstring say to a model."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from docstring_parser import parse
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, create_model

from kern.errors import ConfigurationError
from kern.run.base import RunContext

# Keeps a parameter's name apart from what pydantic's models have of their own.
_FIELD = "argument_"


class Signature:
    """The parameters of a function, as JSON Schema and as a reader of JSON.

    Attributes:
        description: what the docstring says the function does, or an empty text.
        parameters: the JSON Schema of its arguments, without the run's context.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Read the signature.

        Args:
            name: the tool's name, for errors.
            function: the function.

        Raises:
            ConfigurationError: its parameters have no JSON form.
        """
        documented = parse(inspect.getdoc(function) or "")
        about = (documented.short_description, documented.long_description)
        self.description = "\n\n".join(part for part in about if part)
        described = {each.arg_name: each.description for each in documented.params}
        self._context: str | None = None
        self._model = self._read(name, function, described)
        self.parameters = _without_titles(self._model.model_json_schema())

    def read(self, arguments: str, context: RunContext) -> dict[str, Any]:
        """Return the keyword arguments that a model wrote.

        Args:
            arguments: a JSON object; an empty text is an empty one.
            context: for the parameter that takes it.

        Raises:
            pydantic.ValidationError: they do not fit.
        """
        given = self._model.model_validate_json(arguments or "{}")
        values = {
            name.removeprefix(_FIELD): getattr(given, name) for name in self._model.model_fields
        }
        if self._context is not None:
            values[self._context] = context
        return values

    def _read(
        self, name: str, function: Callable[..., Any], described: dict[str, str | None]
    ) -> type[BaseModel]:
        target = inspect.unwrap(function)
        if not inspect.isroutine(target):
            target = type(target).__call__
        try:
            hints = get_type_hints(target, include_extras=True)
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError, NameError) as error:
            raise ConfigurationError(f"Tool {name}: its signature is unclear: {error}") from error
        fields: dict[str, Any] = {}
        for each in parameters:
            if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY):
                raise ConfigurationError(
                    f"Tool {name}: its parameter {each} cannot be given by name."
                )
            hint = hints.get(each.name, Any)
            if hint is RunContext:
                self._context = each.name
                continue
            default = ... if each.default is each.empty else each.default
            field = Field(default, alias=each.name, description=described.get(each.name))
            fields[_FIELD + each.name] = (hint, field)
        try:
            model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
            model.model_json_schema()
        except PydanticUserError as error:
            raise ConfigurationError(
                f"Tool {name}: a parameter has no JSON form: {error.message}"
            ) from error
        return model


def _without_titles(schema: dict[str, Any]) -> dict[str, object]:
    """Return the schema without the titles that pydantic adds: they tell a model nothing."""
    schema.pop("title", None)
    for each in schema.get("properties", {}).values():
        each.pop("title", None)
    return schema
