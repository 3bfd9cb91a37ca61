"""Models at Together."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class Together(OpenAILike):
    """A model at Together.

    Example:
        >>> Together("openai/gpt-oss-120b").server_address
        'api.together.xyz/v1'
    """

    at: ClassVar[Provider] = Provider("Together", "https://api.together.xyz/v1", "TOGETHER_API_KEY")
    default_id: ClassVar[str | None] = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
