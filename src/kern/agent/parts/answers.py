"""What an agent answers."""

from dataclasses import replace

from kern.agent.checks import check_text
from kern.agent.parts.part import Part
from kern.errors import ConfigurationError
from kern.execution.answering import Answering, FollowupConfig, Followups, Secondary
from kern.models.base import Model, OutputMode
from kern.models.form import Form
from kern.models.utils import get_model
from kern.run.numbers import check_count


class AnswersPart(Part):
    """What the runs answer.

    Attributes:
        output_schema: what they answer: a pydantic model, dataclass, TypedDict, enum, union, list
            or other type, of which ``content`` is an instance then; or a JSON Schema as a dict, for
            JSON values.
        output_retries: how often a model whose answer does not fit is told so and asked again; then
            the run ends in ERROR.
        structured_outputs: True for the provider's own way to hold the model to the schema, False
            for none; by default where the provider has one.
        use_json_mode: tell the schema in words, and have the provider see to JSON alone.
        parse_response: False to leave the JSON text as it is, and unchecked.
        parser_model: a second model, or ``"provider:id"``, that puts the text of the first one into
            the schema.
        parser_model_prompt: its system message.
        output_model: a second model that writes the final answer.
        output_model_prompt: its system message.
        followups: True for suggestions of what to ask next, in ``followups`` of the run, or how to
            make them.
        num_followups: how many.
        followup_model: who suggests them; by default the model.
    """

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

    answering: Answering | None = None

    def _build(self) -> None:
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
        self.__dict__["answering"] = (
            None
            if is_usual and not (form or output or parser or followups)
            else Answering(
                form, self.output_retries, mode, self.parse_response, output, parser, followups
            )
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


def _secondary(model: Model | str | None, prompt: str | None) -> Secondary | None:
    return None if model is None else Secondary(get_model(model), prompt)
