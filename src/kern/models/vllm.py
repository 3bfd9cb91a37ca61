"""Models that vLLM serves."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class VLLM(OpenAILike):
    """A model that vLLM serves.

    Example:
        >>> VLLM("Qwen/Qwen3-8B", base_url="http://gpu.example.com:8000/v1").id
        'Qwen/Qwen3-8B'
    """

    at: ClassVar[Provider] = Provider(
        "vLLM", "http://localhost:8000/v1", "VLLM_API_KEY", needs_key=False
    )
