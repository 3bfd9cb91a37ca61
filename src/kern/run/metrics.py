"""What runs, models and tools have used."""

from typing import ClassVar, Self

import msgspec


class ModelMetrics(msgspec.Struct, omit_defaults=True):
    """What one of a run's models has used.

    Attributes:
        id: the model's id, as far as it is known.
        provider: who serves it, as far as that is known.
        input_tokens: as of :class:`Metrics`, as for the rest.
        output_tokens: tokens that it produced.
        total_tokens: both together.
        cache_read_tokens: input tokens that its provider served from its cache.
        cache_write_tokens: input tokens that its provider put into its cache.
        reasoning_tokens: output tokens spent on reasoning.
        cost: in US dollars; None where the price is not known.

    Example:
        >>> ModelMetrics("gpt-5.4-mini", input_tokens=10, output_tokens=5).to_dict()
        {'id': 'gpt-5.4-mini', 'input_tokens': 10, 'output_tokens': 5}
    """

    id: str | None = None
    provider: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None

    def as_metrics(self) -> "Metrics":
        """Return the same as what a run used."""
        return Metrics(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            total_tokens=self.total_tokens,
            cached_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens,
            cost=self.cost,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the metrics as JSON values, without those that are 0 or not known."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return values


class ToolCallMetrics(msgspec.Struct, omit_defaults=True):
    """How long a tool call took.

    Attributes:
        start_time: when it began, in seconds since 1970.
        end_time: when its result was there.
        duration: the seconds between them.

    Example:
        >>> ToolCallMetrics(duration=0.25).to_dict()
        {'duration': 0.25}
    """

    start_time: float | None = None
    end_time: float | None = None
    duration: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the metrics as JSON values, without what is not known."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return values


class Metrics(msgspec.Struct, omit_defaults=True, dict=True):
    """What a run used.

    Attributes:
        input_tokens: tokens sent to the model, cached ones included.
        output_tokens: tokens that the model produced, reasoning included.
        total_tokens: both together.
        cached_tokens: input tokens that the provider served from its cache.
        reasoning_tokens: output tokens spent on reasoning.
        model_calls: answered model calls.
        tool_calls: tool calls with a result, refused ones included.
        duration: seconds from the start of the run's last attempt to its end.
        audio_tokens: tokens of sound, in the input and the output.
        cache_write_tokens: input tokens that the provider put into its cache.
        time_to_first_token: seconds from the question to the first piece of the answer, of the
            first model call that was streamed, repetitions included.
        cached_calls: the model calls that were answered from this machine, see
            :class:`~kern.models.cache.ResponseCache`; they used no tokens.
        audio_output_tokens: of the tokens of sound, those in the output.
        cost: in US dollars, what the calls cost whose price is known; None where there is none.
        unpriced_calls: answered model calls whose price is not known.
        by_model: where the run has asked other models than its agent's, what each has used, by what
            it was asked for; see :attr:`details`.
        additional_metrics: what a model's provider counts beside these.
        model: id and provider of the agent's model, of a run; they are not at rest.

    Example:
        >>> Metrics(input_tokens=10, cached_tokens=4).cache_read_tokens
        4
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    duration: float | None = None
    audio_tokens: int = 0
    cache_write_tokens: int = 0
    time_to_first_token: float | None = None
    cached_calls: int = 0
    audio_output_tokens: int = 0
    cost: float | None = None
    unpriced_calls: int = 0
    by_model: dict[str, list[ModelMetrics]] | None = msgspec.field(default=None, name="details")
    additional_metrics: dict[str, object] | None = None

    model: ClassVar[tuple[str | None, str | None]] = (None, None)

    @property
    def details(self) -> dict[str, list[ModelMetrics]] | None:
        """What each model has used, by what it was asked for; None where none was.

        That is ``"model"``, ``"output_model"``, ``"parser_model"``, ``"followup_model"``,
        ``"session_summary_model"`` and others of that form.
        """
        if self.by_model is None and self.model_calls:
            return {"model": [self.of_model(*self.model)]}
        return self.by_model

    @property
    def cache_read_tokens(self) -> int:
        """The same as ``cached_tokens``."""
        return self.cached_tokens

    @property
    def audio_total_tokens(self) -> int:
        """The same as ``audio_tokens``."""
        return self.audio_tokens

    @property
    def audio_input_tokens(self) -> int:
        """Of the tokens of sound, those in the input."""
        return self.audio_tokens - self.audio_output_tokens

    def add(self, other: "Metrics") -> None:
        """Add what one more model call, or run, used."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.total_tokens += other.total_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.model_calls += other.model_calls
        self.tool_calls += other.tool_calls
        if other.audio_tokens or other.audio_output_tokens or other.cache_write_tokens:
            self.audio_tokens += other.audio_tokens
            self.audio_output_tokens += other.audio_output_tokens
            self.cache_write_tokens += other.cache_write_tokens
        if self.time_to_first_token is None:
            self.time_to_first_token = other.time_to_first_token
        self.cached_calls += other.cached_calls
        self.unpriced_calls += other.unpriced_calls
        if other.cost is not None:  # Rounded, so that sums look like what was added.
            self.cost = round((self.cost or 0.0) + other.cost, 12)

    def name(self, id: str | None, provider: str | None) -> None:
        """Say which model the agent's is.

        Args:
            id: the model's id.
            provider: who serves it.
        """
        self.model = id, provider  # type: ignore[misc] # It is in the instance's dict.

    def of_model(self, id: str | None, provider: str | None) -> ModelMetrics:
        """Return the same as what a model has used.

        Args:
            id: the model's id.
            provider: who serves it.
        """
        return ModelMetrics(
            id,
            provider,
            self.input_tokens,
            self.output_tokens,
            self.total_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
            self.cost,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the metrics as JSON values, without those that are 0 or not known."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the metrics that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is of another kind.
        """
        return msgspec.convert(values, cls)
