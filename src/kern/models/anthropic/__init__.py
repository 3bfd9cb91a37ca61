"""Claude, over Anthropic's own SDK, which is loaded at the first call."""

from kern.models.anthropic.claude import Claude

__all__ = ["Claude"]
