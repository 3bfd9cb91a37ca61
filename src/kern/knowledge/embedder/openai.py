"""The path that users know for OpenAI's embedder; see :mod:`kern.embedders.openai`."""

from kern.embedders.openai import OpenAIEmbedder, OpenAILikeEmbedder

__all__ = ["OpenAIEmbedder", "OpenAILikeEmbedder"]
