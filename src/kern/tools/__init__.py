"""Tools: what a model can have called. The port is in ``base``; a module each for its kinds."""

from kern.tools.base import Tool, ToolResult
from kern.tools.call import FunctionCall
from kern.tools.function import Function, FunctionTool, tool
from kern.tools.toolkit import Toolkit
from kern.tools.toolset import Toolset

__all__ = [
    "Function",
    "FunctionCall",
    "FunctionTool",
    "Tool",
    "ToolResult",
    "Toolkit",
    "Toolset",
    "tool",
]
