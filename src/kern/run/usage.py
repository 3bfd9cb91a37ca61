"""How much a run may use."""

from dataclasses import dataclass, fields

import msgspec

from kern.errors import ConfigurationError
from kern.keywords import public
from kern.run.codec import dump, load
from kern.run.message import Metrics


@public
@dataclass(frozen=True, slots=True)
class UsageLimits:
    """How much a run may use, over all its attempts and with the runs that its tools start.

    Model calls and tokens are looked at before each model call, so the call that passes a limit of
    tokens is the last one. Tool calls are looked at before those of an answer are made: if they
    would pass the limit together, none of them is. Runs that its tools have started count once
    they have ended or paused.

    Attributes:
        requests: answered model calls.
        tool_calls: tool calls.
        input_tokens: tokens sent to models.
        output_tokens: tokens that models produced.
        total_tokens: both together.

    Raises:
        ConfigurationError: a limit is no whole number from 1 on.

    Example:
        >>> UsageLimits(requests=5).exceeded(Metrics(model_calls=5))
        'requests=5'
        >>> UsageLimits(requests=5).exceeded(Metrics(model_calls=4)) is None
        True
    """

    requests: int | None = None
    tool_calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigurationError(
                    f"UsageLimits: {each.name} must be a whole number from 1 on, not {value!r:.50}."
                )

    def to_json(self) -> str:
        """Return the limits as JSON text."""
        return dump(self)

    @classmethod
    def from_json(cls, text: str) -> "UsageLimits":
        """Return the limits that :meth:`to_json` gave.

        Raises:
            ValueError: the text is damaged.
        """
        return load(text, _decoder)

    def exceeded(self, used: Metrics) -> str | None:
        """Return the limit that leaves no room for another model call, such as ``requests=5``.

        Args:
            used: what has been used by now.
        """
        for name, so_far in (
            ("requests", used.model_calls),
            ("input_tokens", used.input_tokens),
            ("output_tokens", used.output_tokens),
            ("total_tokens", used.total_tokens),
        ):
            limit: int | None = getattr(self, name)
            if limit is not None and so_far >= limit:
                return f"{name}={limit}"
        return None


_decoder = msgspec.json.Decoder(UsageLimits)
