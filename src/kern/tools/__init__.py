"""Tools: functions that a model can have called."""

from kern.tools.function import Tool, tool

__all__ = ["Tool", "tool"]
