"""What a run says while its model answers: its text, and its calls of the model."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from kern.run.event_base import RunOutputEvent
from kern.run.metrics import Metrics


@dataclass(slots=True)
class RunContentEvent(RunOutputEvent):
    """A piece of the model's text.

    Attributes:
        partial: what there is so far of an answer that has a type: lists, dicts and values of JSON,
            not checked yet; None where there is nothing, or no type.
        content_type: ``"str"``: pieces are text.
        reasoning_content: None, as for the next three: what the model thought, its sources and
            its media are in the RunCompleted.
        citations: None.
        image: None.
        references: None.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel([Reply.text("Roses ", "are red.")]))
        >>> for event in agent.run("A line, please.", stream=True):
        ...     if isinstance(event, RunContentEvent):
        ...         print(repr(event.content))
        'Roses '
        'are red.'
    """

    content_type: ClassVar[str] = "str"
    reasoning_content: ClassVar[None] = None
    citations: ClassVar[None] = None
    image: ClassVar[None] = None
    references: ClassVar[None] = None

    content: str = field(kw_only=True)
    partial: Any = field(default=None, kw_only=True)


@dataclass(slots=True)
class RunContentVoidedEvent(RunOutputEvent):
    """The last pieces are void: their text is the content, and the model is asked again.

    Example:
        >>> shown = "Roses are bl"  # what the pieces were until now
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.run_content_voided
        >>> event = RunContentVoidedEvent(kind, "run", "session", "agent", content="are bl")
        >>> shown.removesuffix(event.content)
        'Roses '
    """

    content: str = field(kw_only=True)


class RunIntermediateContentEvent(RunOutputEvent):
    """A piece of what a tool yields that is no part of the answer.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.run_intermediate_content
        >>> event = RunIntermediateContentEvent(kind, "run", "session", "agent", content="Page 1")
        >>> event.content
        'Page 1'
    """

    __slots__ = ()


@dataclass(slots=True)
class RunContentCompletedEvent(RunOutputEvent):
    """The run's content is complete.

    Attributes:
        content_type: the type of the content, ``"str"`` for text.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.run_content_completed
        >>> RunContentCompletedEvent(kind, "run", "session", "agent", content="Hi.").content_type
        'str'
    """

    content: Any = field(default=None, kw_only=True)
    content_type: str = field(default="str", kw_only=True)


@dataclass(slots=True)
class ModelRequestStartedEvent(RunOutputEvent):
    """The model was asked.

    Attributes:
        model: the agent's model, where the reader's process knows it.
        model_provider: who serves it.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.model_request_started
        >>> ModelRequestStartedEvent(kind, "run", "session", "agent", model="gpt-5.4-mini").model
        'gpt-5.4-mini'
    """

    model: str | None = field(default=None, kw_only=True, compare=False)
    model_provider: str | None = field(default=None, kw_only=True, compare=False)


@dataclass(slots=True)
class ModelRequestCompletedEvent(RunOutputEvent):
    """The model has answered.

    Attributes:
        metrics: what the call used.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel(["Roses are red."]))
        >>> for event in agent.run("A line, please.", stream=True, stream_events=True):
        ...     if isinstance(event, ModelRequestCompletedEvent):
        ...         print(event.content, event.input_tokens, event.output_tokens)
        Roses are red. 10 5
    """

    content: str = field(kw_only=True)
    metrics: Metrics = field(default_factory=Metrics, kw_only=True)

    @property
    def input_tokens(self) -> int:
        """Tokens sent to the model, cached ones included."""
        return self.metrics.input_tokens

    @property
    def output_tokens(self) -> int:
        """Tokens that the model produced, reasoning included."""
        return self.metrics.output_tokens

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.metrics.total_tokens

    @property
    def reasoning_tokens(self) -> int:
        """Output tokens spent on reasoning."""
        return self.metrics.reasoning_tokens

    @property
    def cache_read_tokens(self) -> int:
        """Input tokens that the provider served from its cache."""
        return self.metrics.cache_read_tokens

    @property
    def cache_write_tokens(self) -> int:
        """Input tokens that the provider put into its cache."""
        return self.metrics.cache_write_tokens

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from the question to the first piece of the answer, where it was streamed."""
        return self.metrics.time_to_first_token
