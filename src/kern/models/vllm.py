"""Models that vLLM serves."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class VLLM(OpenAILike):
    """A model that vLLM serves."""

    at: ClassVar[Provider] = Provider(
        "vLLM", "http://localhost:8000/v1", "VLLM_API_KEY", needs_key=False
    )
