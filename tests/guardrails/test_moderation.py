"""Moderation by the provider, against a double of its endpoint at the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI
from service import listening

from kern.errors import CheckTrigger, ConfigurationError, InputCheckError, ModelError
from kern.guardrails import OpenAIModerationGuardrail
from kern.media import Image
from kern.run.agent import RunInput

PIXEL = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


class Endpoint:
    """Flags whatever says «hurt», and images."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.json_response({"error": {"message": "On strike."}}, status=self.status)
        body = json.loads(await request.read())
        self.asked.append(body)
        self.keys.append(request.headers["authorization"])
        is_bad = "hurt" in str(body["input"]) or not isinstance(body["input"], str)
        categories = {"violence": is_bad, "self-harm/intent": is_bad, "hate": False}
        scores = {name: 0.9 if found else 0.1 for name, found in categories.items()}
        result = {"flagged": is_bad, "categories": categories, "category_scores": scores}
        return web.json_response({"id": "modr-1", "model": body["model"], "results": [result]})


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[Endpoint, str]]:
    endpoint, app = Endpoint(), web.Application()
    app.router.add_post("/v1/moderations", endpoint.answer)
    async with listening(app) as url:
        yield endpoint, f"{url}/v1"


async def test_what_the_endpoint_flags_is_refused(endpoint: tuple[Endpoint, str]) -> None:
    server, url = endpoint
    guardrail = OpenAIModerationGuardrail(api_key="sk-test", base_url=url)
    await guardrail.async_check(RunInput("Good morning."))
    with pytest.raises(InputCheckError) as refused:
        await guardrail.async_check(RunInput("I will hurt you."))
    assert refused.value.check_trigger is CheckTrigger.INPUT_NOT_ALLOWED
    assert refused.value.additional_data == {
        "categories": ["violence", "self-harm/intent"],
        "category_scores": {"violence": 0.9, "self-harm/intent": 0.9},
    }
    assert server.asked[1] == {"model": "omni-moderation-latest", "input": "I will hurt you."}
    assert server.keys == ["Bearer sk-test"] * 2


@pytest.mark.parametrize(
    ("categories", "is_refused"),
    [(["hate"], False), (["violence"], True), (["self_harm_intent"], True), ([], False)],
)
async def test_only_the_wanted_categories_are_refused(
    endpoint: tuple[Endpoint, str], categories: list[str], is_refused: bool
) -> None:
    async with AsyncOpenAI(api_key="sk-own", base_url=endpoint[1]) as client:
        guardrail = OpenAIModerationGuardrail("text-moderation-1", categories, client=client)
        try:
            await guardrail.async_check(RunInput("I will hurt you."))
        except InputCheckError:
            assert is_refused
        else:
            assert not is_refused
    assert endpoint[0].asked[0]["model"] == "text-moderation-1"
    assert endpoint[0].keys == ["Bearer sk-own"]


async def test_images_are_looked_at_one_by_one(endpoint: tuple[Endpoint, str]) -> None:
    guardrail = OpenAIModerationGuardrail(api_key="sk-test", base_url=endpoint[1])
    images = [Image(content=PIXEL, mime_type="image/png")]
    with pytest.raises(InputCheckError):
        await guardrail.async_check(RunInput("Look.", images))
    text, image = endpoint[0].asked
    assert text["input"] == "Look."
    assert image["input"][0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


async def test_it_can_be_called_without_an_event_loop(
    endpoint: tuple[Endpoint, str],
) -> None:
    guardrail = OpenAIModerationGuardrail(api_key="sk-test", base_url=endpoint[1])
    with pytest.raises(InputCheckError):
        await asyncio.to_thread(guardrail.check, RunInput("I will hurt you."))


@pytest.mark.parametrize("status", [400, 401])
async def test_where_it_cannot_be_asked_a_required_check_refuses(
    endpoint: tuple[Endpoint, str], status: int
) -> None:
    server, url = endpoint
    server.status = status
    with pytest.raises(ModelError):
        await OpenAIModerationGuardrail(api_key="sk-test", base_url=url).async_check(RunInput("Hi"))
    required = OpenAIModerationGuardrail(api_key="sk-test", base_url=url, required=True)
    with pytest.raises(InputCheckError) as refused:
        await required.async_check(RunInput("Hi"))
    assert refused.value.check_trigger is CheckTrigger.VALIDATION_FAILED
    assert "sk-test" not in str(refused.value)


def test_one_text_for_categories_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="raise_for_categories"):
        OpenAIModerationGuardrail(raise_for_categories="violence")
