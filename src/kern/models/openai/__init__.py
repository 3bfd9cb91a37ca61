"""Models of OpenAI, and of every server that speaks its protocols."""

from kern.models.openai.chat import OpenAIChat
from kern.models.openai.like import OpenAILike
from kern.models.openai.responses import OpenAIResponses

__all__ = ["OpenAIChat", "OpenAILike", "OpenAIResponses"]
