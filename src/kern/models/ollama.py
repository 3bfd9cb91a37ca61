"""Models that Ollama serves, on this machine or in its cloud."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class Ollama(OpenAILike):
    """A model at Ollama; ``OLLAMA_HOST`` says where, and its cloud asks for ``OLLAMA_API_KEY``.

    Example:
        >>> Ollama("qwen3").server_address
        'localhost:11434/v1'
    """

    at: ClassVar[Provider] = Provider(
        "Ollama",
        "http://localhost:11434/v1",
        "OLLAMA_API_KEY",
        "OLLAMA_HOST",
        url_scheme="http://",
        url_path="/v1",
        needs_key=False,
    )
    default_id: ClassVar[str | None] = "llama3.1"
