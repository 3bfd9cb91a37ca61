"""What an agent says of its answers: their form, and the models that follow the first one."""

from dataclasses import dataclass

from kern.errors import ConfigurationError
from kern.keywords import public
from kern.models.base import Model, OutputMode
from kern.models.form import Form
from kern.models.utils import get_model


@public
@dataclass(frozen=True, slots=True)
class FollowupConfig:
    """What a model suggests the user to ask next.

    Attributes:
        model: who suggests, or its ``"provider:id"``; by default the agent's model.
        instructions: what it is told; by default that the questions are to be short.
        num_followups: how many.
        min_followups: how many at least; by default as many.
        max_followups: how many at most; by default as many.

    Raises:
        ConfigurationError: a number cannot be used.

    Example:
        >>> FollowupConfig(num_followups=2).most
        2
    """

    model: Model | str | None = None
    instructions: str | None = None
    num_followups: int = 3
    min_followups: int | None = None
    max_followups: int | None = None

    def __post_init__(self) -> None:
        given = (self.num_followups, self.min_followups, self.max_followups)
        numbers = [each for each in given if each is not None]
        are_fit = all(type(each) is int and each >= 1 for each in numbers)
        if not are_fit or self.least > self.most:
            raise ConfigurationError(
                "num_followups, min_followups and max_followups must be whole numbers from 1 on, "
                f"the least not above the most, not {given}."
            )

    @property
    def least(self) -> int:
        """How many there are at least."""
        if self.min_followups is not None:
            return self.min_followups
        most = self.max_followups
        return self.num_followups if most is None else min(self.num_followups, most)

    @property
    def most(self) -> int:
        """How many there are at most."""
        most = self.max_followups
        return max(self.num_followups, self.least) if most is None else most


@dataclass(frozen=True, slots=True)
class Secondary:
    """A model that is asked once the first one has answered.

    Attributes:
        model: the model.
        prompt: its system message; None for kern's.
    """

    model: Model
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Followups:
    """How follow-ups are asked for.

    Attributes:
        model: who suggests them; None for the agent's model.
        prompt: what it is told.
        form: what its answer has to be.
    """

    model: Model | None
    prompt: str
    form: Form

    @classmethod
    def of(cls, config: FollowupConfig) -> "Followups":
        """Return how a user has asked for them."""
        least, most = config.least, config.most
        many = str(least) if least == most else f"{least} to {most}"
        asked: dict[str, object] = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": least,
            "maxItems": most,
        }
        form = Form(
            {
                "title": "followups",
                "type": "object",
                "properties": {"followups": asked},
                "required": ["followups"],
                "additionalProperties": False,
            }
        )
        told = config.instructions or "Each is one short sentence, in the words of the user."
        return cls(
            None if config.model is None else get_model(config.model),
            f"Suggest {many} things that the user may want to ask next. {told}",
            form,
        )


@dataclass(frozen=True, slots=True)
class Answering:
    """What an agent says of its answers.

    Attributes:
        form: what the answer has to be; None for a text.
        retries: how often a model whose answer does not fit is asked again.
        mode: how the model is brought to the form; None for its provider's own way.
        parses: whether the run's content is the value, and not the text of it.
        output: who writes the final answer, from that of the first model.
        parser: who puts the text of the answer into the form.
        followups: how follow-ups are asked for.
    """

    form: Form | None = None
    retries: int = 1
    mode: OutputMode | None = None
    parses: bool = True
    output: Secondary | None = None
    parser: Secondary | None = None
    followups: Followups | None = None

    @property
    def models(self) -> tuple[Model, ...]:
        """Who is asked after the agent's own model, where that is another one."""
        asked: tuple[Secondary | Followups | None, ...] = (self.output, self.parser, self.followups)
        return tuple(each.model for each in asked if each is not None and each.model is not None)
