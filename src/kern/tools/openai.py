"""What OpenAI offers beside its models of text: transcripts, pictures and speech."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kern.extras import extra
from kern.media import Audio, Image
from kern.tools.base import ToolResult
from kern.tools.toolkit import Toolkit

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class OpenAITools(Toolkit):
    """Tools that have OpenAI transcribe, draw and speak (extra ``openai``).

    Example:
        >>> [*OpenAITools(api_key="sk-...", enable_transcription=False).functions]
        ['generate_image', 'generate_speech']
    """

    uses_files = True

    def __init__(
        self,
        api_key: str | None = None,
        enable_transcription: bool = True,
        enable_image_generation: bool = True,
        enable_speech_generation: bool = True,
        all: bool = False,
        transcription_model: str = "whisper-1",
        text_to_speech_voice: str = "alloy",
        text_to_speech_model: str = "tts-1",
        text_to_speech_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3",
        image_model: str = "gpt-image-1",
        image_quality: str | None = None,
        image_size: str | None = None,
        image_style: str | None = None,
        *,
        base_url: str | None = None,
        **options: Any,
    ) -> None:
        """Choose the tools, and the models behind them.

        Args:
            api_key: the key; by default that in ``OPENAI_API_KEY``.
            enable_transcription: offer ``transcribe_audio``.
            enable_image_generation: offer ``generate_image``.
            enable_speech_generation: offer ``generate_speech``.
            all: offer all three.
            transcription_model: who listens; ``"whisper-1"`` gives subtitles (SRT), others text.
            text_to_speech_voice: whose voice speaks.
            text_to_speech_model: who speaks.
            text_to_speech_format: the form of the recording.
            image_model: who draws.
            image_quality: how well; as the model takes it, like the next two.
            image_size: how large.
            image_style: in which style.
            base_url: where the service is; by default OpenAI's own.
            **options: those of :class:`Toolkit`.

        Raises:
            MissingExtraError: openai is not installed.
        """
        with extra("openai"):
            import openai  # noqa: F401
        self._api_key, self._base_url = api_key, base_url
        self.transcription_model = transcription_model
        self.tts_voice = text_to_speech_voice
        self.tts_model = text_to_speech_model
        self.tts_format = text_to_speech_format
        self.image_model = image_model
        wanted = {"quality": image_quality, "size": image_size, "style": image_style}
        self._image = {name: value for name, value in wanted.items() if value is not None}
        tools: list[Callable[..., object]] = []
        if all or enable_transcription:
            tools.append(self.transcribe_audio)
        if all or enable_image_generation:
            tools.append(self.generate_image)
        if all or enable_speech_generation:
            tools.append(self.generate_speech)
        super().__init__(name="openai_tools", tools=tools, **options)

    async def transcribe_audio(self, audio_path: str) -> str:
        """Transcribe a recording.

        Args:
            audio_path: the path of its file.

        Returns:
            What is said in it.
        """
        path = Path(audio_path)
        recording = await asyncio.to_thread(path.read_bytes)
        async with self._opened() as client:
            said: Any = await client.audio.transcriptions.create(
                model=self.transcription_model,
                file=(path.name, recording),
                response_format="srt" if self.transcription_model == "whisper-1" else "json",
            )
        return said if isinstance(said, str) else str(said.text)

    async def generate_image(self, prompt: str) -> ToolResult:
        """Draw a picture.

        Args:
            prompt: what it is to show.

        Returns:
            The picture.
        """
        given: dict[str, Any] = dict(self._image)
        if self.image_model.startswith("dall-e"):  # Others always give the picture itself.
            given["response_format"] = "b64_json"
        async with self._opened() as client:
            made = await client.images.generate(model=self.image_model, prompt=prompt, **given)
        pictures = [
            Image(
                url=each.url if each.b64_json is None else None,
                content=None if each.b64_json is None else base64.b64decode(each.b64_json),
                original_prompt=prompt,
                revised_prompt=each.revised_prompt,
            )
            for each in made.data or ()
        ]
        if not pictures:
            raise ConnectionError(f"{self.image_model} has drawn nothing.")
        return ToolResult("The picture was drawn.", images=pictures)

    async def generate_speech(self, text_input: str) -> ToolResult:
        """Have a text spoken.

        Args:
            text_input: the text.

        Returns:
            The recording.
        """
        async with self._opened() as client:
            spoken = await client.audio.speech.create(
                model=self.tts_model,
                voice=self.tts_voice,
                input=text_input,
                response_format=self.tts_format,
            )
            recording = Audio(content=await spoken.aread(), format=self.tts_format)
        return ToolResult("The text was spoken.", audios=[recording])

    def _opened(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI, DefaultAioHttpClient

        return AsyncOpenAI(
            api_key=self._api_key, base_url=self._base_url, http_client=DefaultAioHttpClient()
        )
