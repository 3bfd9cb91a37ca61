"""OpenTelemetry: spans and metrics of runs, model calls and tool calls, and logs with their ids.

:func:`instrument` switches it on for a process, ``Agent(middleware=[OpenTelemetry()])`` for one
agent, ``kern worker --otel`` for a worker. It needs the extra ``telemetry``, which brings the API
of OpenTelemetry; the SDK, exporters and where they send to are the program's. Names follow
version 0.1.0 of OpenTelemetry's semantic conventions for generative AI
(github.com/open-telemetry/semantic-conventions-genai); what these do not know begins with
``kern.``. See ``docs/guides/telemetry.md``.

Until somebody asks for it nothing of this, or of OpenTelemetry, is imported.
"""

from kern.extras import extra

# Type checkers know it by its name; to import typing would take longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from kern.telemetry.logs import JsonFormatter, RunIds
    from kern.telemetry.observer import OpenTelemetry
    from kern.telemetry.switch import instrument, switch_on, uninstrument

__all__ = [
    "JsonFormatter",
    "OpenTelemetry",
    "RunIds",
    "instrument",
    "switch_on",
    "uninstrument",
]

_MODULES = {
    "JsonFormatter": "kern.telemetry.logs",
    "OpenTelemetry": "kern.telemetry.observer",
    "RunIds": "kern.telemetry.logs",
    "instrument": "kern.telemetry.switch",
    "switch_on": "kern.telemetry.switch",
    "uninstrument": "kern.telemetry.switch",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extra("telemetry"):
        value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
