"""Models that LM Studio serves."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class LMStudio(OpenAILike):
    """A model that LM Studio serves.

    Example:
        >>> LMStudio("qwen3-8b").server_address
        'localhost:1234/v1'
    """

    at: ClassVar[Provider] = Provider("LM Studio", "http://localhost:1234/v1", needs_key=False)
