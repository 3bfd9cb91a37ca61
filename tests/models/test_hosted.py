"""What all models behind a server share: how they are asked, and asked again."""

from dataclasses import replace
from typing import Any

import pytest
from asking import ask_for_a_stream, ask_for_the_whole

from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.google import Gemini
from kern.models.groq import Groq
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


@pytest.mark.parametrize("kind", [OpenAIResponses, OpenAIChat, Claude, Gemini, Groq])
def test_a_parameter_that_would_change_nothing_is_not_set(kind: Any) -> None:
    model = kind("m", api_key="sk-test")
    for name, value in {"temperature": 0.5, "api_key": "sk-other", "timeout": 5}.items():
        if not hasattr(model, name):
            with pytest.raises(AttributeError, match=rf"agent\.model = {kind.__name__}.*{name}="):
                setattr(model, name, value)
    model.price, model.own = None, "What kern does not know is the user's."


def test_a_model_of_ones_own_sets_what_it_likes() -> None:
    class Own(OpenAIChat):
        def __init__(self, id: str, user: str) -> None:
            super().__init__(id, user=user)
            self.user = user

    assert Own("m", "ada").user == "ada"


@pytest.mark.parametrize("kind", [OpenAIResponses, OpenAIChat, Claude, Gemini])
async def test_an_id_that_is_set_later_is_asked_for_from_then_on(
    server: ProtocolServer, kind: type[OpenAIResponses | OpenAIChat | Claude | Gemini]
) -> None:
    url = server.base_url if kind in (OpenAIResponses, OpenAIChat) else server.url
    model: Model = kind("m", base_url=url, api_key="sk-test")
    model.id = "other"
    await ask_for_the_whole(model, "Hi")
    await model.aclose()
    asked = server.requests[-1]
    assert "other" in (asked.body.get("model", ""), asked.path.partition(":")[0].split("/")[-1])
