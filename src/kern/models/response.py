"""Tool calls and answers of models, under the path that many know."""

from kern.models.base import ModelResponse
from kern.run.tool import ToolExecution

__all__ = ["ModelResponse", "ToolExecution"]
