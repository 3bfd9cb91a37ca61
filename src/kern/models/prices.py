"""What model calls cost: by the price that a model is given, or else by genai-prices.

genai-prices brings its prices along: nothing is downloaded. It is loaded in a thread with the first
answer of a model that has no price of its own.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

from kern.errors import ConfigurationError
from kern.run.message import Metrics

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

_MILLION = 1_000_000

# For how many models prices are kept, and for how many seconds: some change with the time of day.
_KEPT, _FRESH = 1000, 60


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars for a million tokens.

    Attributes:
        input: tokens that it is sent.
        output: tokens that it produces.
        cached: of the former, those that its provider has in its cache; by default as the others.
        cache_write: those that its provider puts into its cache; by default as the others.
        audio_input: those of sound; by default as the others.
        audio_output: tokens of sound that it produces; by default as the others.

    Raises:
        ConfigurationError: one is no number from 0 on.

    Example:
        >>> Price(input=3, output=15).of(Metrics(input_tokens=1000, output_tokens=100))
        0.0045
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.default is None:
                continue
            if type(value) not in (int, float) or not 0 <= value < math.inf:
                raise ConfigurationError(
                    f"Price: {each.name} must be a number of US dollars from 0 on, for a million "
                    f"tokens, not {value!r:.50}."
                )

    def of(self, used: Metrics) -> float:
        """Return what calls cost that used so much, in US dollars."""
        heard = max(0, used.audio_tokens - used.audio_output_tokens)
        read = max(0, used.input_tokens - used.cached_tokens - used.cache_write_tokens - heard)
        written = max(0, used.output_tokens - used.audio_output_tokens)
        dollars = read * self.input + written * self.output
        for tokens, price, default in (
            (used.cached_tokens, self.cached, self.input),
            (used.cache_write_tokens, self.cache_write, self.input),
            (heard, self.audio_input, self.input),
            (used.audio_output_tokens, self.audio_output, self.output),
        ):
            if tokens:
                dollars += tokens * (default if price is None else price)
        return round(dollars / _MILLION, 12)


def check_price(price: object) -> Price | None:
    """Return the price that a model is given.

    Raises:
        ConfigurationError: it is none.
    """
    if price is None or isinstance(price, Price):
        return price
    raise ConfigurationError(f"price must be Price(input=..., output=...), not {price!r:.50}.")


Tiers: TypeAlias = tuple[tuple[int, Price], ...]
"""Prices, each for calls of more input tokens than its number; the one for the most comes first."""


class Prices:
    """The prices that genai-prices knows.

    Attributes:
        is_loaded: whether they are there, or genai-prices is not installed.
        is_missing: whether it is not installed.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.is_loaded = False
        self.is_missing = False
        self._calculate: Callable[[str, str], PriceCalculation] | None = None
        self._found: dict[tuple[str, ...], tuple[float, Tiers]] = {}

    async def load(self) -> None:
        """Import genai-prices, in a thread: it takes 0.06 s, and longer without an SDK."""
        await asyncio.to_thread(self._load)

    def find(self, provider: str, *models: str) -> Tiers:
        """Return the prices of a model at this time; none where they are not known.

        Args:
            provider: who serves it.
            *models: its names there, the best one first.
        """
        key, now = (provider, *models), time.time() // _FRESH
        found = self._found.get(key)
        if found is not None and found[0] == now:
            return found[1]
        tiers = next(filter(None, (self._tiers(provider, model) for model in models)), ())
        if len(self._found) >= _KEPT:
            self._found.clear()
        self._found[key] = now, tiers
        return tiers

    def _tiers(self, provider: str, model: str) -> Tiers:
        if self._calculate is not None:
            with suppress(LookupError):  # It does not know the model, or its provider.
                return _tiers(self._calculate(provider, model))
        return ()

    def _load(self) -> None:
        try:
            from genai_prices import Usage, calc_price
        except ModuleNotFoundError:
            self.is_missing = True
        else:
            nothing = Usage()
            self._calculate = lambda provider, model: calc_price(
                nothing, model, provider_id=provider
            )
        self.is_loaded = True


prices = Prices()
"""Those of this process."""


def cost_of(used: Metrics, price: Price | None, provider: str, *models: str) -> float | None:
    """Return what a model call cost, in US dollars.

    Args:
        used: what it used.
        price: the price that the user has given the model, or None.
        provider: who serves it.
        *models: its names there, the best one first.

    Returns:
        None where the price is not known; without a price of the user's that is so until
        :data:`prices` are loaded.
    """
    if price is not None:
        return price.of(used)
    if prices.is_missing:
        return None
    for start, tier in prices.find(provider, *models):
        if used.input_tokens > start:
            return tier.of(used)
    return None


def _tiers(found: "PriceCalculation") -> Tiers:
    known = vars(found.model_price)
    starts = {-1}
    for price in known.values():
        starts.update(tier.start for tier in getattr(price, "tiers", ()))

    def at(start: int, name: str) -> float | None:
        price = known.get(name)
        for tier in getattr(price, "tiers", ()):
            if start >= tier.start:
                price = tier.price
        price = getattr(price, "base", price)
        return None if price is None else float(price)

    tiers = []
    for start in sorted(starts, reverse=True):
        sent, produced = at(start, "input_mtok"), at(start, "output_mtok")
        if sent is None and produced is None:
            return ()
        audio = at(start, "input_audio_mtok"), at(start, "output_audio_mtok")
        cache = at(start, "cache_read_mtok"), at(start, "cache_write_mtok")
        tiers.append((start, Price(sent or 0.0, produced or 0.0, *cache, *audio)))
    return tuple(tiers)
