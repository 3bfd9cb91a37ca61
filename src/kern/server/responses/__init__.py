"""The Responses API, with agents as models."""
