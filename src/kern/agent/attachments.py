"""Media that a run is given: read and looked at before the run is accepted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import msgspec

from kern.aio.threads import call_in_thread
from kern.errors import InvalidInputError
from kern.media import Audio, File, Image, Media, Video, max_media_size
from kern.run.content import MediaPart, Part, TextPart, data_in
from kern.run.input import RunInput
from kern.run.message import Message
from kern.run.numbers import size_in
from kern.run.record import NewRun

_KINDS: Mapping[str, type[Media]] = {
    "images": Image,
    "audio": Audio,
    "videos": Video,
    "files": File,
}


@dataclass(frozen=True, slots=True)
class Attachments:
    """An input that holds media, which is not read yet.

    Attributes:
        given: the input without it.
        media: what is to be added to the last message of the user, by the name of its option.
    """

    given: RunInput
    media: tuple[tuple[str, Media], ...]

    @classmethod
    def of(cls, given: RunInput, media: Mapping[str, object]) -> Self:
        """Return what a caller gave.

        Raises:
            InvalidInputError: media is something else.
        """
        listed = [
            (f"{name}[{place}]", each)
            for name, of_kind in media.items()
            for place, each in enumerate(_checked(name, of_kind))
        ]
        return cls(given, tuple(listed))

    async def attached(self, run: NewRun) -> NewRun:
        """Return a run with this input, and with the media beside it.

        Raises:
            InvalidInputError: media cannot be read, is too large or of no known type.
            ConfigurationError: a limit in the environment is no size.
        """
        return await call_in_thread(partial(self._attached, run))

    def _attached(self, run: NewRun) -> NewRun:
        most = max_media_size()
        parts = [_part(place, media, most) for place, media in self.media]
        messages = _with_parts(self.given.messages, parts)
        _check_sizes(messages, most)
        found: dict[str, bytes] = {}
        detached = tuple(each.without_media(found) for each in messages)
        given = replace(self.given, messages=detached)
        return msgspec.structs.replace(run, input=given.to_json(), media=found)


def holds_media(messages: Iterable[Message]) -> bool:
    """Say whether messages hold media themselves."""
    for message in messages:
        if isinstance(message.content, tuple):
            for part in message.content:
                if data_in(part) is not None:
                    return True
    return False


def _checked(name: str, given: object) -> Sequence[Media]:
    kind = _KINDS[name]
    if given is None:
        return ()
    if isinstance(given, list | tuple) and all(isinstance(each, kind) for each in given):
        return given
    raise InvalidInputError(
        f"{name} must be a list of {kind.__name__}, such as [{kind.__name__}(filepath=...)], not "
        f"{given!r:.80}."
    )


def _part(place: str, media: Media, most: int) -> MediaPart:
    try:
        return media.to_part(most)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place} cannot be used. {error}") from error


def _with_parts(messages: tuple[Message, ...], parts: Sequence[Part]) -> tuple[Message, ...]:
    """Return messages in which the last one of the user has these parts, too."""
    if not parts:
        return messages
    place = next(
        (i for i in reversed(range(len(messages))) if messages[i].role == "user"), len(messages)
    )
    message = messages[place] if place < len(messages) else Message("user")
    content = message.content or ()
    said = (TextPart(content),) if isinstance(content, str) else content
    return (*messages[:place], replace(message, content=(*said, *parts)), *messages[place + 1 :])


def _check_sizes(messages: Iterable[Message], most: int) -> None:
    of_run = size_in("KERN_MAX_RUN_MEDIA_SIZE", "100MB")
    total = 0
    for message in messages:
        for part in message.parts:
            size = len(data_in(part) or b"")
            total += size
            if size > most:
                raise InvalidInputError(
                    f"Media of the input ({getattr(part, 'mime_type', None)}) has {size:,} bytes, "
                    f"more than the {most:,} that KERN_MAX_MEDIA_SIZE allows."
                )
    if total > of_run:
        raise InvalidInputError(
            f"The media of the input has {total:,} bytes together, more than the {of_run:,} that "
            "KERN_MAX_RUN_MEDIA_SIZE allows. Send less of it, or urls."
        )
