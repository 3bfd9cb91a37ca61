"""Messages: what the conversation of a run is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeAlias, TypedDict, cast, get_args

import msgspec
from typing_extensions import Unpack

from kern.errors import InvalidInputError
from kern.keywords import explanation
from kern.media import Audio, File, Image, Media, Video, max_media_size, media_of
from kern.run.codec import to_json_value
from kern.run.content import (
    AudioPart,
    CitationPart,
    Citations,
    Content,
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    detached,
    is_content,
    parts_from_json,
    parts_to_json,
    text_of,
)
from kern.run.extra import Extra
from kern.run.items import detached_items
from kern.run.metrics import Metrics
from kern.run.tool import ToolCall

__all__ = ["Citations", "Message", "Metrics", "Role"]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

_ROLES: tuple[str, ...] = get_args(Role)


class _Extras(TypedDict, total=False):
    """What a message can be given beside its fields."""

    id: str | None
    name: str | None
    tool_name: str | None
    tool_args: object
    tool_call_error: bool | None
    images: Sequence[Image] | None
    audio: Sequence[Audio] | None
    videos: Sequence[Video] | None
    files: Sequence[File] | None
    reasoning_content: str | None
    redacted_reasoning_content: str | None
    references: object
    provider_data: dict[str, object] | None
    compressed_content: str | None
    from_history: bool
    stop_after_tool_call: bool
    metrics: Metrics | None
    created_at: float | None


_MEDIA = ("images", "audio", "videos", "files")


class _Few:
    """What few messages have."""

    __slots__ = ()

    id: Extra[str] = Extra()
    name: Extra[str] = Extra()
    tool_name: Extra[str] = Extra()
    tool_args: Extra[object] = Extra()
    redacted_reasoning_content: Extra[str] = Extra()
    references: Extra[object] = Extra()
    provider_data: Extra[dict[str, object]] = Extra()
    compressed_content: Extra[str] = Extra()
    metrics: Extra[Metrics] = Extra()
    created_at: Extra[float] = Extra()


@dataclass(slots=True, init=False)
class Message(_Few):
    """One message of a conversation.

    Attributes:
        role: who speaks; ``"developer"``, OpenAI's name for it, becomes ``"system"``.
        content: the text, or the parts where there is more than text; see :attr:`text`.
        tool_calls: the tools that the assistant wants called.
        tool_call_id: of a tool's message, the call that it answers.
        refusal: True where the model declined to answer; the content says how.
        provider: the name of the provider that produced ``provider_items``.
        provider_items: what the provider returned, as it was, so that the next request can hand
            it back unchanged (reasoning items, ids).
        server: the server that produced ``provider_items``, such as ``"api.openai.com/v1"``; they
            mean nothing to another.
        model: the id of the model that produced them, for the same reason.
        is_error: of a tool's message, whether it tells of a failure.
        more: what few messages have, by name; each is an attribute, too, as all that follow.
        id: what its user calls it.
        name: who speaks, where several have the same role.
        tool_name: of a tool's message, the tool.
        tool_args: its arguments.
        redacted_reasoning_content: reasoning that the provider has sealed.
        references: what it rests on.
        provider_data: what the provider says beside it.
        compressed_content: what the model is told in place of a long content.
        metrics: what the model call used whose answer it is; None where that is not known.
        created_at: when, in seconds since 1970.

    Raises:
        InvalidInputError: there is no such role, or a field is of another kind.

    Example:
        >>> from kern.media import Image
        >>> message = Message("user", "What is this?", images=[Image(url="https://example.com/a.png")])
        >>> message.text, len(message.images)
        ('What is this?', 1)
    """

    role: Role
    content: Content | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None
    refusal: bool = False
    provider: str | None = None
    provider_items: list[dict[str, object]] = field(default_factory=list, repr=False)
    server: str | None = None
    model: str | None = None
    is_error: bool = False
    more: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    def __init__(
        self,
        role: Role,
        content: Content | list[Any] | None = None,
        tool_calls: Sequence[ToolCall | Mapping[str, object]] | None = None,
        tool_call_id: str | None = None,
        refusal: bool = False,
        provider: str | None = None,
        provider_items: list[dict[str, object]] | None = None,
        server: str | None = None,
        model: str | None = None,
        is_error: bool = False,
        more: dict[str, Any] | None = None,
        **extras: Unpack[_Extras],
    ) -> None:
        """Say something.

        Args:
            role: see the class, as for all others that are not named here.
            content: a text; a tuple of parts; or a list of parts as dicts, in OpenAI's form or
                that of :meth:`to_dict`.
            tool_calls: a call may be a dict in OpenAI's form.
            tool_call_id: see the class.
            refusal: see the class.
            provider: see the class.
            provider_items: see the class.
            server: see the class.
            model: see the class.
            is_error: see the class; ``tool_call_error`` is the same.
            more: see the class.
            **extras: the attributes that few messages have; and ``images``, ``audio``, ``videos``
                and ``files``, which are added to the content.
        """
        self.role = role
        self.content = content  # type: ignore[assignment] # It is looked at below.
        self.tool_calls = [] if tool_calls is None else tool_calls  # type: ignore[assignment] # Likewise.
        self.tool_call_id = tool_call_id
        self.refusal = refusal
        self.provider = provider
        self.provider_items = [] if provider_items is None else provider_items
        self.server = server
        self.model = model
        self.is_error = is_error
        self.more = more
        if extras:
            self._take(extras)
        self.__post_init__()

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            given: object = self.role
            if given == "developer":  # OpenAI's name for it; each provider is sent its own.
                self.role = "system"
                return self.__post_init__()
            known = ", ".join(_ROLES)
            raise InvalidInputError(
                f"A message has the unknown role {self.role!r}. Use one of {known}."
            )
        content = self.content
        if not (isinstance(content, str) or content is None or is_content(content)):
            if not isinstance(content, list):
                kind = type(content).__name__
                raise InvalidInputError(
                    f"A message's content must be a text or a tuple of parts, not {kind}."
                )
            self.content = parts_from_json(content)
        if self.tool_calls and not all(isinstance(each, ToolCall) for each in self.tool_calls):
            self.tool_calls = [
                ToolCall.from_dict(each) if isinstance(each, Mapping) else each
                for each in self.tool_calls
            ]
        items = self.provider_items
        if not isinstance(items, list) or (
            items and not all(isinstance(item, dict) for item in items)
        ):
            raise InvalidInputError("A message's provider_items must be a list of dicts.")

    def _take(self, extras: _Extras) -> None:
        """Take in what few messages have."""
        given: dict[str, Any] = {k: v for k, v in extras.items() if v is not None}
        known = _Extras.__annotations__
        for wrong in given.keys() - known.keys():
            fields = [*self.__dataclass_fields__, *known]
            raise TypeError(explanation("Message", wrong, fields))
        self.is_error = bool(given.pop("tool_call_error", self.is_error))
        thoughts: str | None = given.pop("reasoning_content", None)
        media = [each for kind in _MEDIA for each in given.pop(kind, ())]
        for each in media:
            if not isinstance(each, Media):
                raise InvalidInputError(
                    f"A message's media must be Image, Audio and so on, not {type(each).__name__}."
                )
        if thoughts or media:
            said, limit = self.content or (), max_media_size()
            self.content = (
                *((ReasoningPart(thoughts),) if thoughts else ()),
                *((TextPart(said),) if isinstance(said, str) else said),
                *(each.to_part(limit) for each in media),
            )
        if given:
            self.more = {**(self.more or {}), **given}

    @property
    def text(self) -> str:
        """The text of the content; ``""`` where there is none."""
        return text_of(self.content)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the content; none where it is a text."""
        return self.content if isinstance(self.content, tuple) else ()

    @property
    def images(self) -> list[Image]:
        """The images in its content."""
        return [each for each in self._media() if isinstance(each, Image)]

    @property
    def audio(self) -> list[Audio]:
        """The recordings in its content."""
        return [each for each in self._media() if isinstance(each, Audio)]

    @property
    def videos(self) -> list[Video]:
        """The videos in its content."""
        return [each for each in self._media() if isinstance(each, Video)]

    @property
    def files(self) -> list[File]:
        """The other files in its content."""
        return [each for each in self._media() if isinstance(each, File)]

    @property
    def audio_output(self) -> Audio | None:
        """What the assistant has spoken."""
        return self.audio[-1] if self.role == "assistant" and self.audio else None

    @property
    def image_output(self) -> Image | None:
        """The last image that the assistant has made."""
        return self.images[-1] if self.role == "assistant" and self.images else None

    @property
    def reasoning_content(self) -> str | None:
        """What the model says of how it came to its answer."""
        thoughts = [each.text for each in self.parts if isinstance(each, ReasoningPart)]
        return "\n\n".join(thoughts) or None

    @property
    def citations(self) -> Citations | None:
        """The sources that the answer names."""
        urls = [each for each in self.parts if isinstance(each, CitationPart)]
        return Citations(urls) if urls else None

    @property
    def from_history(self) -> bool:
        """Whether it is of an earlier run of the session."""
        return self.more is not None and bool(self.more.get("from_history"))

    @from_history.setter
    def from_history(self, is_earlier: bool) -> None:
        self.more = {**(self.more or {}), "from_history": is_earlier}

    @property
    def stop_after_tool_call(self) -> bool:
        """Of a tool's message, whether the run ends with it."""
        return self.more is not None and bool(self.more.get("stop_after_tool_call"))

    @property
    def tool_call_error(self) -> bool:
        """The same as ``is_error``."""
        return self.is_error

    def get_content_string(self) -> str:
        """Return the text of the content; ``""`` where there is none."""
        return self.text

    def _media(self) -> list[Media]:
        media = (ImagePart, AudioPart, FilePart)
        return [media_of(each) for each in self.parts if isinstance(each, media)]

    def without_media(self, found: dict[str, bytes]) -> "Message":
        """Return the message with references in place of the media that it holds itself.

        Args:
            found: what references stand for, by their hash; it is added to.
        """
        content = self.content
        if isinstance(content, tuple):
            content = tuple([detached(part, found) for part in content])
        items = detached_items(self.provider_items, found)
        return replace(self, content=content, provider_items=items)

    def to_dict(self) -> dict[str, object]:
        """Return the message as JSON values, without the fields that hold their default.

        Media that it holds itself is told by its hash and size only.
        """
        values: dict[str, object] = {"role": self.role}
        content = self.content
        if content is not None:
            values["content"] = content if isinstance(content, str) else parts_to_json(content)
        if self.tool_call_id is not None:
            values["tool_call_id"] = self.tool_call_id
        if self.refusal:
            values["refusal"] = True
        if self.provider is not None:
            values["provider"] = self.provider
        if self.provider_items:
            values["provider_items"] = detached_items(self.provider_items, {})
        if self.server is not None:
            values["server"] = self.server
        if self.model is not None:
            values["model"] = self.model
        if self.is_error:
            values["is_error"] = True
        if self.tool_calls:
            values["tool_calls"] = [each.to_dict() for each in self.tool_calls]
        if self.more is not None:
            values |= msgspec.to_builtins(self.more, enc_hook=to_json_value)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return the message that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            InvalidInputError: there is no such role, or a field is of another kind.
        """
        given: Mapping[str, Any] = values
        content, calls = given.get("content"), given.get("tool_calls", [])
        if not isinstance(calls, list):
            raise InvalidInputError("A message's tool_calls must be a list.")
        message = cls(
            given.get("role"),  # type: ignore[arg-type] # It is looked at there.
            parts_from_json(content) if isinstance(content, list) else content,
            [ToolCall.from_dict(each) for each in calls],
            given.get("tool_call_id"),
            given.get("refusal", False),
            given.get("provider"),
            given.get("provider_items", []),
            given.get("server"),
            given.get("model"),
            given.get("is_error", False),
        )
        if given.keys() - _FIELDS:
            message._take(_extras_in(given))
        return message


_FIELDS = frozenset(Message.__dataclass_fields__)


def _extras_in(values: Mapping[str, Any]) -> _Extras:
    """Return what few messages have, of the JSON values of one; unknown keys are ignored."""
    found = {name: values[name] for name in _Extras.__annotations__ if name in values}
    if isinstance(found.get("metrics"), dict):
        found["metrics"] = Metrics.from_dict(found["metrics"])
    return cast(_Extras, found)
