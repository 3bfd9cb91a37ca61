"""OpenAI's Responses API: the model, and the forms of its requests, answers and streams."""

from kern.models.openai.responses.model import OpenAIResponses

__all__ = ["OpenAIResponses"]
