"""Models of many providers, through OpenRouter."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class OpenRouter(OpenAILike):
    """A model at OpenRouter.

    Example:
        >>> OpenRouter("anthropic/claude-sonnet-4.5").server_address
        'openrouter.ai/api/v1'
    """

    at: ClassVar[Provider] = Provider(
        "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"
    )
    default_id: ClassVar[str | None] = "openai/gpt-5.4-mini"
