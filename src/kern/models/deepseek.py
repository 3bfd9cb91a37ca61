"""Models of DeepSeek."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class DeepSeek(OpenAILike):
    """A model of DeepSeek.

    Example:
        >>> DeepSeek("deepseek-chat").server_address
        'api.deepseek.com/v1'
    """

    at: ClassVar[Provider] = Provider(
        "DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", has_json_schema=False
    )
    default_id: ClassVar[str | None] = "deepseek-chat"
