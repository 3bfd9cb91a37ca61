"""Pictures and films that models at fal.ai make."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from kern.extras import extra
from kern.media import Image, Video
from kern.tools.base import ToolResult
from kern.tools.toolkit import Toolkit


class FalTools(Toolkit):
    """Tools that make pictures and films at fal.ai (extra ``fal``).

    Example:
        >>> [*FalTools(api_key="...").functions]
        ['generate_media']
    """

    def __init__(
        self,
        api_key: str | None = None,
        model: str = "fal-ai/hunyuan-video",
        enable_generate_media: bool = True,
        enable_image_to_image: bool = False,
        all: bool = False,
        *,
        image_to_image_model: str = "fal-ai/flux/dev/image-to-image",
        **options: Any,
    ) -> None:
        """Choose the tools, and the models behind them.

        Args:
            api_key: the key; by default that in ``FAL_KEY``, or ``FAL_API_KEY``.
            model: who makes pictures or films of a text.
            enable_generate_media: offer ``generate_media``.
            enable_image_to_image: offer ``image_to_image``.
            all: offer both.
            image_to_image_model: who makes pictures of pictures.
            **options: those of :class:`Toolkit`.

        Raises:
            MissingExtraError: fal-client is not installed.
        """
        with extra("fal"):
            import fal_client  # noqa: F401
        self._api_key = api_key
        self.model = model
        self.image_to_image_model = image_to_image_model
        tools: list[Callable[..., object]] = []
        if all or enable_generate_media:
            tools.append(self.generate_media)
        if all or enable_image_to_image:
            tools.append(self.image_to_image)
        super().__init__(name="fal_tools", tools=tools, **options)

    async def generate_media(self, prompt: str) -> ToolResult:
        """Make a picture or a film.

        Args:
            prompt: what it is to show.

        Returns:
            The picture or the film.
        """
        return await self._made(self.model, {"prompt": prompt})

    async def image_to_image(self, prompt: str, image_url: str) -> ToolResult:
        """Make a picture of another one.

        Args:
            prompt: what is to be different.
            image_url: where the other one is.

        Returns:
            The picture.
        """
        return await self._made(
            self.image_to_image_model, {"prompt": prompt, "image_url": image_url}
        )

    async def _made(self, model: str, arguments: dict[str, str]) -> ToolResult:
        from fal_client import AsyncClient

        key = self._api_key or os.environ.get("FAL_KEY") or os.environ.get("FAL_API_KEY")
        found = await AsyncClient(key=key).subscribe(model, arguments)
        pictures, films = _urls(found, "image"), _urls(found, "video")
        if not pictures and not films:
            raise ConnectionError(f"{model} has made neither a picture nor a film.")
        return ToolResult(
            f"Made: {', '.join([*pictures, *films])}",
            images=[Image(url=url) for url in pictures],
            videos=[Video(url=url) for url in films],
        )


def _urls(found: object, kind: str) -> list[str]:
    """Return where the pictures or films of an answer are; models give one or several."""
    if not isinstance(found, Mapping):
        return []
    several = found.get(f"{kind}s") or ([found[kind]] if found.get(kind) else [])
    return [each["url"] for each in several if each.get("url")]
