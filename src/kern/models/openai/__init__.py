"""Models of OpenAI, and of every server that speaks its protocols."""

from kern.models.openai.responses import OpenAIResponses

__all__ = ["OpenAIResponses"]
