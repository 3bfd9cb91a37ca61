"""The toolkit of fal.ai, against a double of the library that asks it."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from kern.run.content import ImagePart, TextPart, Url
from kern.tools.fal import FalTools

ANSWERS: dict[str, object] = {
    "pictures": {
        "images": [{"url": "https://fal.example/1.png"}, {"url": "https://fal.example/2.png"}]
    },
    "film": {"video": {"url": "https://fal.example/film.mp4"}},
    "nothing": {"seed": 1},
    "fal-ai/flux/dev/image-to-image": {"image": {"url": "https://fal.example/new.png"}},
}
asked: list[tuple[object, ...]] = []


class AsyncClient:
    """What ``fal_client.AsyncClient`` is, as far as it is used."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key

    async def subscribe(self, application: str, arguments: dict[str, Any]) -> object:
        asked.append((self.key, application, arguments))
        return ANSWERS[application]


@pytest.fixture(autouse=True)
def _library(monkeypatch: pytest.MonkeyPatch) -> None:
    asked.clear()
    monkeypatch.delenv("FAL_KEY", raising=False)
    monkeypatch.setenv("FAL_API_KEY", "of the environment")
    monkeypatch.setitem(sys.modules, "fal_client", SimpleNamespace(AsyncClient=AsyncClient))


async def test_pictures_are_media_of_the_result() -> None:
    result = await FalTools("mine", model="pictures").generate_media("a cat")
    assert asked == [("mine", "pictures", {"prompt": "a cat"})]
    assert isinstance(result.content, tuple)
    text, *pictures = result.content
    assert isinstance(text, TextPart)
    assert "https://fal.example/1.png" in text.text
    assert [each.source for each in pictures if isinstance(each, ImagePart)] == [
        Url("https://fal.example/1.png"),
        Url("https://fal.example/2.png"),
    ]


async def test_a_film_is_media_of_the_result() -> None:
    result = await FalTools(model="film").generate_media("a cat")
    assert asked[0][0] == "of the environment"
    assert len(result.content) == 2


async def test_a_picture_is_made_of_another() -> None:
    tools = FalTools(all=True)
    assert [*tools.functions] == ["generate_media", "image_to_image"]
    await tools.image_to_image("older", "https://example.com/cat.png")
    assert asked[0][2] == {"prompt": "older", "image_url": "https://example.com/cat.png"}


async def test_an_answer_without_media_fails_the_call() -> None:
    with pytest.raises(ConnectionError, match="neither a picture nor a film"):
        await FalTools(model="nothing").generate_media("a cat")
