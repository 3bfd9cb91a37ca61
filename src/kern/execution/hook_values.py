"""What a hook is shown of a run, and what it has left of that: values only, no calls."""

from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from typing import Any

from kern.errors import InvalidInputError
from kern.models.form import Form, UnfitError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import to_json_value
from kern.run.content import TextPart, data_in
from kern.run.given import is_one_text
from kern.run.input import RunInput as StoredInput
from kern.run.message import Message


def messages_left(messages: Sequence[Message], content: Any) -> tuple[Message, ...] | None:
    """Return the messages that a pre-hook has left; None where it has changed nothing.

    Args:
        messages: the messages before.
        content: the ``input_content`` after.

    Raises:
        InvalidInputError: it is no input, or has other media.
    """
    if isinstance(content, str) and is_one_text(messages):
        media = [each for each in messages[0].parts if not isinstance(each, TextPart)]
        if not media:
            left = StoredInput.of(content).messages
        else:
            left = (replace(messages[0], content=(TextPart(content), *media)),)
        changed = content != messages[0].text
    else:
        left = StoredInput.of(content).messages
        changed = left != tuple(messages)
    if any(data_in(part) is not None for each in left for part in each.parts):
        raise InvalidInputError("A hook cannot give a run media; pass it to the run, or by a tool.")
    return left if changed else None


def run_output_of(output: RunOutput, form: Form | None) -> RunOutput[Any]:
    """Return a copy of a run as its post-hooks see it, with its content as an instance.

    Args:
        output: the run, as it would be stored.
        form: what its answer has to be.
    """
    content: Any = output.content
    if form is not None and output.content_type == form.content_type:
        with suppress(UnfitError):  # The type may have changed since: they see the value.
            content = form.instance(content)
    return replace(
        output,
        status=RunStatus.completed,
        content=content,
        messages=[*output.messages],
        tools=[*output.tools],
        metrics=copy(output.metrics),
        metadata=None if output.metadata is None else {**output.metadata},
    )


def content_left(output: RunOutput, content: Any, form: Form | None) -> tuple[object, str] | None:
    """Return the content that a post-hook has left, with its type; None where it has not changed.

    Args:
        output: the run before.
        content: its content after.
        form: what the answer has to be.

    Raises:
        InvalidInputError: the content does not have that form.
        Exception: it has no JSON form.
    """
    value, kind = "" if content is None else to_json_value(content), output.content_type
    if value == ("" if output.content is None else output.content):
        return None
    if form is not None and kind == form.content_type:
        try:
            form.instance(value)
        except UnfitError as unfit:
            if not isinstance(value, str):
                raise InvalidInputError(f"The content that it left is no {kind}: {unfit}") from None
        else:
            return value, kind
    return value, "str" if isinstance(value, str) else type(content).__name__
