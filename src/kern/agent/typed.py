"""The answers of runs as instances of their type, for those who read them."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeAlias

from kern.execution.answering import Answering
from kern.models.form import Form, UnfitError
from kern.run.agent import RunOutput
from kern.run.event import (
    ModelRequestStartedEvent,
    RunCompletedEvent,
    RunContentCompletedEvent,
    RunContentEvent,
    RunContentVoidedEvent,
    RunOutputEvent,
)

logger = logging.getLogger("kern")


def typed(output: RunOutput[Any], answering: Answering | None) -> RunOutput[Any]:
    """Return a run with its content as an instance of its type, where that is at hand.

    Args:
        output: a run as it is stored.
        answering: what its agent says of its answers.
    """
    form = None if answering is None else answering.form
    if output.output_schema is not None:
        form = Form.from_json(output.output_schema)
    if form is None or form.content_type != output.content_type:
        return output
    return replace(output, content=_instance(form, output.content, output.run_id))


async def typed_events(
    events: AsyncGenerator[RunOutputEvent, None], form: Form, *, grows: bool
) -> AsyncGenerator[RunOutputEvent, None]:
    """Yield the events of a run, with what there is of its value, and at the end an instance.

    Those of its children, which are among them, stay as they are.

    Args:
        events: the events, from the beginning of an answer on.
        form: what the answer has to be.
        grows: whether the pieces of text are those of the value.
    """
    text, own = "", None
    async with aclosing(events):
        async for event in events:
            own = own or event.run_id  # The first event is the run's own.
            match event:
                case RunOutputEvent(run_id=run_id) if run_id != own:
                    pass
                case RunContentEvent() if grows:
                    text += event.content
                    event = replace(event, partial=form.partial(text))
                case ModelRequestStartedEvent() | RunContentVoidedEvent():
                    text = ""
                case RunContentCompletedEvent() | RunCompletedEvent():
                    event = with_instance(event, form)
            yield event


End: TypeAlias = RunContentCompletedEvent | RunCompletedEvent


def with_instance(event: End, form: Form | None) -> End:
    """Return the event of a run's end with its content as an instance, if it has this form."""
    if form is None or form.content_type != event.content_type:
        return event
    return replace(event, content=_instance(form, event.content, event.run_id))


def _instance(form: Form, value: object, run_id: str) -> object:
    try:
        return form.instance(value)
    except UnfitError as unfit:
        logger.warning(
            "run %s: its content is no %s any more, and is given as JSON: %s",
            run_id,
            form.content_type,
            unfit,
        )
        return value
