"""What a function's signature and docstring say to a model."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from docstring_parser import parse
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core.core_schema import LiteralSchema
from typing_extensions import override

from kern.binder import Known, definition_of, is_meant, value_for
from kern.errors import ConfigurationError
from kern.media import Audio, File, Image, Media, Video
from kern.run.base import MEDIA_VALUES, RunContext
from kern.tools.arguments import read_arguments

# Keeps a parameter's name apart from what pydantic's models have of their own.
_FIELD = "argument_"

NOTHING: Mapping[str, object] = MappingProxyType({})


class Signature:
    """The parameters of a function, as JSON Schema and as a reader of JSON.

    Attributes:
        description: what the docstring says the function does, or an empty text.
        parameters: the JSON Schema of its arguments, without those that kern gives.
        asks_for: the values that kern gives it (:data:`~kern.run.base.RUN_VALUES`, and ``fc``).
    """

    def __init__(
        self, name: str, function: Callable[..., Any], parameters: dict[str, Any] | None = None
    ) -> None:
        """Read the signature.

        Args:
            name: the tool's name, for errors.
            function: the function.
            parameters: the JSON Schema of its arguments where its signature does not say it: any
                object is taken then.

        Raises:
            ConfigurationError: its parameters have no JSON form.
        """
        documented = parse(_docstring(function))
        about = (documented.short_description, documented.long_description)
        self.description: str = "\n\n".join(part for part in about if part)
        described = {each.arg_name: each.description for each in documented.params}
        self._given: dict[str, str] = {}
        self._media: dict[str, type[Media]] = {}
        if parameters is None:
            self._model = self._read(name, function, described)
            schema = self._model.model_json_schema(schema_generator=_Schema)
            self.parameters: dict[str, Any] = _without_titles(schema)
        else:
            self._find_given(function, name)
            self._model = _Anything
            self.parameters = parameters
        self._names = {name.removeprefix(_FIELD): name for name in self._model.model_fields}
        media = {value for value, kind in _KINDS.items() if kind in self._media.values()}
        self.asks_for: frozenset[str] = frozenset(self._given.values()) | media

    def check(self, arguments: str) -> dict[str, Any]:
        """Return the arguments that a model wrote, by the names of the parameters.

        Raises:
            UnfitError: they do not fit.
        """
        given = read_arguments(self._model, arguments)
        if given.model_extra is not None:
            return given.model_extra
        return {name: getattr(given, field) for name, field in self._names.items()}

    def given(self, context: RunContext, more: Mapping[str, object] = NOTHING) -> dict[str, object]:
        """Return the arguments that kern gives.

        Args:
            context: of the call.
            more: values beside those of the run, by their names.
        """
        if not self.asks_for:
            return {}
        values = {**context.values(self.asks_for), **more}
        found = {parameter: values.get(name) for parameter, name in self._given.items()}
        for parameter, kind in self._media.items():
            found[parameter] = [each for each in context.media if isinstance(each, kind)]
        return found

    def _read(
        self, name: str, function: Callable[..., Any], described: dict[str, str | None]
    ) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for each, hint in self._find_given(function, name):
            if each.kind in (each.VAR_POSITIONAL, each.POSITIONAL_ONLY):
                raise ConfigurationError(
                    f"Tool {name}: its parameter {each} cannot be given by name."
                )
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
                f"Tool {name}: {_without_form(fields)} has no JSON form: "
                f"{error.message.partition('. Set `')[0]}. Annotate it with what a model can "
                "write: str, int, float, bool, list, dict, a pydantic model, a dataclass."
            ) from error
        return model

    def _find_given(
        self, function: Callable[..., Any], name: str
    ) -> list[tuple[inspect.Parameter, Any]]:
        """Note which parameters kern gives; return the others with their annotations."""
        try:
            hints = get_type_hints(definition_of(function), include_extras=True)
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError, NameError) as error:
            raise ConfigurationError(f"Tool {name}: its signature is unclear: {error}") from error
        others = []
        for each in parameters:
            hint = hints.get(each.name, Any)
            if (value := _value_for(each.name, hint)) is not None:
                self._given[each.name] = value
            elif (kind := _media_in(hint)) is not None:
                self._media[each.name] = kind
            elif (
                each.kind is not each.VAR_KEYWORD
            ):  # The model is not told of it, and it stays empty.
                others.append((each, hint))
        return others


def _without_form(fields: Mapping[str, Any]) -> str:
    """Return which parameter a model cannot be told of, by its name."""
    for name, field in fields.items():
        try:
            create_model(name, **{name: field}).model_json_schema(schema_generator=_Schema)
        except PydanticUserError:
            return f"its parameter {name.removeprefix(_FIELD)}"
    return "one of its parameters"


class _Anything(BaseModel):
    """Arguments that only the tool itself can judge."""

    model_config = ConfigDict(extra="allow")


class _Schema(GenerateJsonSchema):
    """Leaves out a default that has no JSON form, with no warning."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 # as pydantic has it
        "skipped-choice",
        "non-serializable-default",
    }

    @override
    def literal_schema(self, schema: LiteralSchema) -> JsonSchemaValue:
        """Return an enum also for a single value: not every provider takes a const."""
        told = super().literal_schema(schema)
        if "const" in told:
            told["enum"] = [told.pop("const")]
        return told


# What a function may ask for: by its annotation, or by its name.
_VALUES: Known = {
    "agent": "Agent",
    "team": "Team",
    "run_context": RunContext,
    "fc": "FunctionCall",
    "session_state": None,
    "dependencies": None,
    **dict.fromkeys(MEDIA_VALUES),
}

_KINDS: dict[str, type[Media]] = {
    "images": Image,
    "videos": Video,
    "audios": Audio,
    "files": File,
}


def _value_for(name: str, hint: object) -> str | None:
    """Return which value kern gives for a parameter, or None where a model gives it."""
    value = value_for(name, hint, _VALUES)
    if value is None or is_meant(hint, _VALUES[value]):
        return value
    if value in MEDIA_VALUES:  # Others than bare ones say by their annotation what they take.
        return value if hint in (Any, list, tuple, Sequence) else None
    return None if _is_of_model(hint) else value


def _is_of_model(hint: object) -> bool:
    """Say whether an annotation is one of JSON, such as ``str`` or ``list[str] | None``."""
    if get_origin(hint) is Literal or hint in (str, int, float, bool):
        return True
    if get_origin(hint) in (dict, Mapping):
        return False
    return any(_is_of_model(each) or _is_model(each) for each in get_args(hint))


def _is_model(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _media_in(hint: object) -> type[Media] | None:
    """Return which media a hint such as ``list[Image] | None`` means, or None."""
    for each in get_args(hint):
        if isinstance(each, type) and issubclass(each, Media):
            return each
        if (found := _media_in(each)) is not None:
            return found
    return None


def _docstring(function: Callable[..., Any]) -> str:
    documented = inspect.getdoc(definition_of(function))
    if documented is None and not isinstance(function, partial):
        documented = inspect.getdoc(function)
    return documented or ""


def _without_titles(schema: dict[str, Any]) -> dict[str, object]:
    """Return the schema without the titles that pydantic adds: they tell a model nothing."""
    schema.pop("title", None)
    for each in schema.get("properties", {}).values():
        each.pop("title", None)
    return schema
