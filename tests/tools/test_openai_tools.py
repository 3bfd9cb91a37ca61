"""OpenAI's toolkit, against a service that speaks as the real one does."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from service import serving

from kern.run.content import AudioPart, ImagePart, Inline
from kern.tools.base import ToolResult
from kern.tools.openai import OpenAITools

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
MP3 = b"ID3\x03\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" * 8


class Service:
    """What OpenAI was asked, and where it is."""

    def __init__(self, url: str, asked: list[dict[str, Any]]) -> None:
        self.url, self.asked = url, asked

    def tools(self, **options: Any) -> OpenAITools:
        return OpenAITools("sk-test", base_url=f"{self.url}/v1", **options)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    asked: list[dict[str, Any]] = []

    def transcribe(request: web.Request) -> object:
        assert request.headers["Authorization"] == "Bearer sk-test"
        body = request._read_bytes or b""
        asked.append({"body": body})
        return web.Response(text="1\n00:00 --> 00:01\nHi\n") if b"srt" in body else {"text": "Hi"}

    def draw(request: web.Request) -> object:
        asked.append({"body": request._read_bytes})
        return {"created": 1, "data": [{"b64_json": base64.b64encode(PNG).decode()}]}

    def speak(request: web.Request) -> object:
        asked.append({"body": request._read_bytes})
        return MP3

    answers = {
        "/v1/audio/transcriptions": transcribe,
        "/v1/images/generations": draw,
        "/v1/audio/speech": speak,
    }
    async with serving(answers) as url:
        yield Service(url, asked)


@pytest.mark.parametrize(("model", "said"), [("whisper-1", "1\n00:00"), ("another", "Hi")])
async def test_a_recording_is_transcribed(
    service: Service, tmp_path: Path, model: str, said: str
) -> None:
    path = tmp_path / "said.mp3"
    path.write_bytes(MP3)
    tools = service.tools(transcription_model=model)
    assert (await tools.transcribe_audio(str(path))).startswith(said)
    assert MP3 in service.asked[0]["body"]


async def test_a_picture_is_media_of_the_result(service: Service) -> None:
    result = await service.tools(image_size="1024x1024").generate_image("a cat")
    assert inline(result, ImagePart) == PNG
    assert b'"size":"1024x1024"' in service.asked[0]["body"].replace(b" ", b"")
    assert b"response_format" not in service.asked[0]["body"]


async def test_speech_is_media_of_the_result(service: Service) -> None:
    result = await service.tools().generate_speech("Hello")
    assert inline(result, AudioPart) == MP3


def inline(result: ToolResult, kind: type[ImagePart | AudioPart]) -> bytes:
    part = result.content[1]
    assert isinstance(part, kind)
    assert isinstance(part.source, Inline)
    return part.source.data


def test_the_toolkit_offers_what_is_enabled() -> None:
    tools = OpenAITools("sk-test", enable_transcription=False, enable_speech_generation=False)
    assert [*tools.functions] == ["generate_image"]
