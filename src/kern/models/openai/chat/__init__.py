"""OpenAI's Chat Completions API: the model, and the forms of its requests, answers and streams."""

from kern.models.openai.chat.model import OpenAIChat

__all__ = ["OpenAIChat"]
