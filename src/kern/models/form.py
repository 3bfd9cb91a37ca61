"""The form of an answer: a Python type, or a JSON Schema; what fits it, and how that is stored."""

import re
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, reduce
from inspect import isroutine
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from kern.errors import ConfigurationError, described
from kern.models.base import OutputSchema
from kern.models.json_schema import (
    WRAP,
    Schema,
    schema_in,
    validator_of,
    with_object_root,
    without_nulls,
)
from kern.run.codec import dump, encode, parse

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from pydantic import TypeAdapter, ValidationError

# How much a model is told of what was wrong: so many faults, each in so many characters.
_MOST, _LONGEST = 8, 200

# How many forms of runs are remembered by the text that is stored of them.
_REMEMBERED = 1000

_MODULES = re.compile(r"(?:[\w<>]+\.)+")
_FENCED = re.compile(r"```[\w-]*\s*\n(.*?)```", re.DOTALL)

_known: "OrderedDict[str, Form]" = OrderedDict()
_lock = Lock()


class UnfitError(ValueError):
    """An answer does not fit; the text is for the model."""


class Form:
    """What an answer has to be.

    Attributes:
        schema: the form as a JSON Schema, whose root is an object.
        content_type: what a run's content is called that has the form, such as ``"Invoice"``.

    Example:
        >>> form = Form(list[int])
        >>> form.content_type, form.schema["required"]
        ('list[int]', ['result'])
        >>> form.read('Here you are: {"result": [1, 2]}')
        [1, 2]
    """

    def __init__(
        self, kind: object, *, name: str | None = None, keyword: str = "output_schema"
    ) -> None:
        """Read a form.

        Args:
            kind: a pydantic model, a dataclass, a TypedDict, an enum, a union, a list or any other
                type that has a JSON form; or a JSON Schema as a dict.
            name: what the content is called; by default as the type is.
            keyword: where it was given, for errors.

        Raises:
            ConfigurationError: it has no JSON form.
        """
        self._kind = kind
        self._adapter: TypeAdapter[Any] | None = None
        self._validator: Validator | None = None
        if isinstance(kind, Mapping):
            self._own = schema_in(kind, keyword)
            self.content_type: str = name or str(self._own.get("title") or "dict")
        else:
            self._adapter, self._own = _adapted(kind, keyword)
            self.content_type = name or _name_of(kind)
        self.schema, self._is_wrapped = with_object_root(self._own)
        self.label: str = (
            re.sub(r"[^a-zA-Z0-9_-]+", "_", self.content_type).strip("_")[:64] or "answer"
        )

    @classmethod
    def of(cls, kind: object, keyword: str = "output_schema") -> "Form | None":
        """Return the form that a keyword says; None where a text will do.

        Args:
            kind: as for a form.
            keyword: where it was given, for errors.

        Raises:
            ConfigurationError: it has no JSON form.
        """
        if kind is None or kind is str:
            return None
        try:
            return _form_of(kind, keyword)
        except TypeError:  # A dict, or what holds one, has no hash.
            return cls(kind, keyword=keyword)

    def __repr__(self) -> str:
        return f"Form({self.content_type})"

    @property
    def output_schema(self) -> OutputSchema:
        """The form as a model is asked for it."""
        return OutputSchema(self.label, self.schema)

    def read(self, text: str) -> object:
        """Return the JSON value that an answer says.

        What stands around it (Markdown, a sentence) is left out, and so is a null where a member
        may be missing but not null: strict schemas make a model write it.

        Args:
            text: the answer.

        Raises:
            UnfitError: there is none, or it does not fit.
        """
        unfit: UnfitError | None = None
        for value in _values_in(text):
            try:
                for reading in self._readings(value):
                    try:
                        return self._checked(reading)
                    except UnfitError as error:
                        unfit = unfit or error
            except RecursionError:
                unfit = UnfitError("it is nested too deeply")
        raise unfit or UnfitError("it holds no JSON")

    def instance(self, value: object) -> object:
        """Return a value that was read as an instance of the type.

        Args:
            value: what :meth:`read` gave, perhaps in another process.

        Raises:
            UnfitError: the type has changed since, and it does not fit any more.
        """
        return value if self._adapter is None else self._validated(value)

    def write(self, value: object) -> str:
        """Return an instance, or what one can be made of, as JSON text.

        Args:
            value: an instance, a dict of its members, or such a text.

        Raises:
            UnfitError: it does not fit.
        """
        if self._adapter is None:
            given = parse(value) if isinstance(value, str) else value
            return dump(self._checked(given))
        from pydantic import ValidationError

        try:
            if isinstance(value, str):
                instance = self._adapter.validate_json(value)
            else:
                instance = self._adapter.validate_python(value)
        except ValidationError as error:
            raise UnfitError(_faults_of(error)) from None
        return self._adapter.dump_json(instance, by_alias=True).decode()

    def partial(self, text: str) -> object | None:
        """Return what there is of the value in an answer that has just begun; None for nothing.

        Args:
            text: how the answer begins.
        """
        from pydantic_core import from_json

        begin = re.search(r"[\[{]", text)
        if begin is None:
            return None
        try:
            value: object = from_json(text[begin.start() :], allow_partial="trailing-strings")
        except ValueError:
            return None
        if self._is_wrapped and isinstance(value, dict):
            return cast("object | None", value.get(WRAP))
        return value

    def to_json(self) -> str:
        """Return the form as JSON text, with where its type is; it is remembered for this one."""
        kind = self._kind
        place = None
        if isinstance(kind, type) and "<" not in kind.__qualname__:
            place = f"{kind.__module__}:{kind.__qualname__}"
        stored = {"type": place, "name": self.content_type, "schema": self._own}
        text = encode(stored, "output_schema")
        with _lock:
            _known.pop(text, None)
            _known[text] = self
            if len(_known) > _REMEMBERED:
                _known.popitem(last=False)
        return text

    @staticmethod
    def from_json(text: str) -> "Form":
        """Return the form that :meth:`to_json` gave.

        Its type is the one that this process has loaded at the same place, if that still has the
        same schema; nothing is imported for it. Else the form is that of the JSON Schema.

        Raises:
            ValueError: the text is damaged.
        """
        if (known := _known.get(text)) is not None:
            return known
        values = cast("dict[str, Any]", parse(text))
        module, _, path = (values["type"] or "").partition(":")
        found: object = sys.modules.get(module)
        if found is not None:
            found = reduce(lambda at, name: getattr(at, name, None), path.split("."), found)
        if isinstance(found, type):
            try:
                form = Form(found)
            except ConfigurationError:
                pass  # It is something else by now.
            else:
                if form.to_json() == text:
                    return form
        return Form(values["schema"], name=values["name"])

    def _readings(self, value: object) -> Iterator[object]:
        """Yield what a value may mean, the likeliest first."""
        values = [value]
        if self._is_wrapped and isinstance(value, dict) and WRAP in value:
            values.insert(0, value[WRAP])
        yield from values
        for each in values:
            if (without := self._without_nulls(each)) != each:
                yield without

    def _without_nulls(self, value: object) -> object:
        """Return a value without the nulls that stand for a member that is missing."""
        if "null" not in dump(value):
            return value
        return without_nulls(value, self._own, self._own, self._checker)

    @property
    def _checker(self) -> "Validator":
        if self._validator is None:
            self._validator = validator_of(self._own)
        return self._validator

    def _checked(self, value: object) -> object:
        """Return a value as it is stored, if it fits."""
        if self._adapter is None:
            faults = sorted(
                self._checker.iter_errors(cast(Any, value)), key=lambda each: each.json_path
            )
            if faults:
                raise UnfitError(_told([(each.json_path[2:], each.message) for each in faults]))
            return value
        instance = self._validated(value)
        # So that what a default has made is the same whenever it is read. What a user has written
        # may fail at it, or say it in another form than that in which it is read.
        with suppress(Exception):
            stored: object = self._adapter.dump_python(
                instance, mode="json", by_alias=True, warnings=False
            )
            if self._validated(stored) == instance:
                return stored
        return value

    def _validated(self, value: object) -> object:
        from pydantic import ValidationError

        assert self._adapter is not None
        try:
            return self._adapter.validate_json(dump(value))
        except ValidationError as error:
            raise UnfitError(_faults_of(error)) from None


@lru_cache(maxsize=256)
def _form_of(kind: object, keyword: str) -> Form:
    return Form(kind, keyword=keyword)


def _faults_of(error: "ValidationError") -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return _told([(".".join(map(str, each["loc"])), each["msg"]) for each in faults])


def _told(faults: list[tuple[str, str]]) -> str:
    told = [
        f"{place[:_LONGEST]}: {message[:_LONGEST]}" if place else message[:_LONGEST]
        for place, message in faults[:_MOST]
    ]
    if len(faults) > _MOST:
        told.append(f"and {len(faults) - _MOST} more")
    return "; ".join(told)


def _values_in(text: str) -> Iterator[object]:
    """Yield the JSON values that a text may be meant to say, the likeliest first."""
    begins = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    ends = max(text.rfind("}"), text.rfind("]"))
    around = [text[min(begins) : ends + 1]] if begins and ends > min(begins) else []
    for candidate in (text, *_FENCED.findall(text), *around):
        try:
            yield parse(candidate)
        except (ValueError, RecursionError):
            continue
        return


def _adapted(kind: object, keyword: str) -> "tuple[TypeAdapter[Any], Schema]":
    """Return what reads a type, and its JSON Schema.

    Raises:
        ConfigurationError: it has none.
    """
    from pydantic import PydanticUserError, TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class Quiet(GenerateJsonSchema):
        ignored_warning_kinds = {  # noqa: RUF012 # as pydantic has it
            "skipped-choice",
            "non-serializable-default",
        }

    if isinstance(kind, str) or isroutine(kind):
        what = "a text" if isinstance(kind, str) else "a function"
        raise ConfigurationError(
            f"{keyword} must be a type or a JSON Schema, not {what}: {kind!r:.80}."
        )
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, kind))
        schema: Schema = adapter.json_schema(schema_generator=Quiet)
    except (PydanticUserError, TypeError, NameError, AttributeError) as error:
        what = error.message if isinstance(error, PydanticUserError) else described(error)
        raise ConfigurationError(
            f"{keyword} {_name_of(kind)} has no JSON form: "
            f"{what.splitlines()[0].partition('. Set `')[0].rstrip('.')}. Pass a pydantic model, "
            "a dataclass, a TypedDict or a JSON Schema."
        ) from error
    return adapter, schema


def _name_of(kind: object) -> str:
    if isinstance(kind, type) and not hasattr(kind, "__origin__"):
        return kind.__name__
    return _MODULES.sub("", repr(kind))[:_LONGEST]
