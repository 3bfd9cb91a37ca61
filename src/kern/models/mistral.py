"""Models of Mistral."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class MistralChat(OpenAILike):
    """A model of Mistral.

    Example:
        >>> MistralChat("mistral-large-latest").server_address
        'api.mistral.ai/v1'
    """

    at: ClassVar[Provider] = Provider("Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY")
    default_id: ClassVar[str | None] = "mistral-large-latest"
