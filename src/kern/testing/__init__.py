"""What users need to test their agents without a model."""

from kern.testing.responses import ResponsesServer

__all__ = ["ResponsesServer"]
