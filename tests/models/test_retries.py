"""How long is waited before a call is repeated."""

from typing import Any

import pytest
from ports import free_port

from kern.errors import ConfigurationError, ModelError
from kern.models.anthropic import Claude
from kern.models.base import ModelRequest
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.retries import Retries
from kern.run.message import Message

KINDS = [OpenAIResponses, OpenAIChat, Claude, Gemini]


@pytest.fixture(autouse=True)
def _soon() -> None:
    """Leave the pauses as they are."""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited for, in place of waiting."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(round(seconds, 3))

    monkeypatch.setattr("kern.models.retries.asyncio.sleep", sleep)
    monkeypatch.setattr("kern.models.retries.jitter.uniform", lambda low, high: 1.0)
    return waited


@pytest.mark.parametrize(
    ("chosen", "waited"),
    [
        ((), [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]),
        ((None, False), [0.5] * 6),
        ((3.0,), [3.0] * 6),
        ((3.0, False), [3.0] * 6),
        ((3.0, True), [3.0, 6.0, 12.0, 24.0, 48.0, 96.0]),
        ((0,), [0.0] * 6),
    ],
)
async def test_the_pauses_are_kerns_own_or_as_chosen(
    chosen: tuple[Any, ...], waited: list[float], pauses: list[float]
) -> None:
    retries = Retries(6, *chosen)
    for _ in waited:
        await retries.wait(ModelError("Wait.", transient=True))
    assert pauses == waited
    with pytest.raises(ModelError):
        await retries.wait(ModelError("Wait.", transient=True))


async def test_what_the_provider_asks_for_goes_before_what_was_chosen(pauses: list[float]) -> None:
    await Retries(1, 3.0).wait(ModelError("Wait.", transient=True, retry_after=7.0))
    assert pauses == [7.0]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_model_takes_them(kind: Any, pauses: list[float]) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    model = kind(
        "m",
        api_key="k",
        base_url=nowhere,
        retries=2,
        delay_between_retries=3,
        exponential_backoff=True,
    )
    with pytest.raises(ModelError, match="cannot be reached"):
        await model.respond(ModelRequest([Message("user", "Hi")]))
    assert pauses == [3.0, 6.0]
    await model.aclose()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delay", [-1, "5", True, float("nan")])
def test_a_delay_that_is_none_is_refused(kind: Any, delay: object) -> None:
    with pytest.raises(ConfigurationError, match="delay_between_retries must be a number"):
        kind("m", delay_between_retries=delay)
