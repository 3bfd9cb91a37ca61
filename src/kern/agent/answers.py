"""What an agent says of its answers."""

from dataclasses import replace
from typing import Any, Generic, TypeVar, overload

import msgspec

from kern.agent.checks import check_text
from kern.errors import ConfigurationError
from kern.execution.answering import Answering, FollowupConfig, Followups, Secondary
from kern.models.base import Model, OutputMode
from kern.models.form import Form
from kern.models.utils import get_model
from kern.run.numbers import check_count

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
    def __get__(self, agent: "AnswerAttributes", owner: type) -> Value: ...

    def __get__(self, agent: "AnswerAttributes | None", owner: type) -> "Value | Option[Value]":
        if agent is None:
            return self
        value: Value = getattr(agent.answer_options, self._name)
        return value

    def __set__(self, agent: "AnswerAttributes", value: Value) -> None:
        changed: dict[str, Any] = {self._name: value}
        options = msgspec.structs.replace(agent.answer_options, **changed)
        agent.answer_options, agent.answering = options, options.answering()


class AnswerAttributes:
    """What an agent says of its answers, each keyword an attribute.

    Attributes:
        answer_options: all of them.
        answering: what they say together; None where an answer is any text.
    """

    answer_options: AnswerOptions
    answering: Answering | None

    output_schema: Option[object] = Option()
    output_retries: Option[int] = Option()
    structured_outputs: Option[bool | None] = Option()
    use_json_mode: Option[bool] = Option()
    parse_response: Option[bool] = Option()
    parser_model: Option[Model | str | None] = Option()
    parser_model_prompt: Option[str | None] = Option()
    output_model: Option[Model | str | None] = Option()
    output_model_prompt: Option[str | None] = Option()
    followups: Option[bool | FollowupConfig] = Option()
    num_followups: Option[int] = Option()
    followup_model: Option[Model | str | None] = Option()


def _secondary(model: Model | str | None, prompt: str | None) -> Secondary | None:
    return None if model is None else Secondary(get_model(model), prompt)
