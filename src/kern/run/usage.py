"""How much a run may use."""

import math
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

    Model calls, tokens and cost are looked at before each model call, so the call that passes a
    limit of tokens or cost is the last one. Tool calls are looked at before those of an answer are
    made: if they would pass the limit together, none of them is. Runs that its tools have started
    count once they have ended or paused.

    Attributes:
        requests: answered model calls.
        tool_calls: tool calls.
        input_tokens: tokens sent to models.
        output_tokens: tokens that models produced.
        total_tokens: both together.
        cost: US dollars, as far as prices are known; see :class:`kern.models.prices.Price`. The
            log says once of a model that its price is not.

    Raises:
        ConfigurationError: a limit is no whole number from 1 on, or the cost no number above 0.

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
    cost: float | None = None

    def __post_init__(self) -> None:
        check_cost("UsageLimits", self.cost)
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "cost" or value is None:
                continue
            if type(value) is not int or value < 1:
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
            ("cost", used.cost or 0.0),
        ):
            limit: float | None = getattr(self, name)
            if limit is not None and so_far >= limit:
                return f"{name}={limit}"
        return None


def check_cost(what: str, cost: object) -> None:
    """Make sure that a limit of cost is one.

    Args:
        what: whose it is, for the error.
        cost: what should be a number of US dollars; None for no limit.

    Raises:
        ConfigurationError: it is no number above 0, or has no end.
    """
    if cost is None:
        return
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost < math.inf:
        raise ConfigurationError(
            f"{what}: cost must be a number of US dollars above 0, not {cost!r:.50}."
        )


_decoder = msgspec.json.Decoder(UsageLimits)
