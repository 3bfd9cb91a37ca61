"""Models of Google, at the Gemini API and on Vertex AI."""

from kern.models.google.gemini import Gemini

__all__ = ["Gemini"]
