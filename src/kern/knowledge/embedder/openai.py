"""The path that users know for OpenAI's embedder."""

from kern.embedders.openai import OpenAIEmbedder as OpenAIEmbedder
