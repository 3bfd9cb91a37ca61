"""What an agent says of its answers, and how they come to their type for those who read them."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

import msgspec

from kern.agent.checks import check_text
from kern.errors import ConfigurationError
from kern.execution.answering import Answering, FollowupConfig, Followups, Secondary
from kern.models.base import Model, OutputMode
from kern.models.form import Form, UnfitError
from kern.models.utils import get_model
from kern.run.agent import RunOutput
from kern.run.event import (
    ModelRequestStartedEvent,
    RunCompletedEvent,
    RunContentCompletedEvent,
    RunContentEvent,
    RunContentVoidedEvent,
    RunOutputEvent,
)
from kern.run.numbers import check_count

if TYPE_CHECKING:
    from kern.agent.definition import AgentDefinition

logger = logging.getLogger("kern")

Value = TypeVar("Value")


class AnswerOptions(msgspec.Struct, frozen=True):
    """What an agent says of its answers, by the names of its keywords."""

    output_schema: object = None
    output_retries: int = 1
    structured_outputs: bool | None = None
    use_json_mode: bool = False
    parse_response: bool = True
    parser_model: Model | str | None = None
    parser_model_prompt: str | None = None
    output_model: Model | str | None = None
    output_model_prompt: str | None = None
    followups: bool | FollowupConfig = False
    num_followups: int = 3
    followup_model: Model | str | None = None

    def answering(self) -> Answering | None:
        """Return what all of them say together; None where an answer is any text.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        check_count("output_retries", self.output_retries, ConfigurationError, least=0)
        check_text("parser_model_prompt", self.parser_model_prompt)
        check_text("output_model_prompt", self.output_model_prompt)
        mode: OutputMode | None = None if self.structured_outputs is None else "native"
        if self.use_json_mode or self.structured_outputs is False:
            mode = "json"
        form, followups = Form.of(self.output_schema), self._followups()
        output = _secondary(self.output_model, self.output_model_prompt)
        parser = _secondary(self.parser_model, self.parser_model_prompt)
        # A mode and a number of retries serve a run that is given its own schema.
        is_usual = self.output_retries == 1 and mode is None and self.parse_response
        if is_usual and not (form or output or parser or followups):
            return None
        return Answering(
            form, self.output_retries, mode, self.parse_response, output, parser, followups
        )

    def _followups(self) -> Followups | None:
        asked = self.followups
        if not asked:
            return None
        if not isinstance(asked, bool | FollowupConfig):
            raise ConfigurationError(
                f"followups must be True or FollowupConfig(...), not {asked!r:.80}."
            )
        config = (
            asked
            if isinstance(asked, FollowupConfig)
            else FollowupConfig(num_followups=self.num_followups)
        )
        return Followups.of(replace(config, model=config.model or self.followup_model))


class Option(Generic[Value]):
    """A keyword of an agent's answers as its attribute, which can be set anew between runs."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, agent: None, owner: type) -> "Option[Value]": ...

    @overload
    def __get__(self, agent: "AgentDefinition[Any, Any]", owner: type) -> Value: ...

    def __get__(
        self, agent: "AgentDefinition[Any, Any] | None", owner: type
    ) -> "Value | Option[Value]":
        if agent is None:
            return self
        value: Value = getattr(agent.answer_options, self._name)
        return value

    def __set__(self, agent: "AgentDefinition[Any, Any]", value: Value) -> None:
        changed: dict[str, Any] = {self._name: value}
        options = msgspec.structs.replace(agent.answer_options, **changed)
        agent.answer_options, agent.answering = options, options.answering()


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

    Args:
        events: the events, from the beginning of an answer on.
        form: what the answer has to be.
        grows: whether the pieces of text are those of the value.
    """
    text = ""
    async with aclosing(events):
        async for event in events:
            match event:
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


def _secondary(model: Model | str | None, prompt: str | None) -> Secondary | None:
    return None if model is None else Secondary(get_model(model), prompt)
