"""What model calls cost."""

import subprocess
import sys

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo

from kern.errors import ConfigurationError
from kern.models.anthropic import Claude
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.prices import Price, Prices, cost_of, prices
from kern.run.message import Metrics

_PROVIDERS = ("anthropic", "azure", "deepseek", "google", "groq", "mistral", "openai", "x-ai")


def _models() -> list[tuple[str, ModelInfo]]:
    return [
        (provider.id, model)
        for provider in get_snapshot().providers
        if provider.id in _PROVIDERS
        for model in provider.models
    ]


@pytest.mark.parametrize("tokens", [1000, 200_000, 200_001, 300_000])
async def test_it_is_what_the_library_says_of_every_model(tokens: int) -> None:
    used = Metrics(tokens, 500, tokens + 500, cached_tokens=tokens // 2, model_calls=1)
    usage = Usage(input_tokens=tokens, output_tokens=500, cache_read_tokens=tokens // 2)
    compared = 0
    await prices.load()
    for provider, model in _models():
        cost = cost_of(used, None, provider, model.id)
        if cost is None:
            continue
        said = calc_price(usage, model.id, provider_id=provider).total_price
        assert cost == pytest.approx(float(said), rel=1e-9), (provider, model.id)
        compared += 1
    assert compared > 300


async def test_sound_and_what_the_cache_takes_have_prices_of_their_own() -> None:
    await prices.load()
    used = Metrics(100, 90, 190, audio_tokens=70, audio_output_tokens=20, model_calls=1)
    usage = Usage(input_tokens=100, output_tokens=90, input_audio_tokens=50, output_audio_tokens=20)
    said = calc_price(usage, "gpt-audio", provider_id="openai").total_price
    assert cost_of(used, None, "OpenAI", "gpt-audio") == pytest.approx(float(said))
    used = Metrics(1000, 10, 1010, cached_tokens=400, cache_write_tokens=300, model_calls=1)
    usage = Usage(
        input_tokens=1000, output_tokens=10, cache_read_tokens=400, cache_write_tokens=300
    )
    said = calc_price(usage, "claude-sonnet-5-5", provider_id="anthropic").total_price
    assert cost_of(used, None, "Anthropic", "claude-sonnet-5-5") == pytest.approx(float(said))


async def test_a_model_that_nobody_knows_has_no_known_cost() -> None:
    await prices.load()
    used = Metrics(10, 5, 15, model_calls=1)
    assert cost_of(used, None, "OpenAI", "gpt-of-tomorrow") is None
    assert cost_of(used, None, "Ollama", "qwen3:8b") is None


async def test_the_name_that_was_asked_for_counts_where_that_of_the_answer_is_unknown() -> None:
    await prices.load()
    used = Metrics(1_000_000, model_calls=1)
    asked = cost_of(used, None, "OpenAI", "gpt-5-mini")
    assert asked is not None
    assert cost_of(used, None, "OpenAI", "gpt-of-tomorrow", "gpt-5-mini") == asked


def test_a_price_that_the_user_gives_wins() -> None:
    price = Price(input=2, output=10, cached=0.5)
    used = Metrics(1000, 100, 1100, cached_tokens=200, model_calls=1)
    assert cost_of(used, price, "OpenAI", "gpt-5-mini") == 0.0027


def test_usage_that_makes_no_sense_costs_no_less_than_nothing() -> None:
    assert Price(1, 1).of(Metrics(10, 5, cached_tokens=20, audio_tokens=90)) >= 0


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "3"])
def test_a_price_is_a_number_from_0_on(value: object) -> None:
    with pytest.raises(ConfigurationError, match="Price: output"):
        Price(1, value)  # type: ignore[arg-type] # what is tested
    with pytest.raises(ConfigurationError, match="Price: input"):
        Price(None, 1)  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize("kind", [OpenAIResponses, OpenAIChat, Claude, Gemini])
def test_every_provider_takes_one(kind: type[OpenAIResponses]) -> None:
    price = Price(1, 2)
    assert kind("any", price=price).price is price
    assert kind("any").price is None
    with pytest.raises(ConfigurationError, match="Price"):
        kind("any", price=3)  # type: ignore[arg-type] # what is tested


async def test_without_the_extra_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    none = Prices()
    await none.load()
    assert (none.is_loaded, none.is_missing) == (True, True)
    assert none.find("OpenAI", "gpt-5-mini") == ()


def test_it_is_loaded_only_when_it_is_needed() -> None:
    script = "import sys, kern.models.openai, kern.agent; print('genai_prices' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert found.stdout.split() == [b"False"]
