"""What calls of models fail of."""

from typing import ClassVar, Literal, Self, TypeAlias, cast

from kern.errors.base import KernError
from kern.errors.setup import ConfigurationError

ModelErrorKind: TypeAlias = Literal[
    "rate_limit",
    "overloaded",
    "timeout",
    "connection",
    "server",
    "authentication",
    "not_found",
    "invalid_request",
    "context_length",
    "content_filter",
    "refused",
    "output_limit",
    "incomplete",
    "empty",
    "malformed",
    "other",
]
"""What went wrong between kern and a model's service."""


class ModelError(KernError):
    """The model's service refused, failed or answered with something unusable.

    One of a kind that has a class of its own is of that class.

    Attributes:
        kind: what went wrong.
        transient: whether the same call may succeed later.
        retry_after: the seconds for which the service asked to be left alone, or None.
        status_code: the HTTP status of its answer, or None where there was no answer.
        content: the text that the model had produced by then, or None.
        model_name: what the model is called, where that was said.
        model_id: the model's id, where that was said.

    Example:
        >>> type(ModelError("Slow down.", kind="rate_limit")).__name__
        'ModelRateLimitError'
    """

    _kind: ClassVar[ModelErrorKind] = "other"

    def __new__(cls, message: str = "", *_: object, **options: object) -> Self:
        """Make an error of the class that its kind has."""
        found = _CLASSES.get(options.get("kind"), cls) if cls is ModelError else cls
        return cast(Self, super().__new__(found, message))

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        *,
        kind: ModelErrorKind | None = None,
        transient: bool = False,
        retry_after: float | None = None,
        content: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ModelErrorKind = kind or self._kind
        self.transient = transient
        self.retry_after = retry_after
        self.status_code = status_code
        self.content = content
        self.model_name = model_name
        self.model_id = model_id


class ModelRateLimitError(ModelError):
    """The model's service has been asked too often, or what was paid for is used up.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel([Reply.http_error(429)]))
        >>> try:
        ...     agent.run("A line, please.")
        ... except ModelRateLimitError as error:
        ...     print(error.kind, error.status_code, error.transient)
        rate_limit 429 True
    """

    _kind = "rate_limit"


class ContextWindowExceededError(ModelError):
    """The conversation is longer than the model can read.

    Example:
        >>> ContextWindowExceededError("The conversation is too long.").kind
        'context_length'
    """

    _kind = "context_length"


class OutputLimitError(ModelError):
    """The answer was cut off: it had as many tokens as it may have. What there was is the content.

    See ``max_output_tokens``, by whichever name the model takes it.

    Example:
        >>> OutputLimitError("The answer was cut off.", content="Roses are").content
        'Roses are'
    """

    _kind = "output_limit"


class ModelAuthenticationError(ModelError):
    """The model's service does not take the key, or not for this.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> try:
        ...     Agent("Poet", ScriptedModel([Reply.http_error(401)])).run("A line, please.")
        ... except ModelAuthenticationError as error:
        ...     print(error.kind, error.transient)
        authentication False
    """

    _kind = "authentication"


class MissingKeyError(ModelAuthenticationError, ConfigurationError):
    """There is no key for the model's service in this process.

    Example:
        >>> issubclass(MissingKeyError, ModelAuthenticationError)
        True
    """


_CLASSES: dict[object, type[ModelError]] = {
    each._kind: each
    for each in (
        ModelRateLimitError,
        ContextWindowExceededError,
        OutputLimitError,
        ModelAuthenticationError,
    )
}
