"""What a function's signature and docstring say to a model."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from docstring_parser import parse
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from kern.errors import ConfigurationError
from kern.media import Media
from kern.run.base import RunContext
from kern.tools.arguments import read_arguments

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
        documented = parse(_docstring(function))
        about = (documented.short_description, documented.long_description)
        self.description = "\n\n".join(part for part in about if part)
        described = {each.arg_name: each.description for each in documented.params}
        self._context: str | None = None
        self._media: dict[str, type[Media]] = {}
        self._model = self._read(name, function, described)
        self.parameters = _without_titles(self._model.model_json_schema(schema_generator=_Schema))

    @property
    def takes_media(self) -> bool:
        """Whether a parameter takes media of the run."""
        return bool(self._media)

    @property
    def takes_state(self) -> bool:
        """Whether a parameter takes the context of the run, and with it the session's state."""
        return self._context is not None

    def check(self, arguments: str) -> BaseModel:
        """Return the arguments that a model wrote, by the names of the fields.

        Raises:
            UnfitError: they do not fit.
        """
        return read_arguments(self._model, arguments)

    def read(self, arguments: str, context: RunContext) -> dict[str, Any]:
        """Return the keyword arguments that a model wrote.

        Args:
            arguments: a JSON object.
            context: for the parameter that takes it.

        Raises:
            UnfitError: they do not fit.
        """
        given = self.check(arguments)
        values = {
            name.removeprefix(_FIELD): getattr(given, name) for name in self._model.model_fields
        }
        if self._context is not None:
            values[self._context] = context
        for parameter, kind in self._media.items():
            values[parameter] = [each for each in context.media if isinstance(each, kind)]
        return values

    def _read(
        self, name: str, function: Callable[..., Any], described: dict[str, str | None]
    ) -> type[BaseModel]:
        target = _definition(function)
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
            if any(_is_context(part) for part in (hint, *get_args(hint))):
                self._context = each.name
                continue
            if (kind := _media_in(hint)) is not None:
                self._media[each.name] = kind
                continue
            if isinstance(each.default, FieldInfo):
                field = each.default
            else:
                field = Field(... if each.default is each.empty else each.default)
            told = described.get(each.name)
            if told and not field.description:
                named = Field(alias=each.name, description=told)
            else:
                named = Field(alias=each.name)
            annotation = Annotated[hint, named]  # type: ignore[valid-type] # a value here
            fields[_FIELD + each.name] = (annotation, field)
        try:
            model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
            model.model_json_schema(schema_generator=_Schema)
        except PydanticUserError as error:
            raise ConfigurationError(
                f"Tool {name}: a parameter has no JSON form: {error.message}"
            ) from error
        return model


class _Schema(GenerateJsonSchema):
    """Leaves out a default that has no JSON form, with no warning."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 # as pydantic has it
        "skipped-choice",
        "non-serializable-default",
    }


def _media_in(hint: object) -> type[Media] | None:
    """Return which media a hint such as ``list[Image] | None`` means, or None."""
    for each in get_args(hint):
        if isinstance(each, type) and issubclass(each, Media):
            return each
        if (found := _media_in(each)) is not None:
            return found
    return None


def _is_context(hint: object) -> bool:
    return hint is RunContext or get_origin(hint) is RunContext


def name_of(function: Callable[..., Any]) -> str:
    """Return what the function is called in the code."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _definition(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function whose annotations those of ``function`` are."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    if inspect.isroutine(function):
        return function
    call: Callable[..., Any] = type(function).__call__
    return call


def _docstring(function: Callable[..., Any]) -> str:
    documented = inspect.getdoc(_definition(function))
    if documented is None and not isinstance(function, partial):
        documented = inspect.getdoc(function)
    return documented or ""


def _without_titles(schema: dict[str, Any]) -> dict[str, object]:
    """Return the schema without the titles that pydantic adds: they tell a model nothing."""
    schema.pop("title", None)
    for each in schema.get("properties", {}).values():
        each.pop("title", None)
    return schema
