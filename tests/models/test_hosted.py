"""What all models behind a server share: how they are asked, and asked again."""

from dataclasses import replace

import pytest
from asking import ask_for_a_stream, ask_for_the_whole

from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.testing import ProtocolServer, Reply

SLOW = 0.1


@pytest.mark.parametrize("kind", [OpenAIResponses, OpenAIChat, Claude, Gemini])
async def test_a_streamed_answer_says_how_long_its_first_piece_took(
    server: ProtocolServer, kind: type[OpenAIResponses | OpenAIChat | Claude | Gemini]
) -> None:
    is_openai = kind in (OpenAIResponses, OpenAIChat)
    url = server.base_url if is_openai else server.url
    model: Model = kind("m", base_url=url, api_key="sk-test")
    server.script += [replace(Reply.text("Hel", "lo."), delay=SLOW)] * 2
    streamed = (await ask_for_a_stream(model, "Hi")).metrics.time_to_first_token
    whole = (await ask_for_the_whole(model, "Hi")).metrics.time_to_first_token
    await model.aclose()
    assert streamed is not None
    assert streamed >= SLOW
    assert whole is None


def test_a_model_is_called_by_its_class_unless_it_says_otherwise() -> None:
    class Own(OpenAIChat):
        name = "Mine"

    assert (OpenAIChat("m").name, Own("m").name) == ("OpenAIChat", "Mine")
