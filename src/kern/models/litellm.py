"""Models behind a proxy of LiteLLM."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class LiteLLM(OpenAILike):
    """A model behind a proxy of LiteLLM.

    Example:
        >>> LiteLLM("gpt-5.4-mini", base_url="http://proxy.example.com:4000").server_address
        'proxy.example.com:4000'
    """

    at: ClassVar[Provider] = Provider(
        "LiteLLM", "http://localhost:4000/v1", "LITELLM_API_KEY", needs_key=False
    )
    default_id: ClassVar[str | None] = "gpt-5.4-mini"
