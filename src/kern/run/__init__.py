"""What a run is: values only, which every other room reads.

Status, input and output, messages, tool calls, the steps of a run with their meaning, the events
that they tell, and the rows in which all of it is kept. Nothing here opens, waits or decides.

Some names that many import from here are imported once they are used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kern.run.base import CancellationStage, RunContext, RunStatus
    from kern.run.cancel import get_cancellation_manager, set_cancellation_manager

__all__ = [
    "CancellationStage",
    "RunContext",
    "RunStatus",
    "get_cancellation_manager",
    "set_cancellation_manager",
]

_MODULES = {
    "CancellationStage": "kern.run.base",
    "RunContext": "kern.run.base",
    "RunStatus": "kern.run.base",
    "get_cancellation_manager": "kern.run.cancel",
    "set_cancellation_manager": "kern.run.cancel",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
