"""Models at Groq."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class Groq(OpenAILike):
    """A model at Groq.

    Example:
        >>> Groq("llama-3.3-70b-versatile").server_address
        'api.groq.com/openai/v1'
    """

    at: ClassVar[Provider] = Provider("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY")
    default_id: ClassVar[str | None] = "llama-3.3-70b-versatile"
