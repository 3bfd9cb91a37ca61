"""What hooks and guardrails see of a run's input, and may change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kern.media import Audio, File, Image, Media, Video
from kern.run.codec import shown
from kern.run.content import TextPart
from kern.run.message import Message

REPLACED = "input_replaced"
"""The option of a stored input that says that it is not what the run was given."""


@dataclass(slots=True)
class RunInput:
    """The input of a run, as its hooks see it.

    Attributes:
        input_content: what the run was given: a text, or messages. A pre-hook may replace it, or
            change the messages: the model and the database get what it leaves.
        images: the images beside it; like the next three, to be looked at.
        videos: videos.
        audios: recordings.
        files: documents.

    Example:
        >>> run_input = RunInput("What is kern?")
        >>> run_input.input_content += " In one sentence."
        >>> run_input.input_content_string()
        'What is kern? In one sentence.'
    """

    input_content: Any
    images: Sequence[Image] = field(default=(), repr=False)
    videos: Sequence[Video] = field(default=(), repr=False)
    audios: Sequence[Audio] = field(default=(), repr=False)
    files: Sequence[File] = field(default=(), repr=False)

    def input_content_string(self) -> str:
        """Return the texts of the content, each in a line of its own."""
        return "\n".join(texts_in(self.input_content))


def run_input_of(messages: Sequence[Message], media: Sequence[Media] = ()) -> RunInput:
    """Return a run's input as its hooks see it.

    Args:
        messages: the run's own messages, as they are stored.
        media: what is in them.
    """
    return RunInput(
        messages[0].text if is_one_text(messages) else [replace(each) for each in messages],
        [each for each in media if isinstance(each, Image)],
        [each for each in media if isinstance(each, Video)],
        [each for each in media if isinstance(each, Audio)],
        [each for each in media if isinstance(each, File)],
    )


def is_one_text(messages: Sequence[Message]) -> bool:
    """Say whether messages are what a user says in one text, perhaps with media."""
    return len(messages) == 1 and messages[0] == Message("user", messages[0].content)


def texts_in(content: object) -> list[str]:
    """Return the texts of a content: of messages what they say, of other values their JSON."""
    match content:
        case str():
            return [content]
        case Message():
            return [content.text]
        case list() | tuple():
            return [text for each in content for text in texts_in(each)]
    return [shown(content)]


def with_texts(content: Any, change: Callable[[str], str]) -> Any:
    """Return a content with each of its texts changed; what is no text stays.

    Args:
        content: a text, a message, or lists and dicts of these.
        change: returns what takes the place of a text.

    Example:
        >>> with_texts({"to": ["ann", "bob"], "times": 2}, str.upper)
        {'to': ['ANN', 'BOB'], 'times': 2}
    """
    match content:
        case str():
            return change(content)
        case Message(content=str(text)):
            return replace(content, content=change(text))
        case Message(content=tuple(parts)):
            changed = [
                TextPart(change(each.text)) if isinstance(each, TextPart) else each
                for each in parts
            ]
            return replace(content, content=(*changed,))
        case list():
            return [with_texts(each, change) for each in content]
        case tuple():
            return tuple(with_texts(each, change) for each in content)
        case Mapping():
            return {key: with_texts(value, change) for key, value in content.items()}
    return content
