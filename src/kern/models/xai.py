"""Models of xAI."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class xAI(OpenAILike):  # noqa: N801 # as the company writes it
    """A model of xAI.

    Example:
        >>> xAI("grok-4").server_address
        'api.x.ai/v1'
    """

    at: ClassVar[Provider] = Provider("xAI", "https://api.x.ai/v1", "XAI_API_KEY")
    default_id: ClassVar[str | None] = "grok-4"
