"""Tools: what a model can have called. The port is in ``base``; a module each for its kinds."""

from kern.tools.base import Tool, ToolResult, Toolset
from kern.tools.function import FunctionTool, tool

__all__ = ["FunctionTool", "Tool", "ToolResult", "Toolset", "tool"]
