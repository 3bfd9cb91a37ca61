"""Models behind OpenAI's protocols, the Responses API and Chat Completions."""

from kern.models.openai.responses import OpenAIResponses

__all__ = ["OpenAIResponses"]
