"""kern runs AI agents in the background and never loses one.

The everyday names are here; each is imported once it is used.
"""

# Type checkers know it by its name; to import typing would take longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from kern.agent import Agent
    from kern.db.in_memory import InMemoryDb
    from kern.db.postgres import PostgresDb
    from kern.db.sqlite import SqliteDb
    from kern.errors import KernError, ModelError
    from kern.execution.middleware import Middleware
    from kern.media import Audio, File, Image, Video
    from kern.models.fallback import FallbackConfig
    from kern.models.prices import Price
    from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
    from kern.run.base import RunContext, RunInfo, RunStatus
    from kern.run.budget import Budget
    from kern.run.cancel import acancel_run, cancel_run
    from kern.run.message import Message
    from kern.run.requirement import RunRequirement
    from kern.run.usage import UsageLimits
    from kern.tools import FunctionTool, Tool, ToolResult, Toolset, tool

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Audio",
    "Budget",
    "FallbackConfig",
    "File",
    "FunctionTool",
    "Image",
    "InMemoryDb",
    "KernError",
    "Message",
    "Middleware",
    "ModelError",
    "PostgresDb",
    "Price",
    "RunContext",
    "RunEvent",
    "RunInfo",
    "RunOutput",
    "RunOutputEvent",
    "RunRequirement",
    "RunStatus",
    "SqliteDb",
    "Tool",
    "ToolResult",
    "Toolset",
    "UsageLimits",
    "Video",
    "acancel_run",
    "cancel_run",
    "tool",
]

_MODULES = {
    "Agent": "kern.agent",
    "Audio": "kern.media",
    "Budget": "kern.run.budget",
    "FallbackConfig": "kern.models.fallback",
    "File": "kern.media",
    "FunctionTool": "kern.tools",
    "Image": "kern.media",
    "InMemoryDb": "kern.db.in_memory",
    "KernError": "kern.errors",
    "Message": "kern.run.message",
    "Middleware": "kern.execution.middleware",
    "ModelError": "kern.errors",
    "PostgresDb": "kern.db.postgres",
    "Price": "kern.models.prices",
    "RunContext": "kern.run.base",
    "RunEvent": "kern.run.agent",
    "RunInfo": "kern.run.base",
    "RunOutput": "kern.run.agent",
    "RunOutputEvent": "kern.run.agent",
    "RunRequirement": "kern.run.requirement",
    "RunStatus": "kern.run.base",
    "SqliteDb": "kern.db.sqlite",
    "Tool": "kern.tools",
    "ToolResult": "kern.tools",
    "Toolset": "kern.tools",
    "UsageLimits": "kern.run.usage",
    "Video": "kern.media",
    "acancel_run": "kern.run.cancel",
    "cancel_run": "kern.run.cancel",
    "tool": "kern.tools",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
