"""Logs that programs read: one JSON object a record, with the ids of run, session and trace."""

import json
import logging
import sys
from datetime import UTC, datetime

from typing_extensions import override

from kern.telemetry.current import current

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class RunIds(logging.Filter):
    """Gives log records the ids of the run and the span whose code has logged them.

    These are ``run_id``, ``session_id``, ``agent_id``, ``attempt``, ``trace_id`` and ``span_id``;
    None where there is none. What a record has already, it keeps. Add it to a handler, so that it
    sees the records of all loggers. Outside of kern's own records, the ids of runs are known where
    telemetry is on.

    Example:
        >>> handler = logging.StreamHandler()
        >>> handler.addFilter(RunIds())
        >>> handler.setFormatter(JsonFormatter())
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids, and let the record pass."""
        work = current.get()
        run = None if work is None else work.run
        values = vars(record)
        for name in ("run_id", "session_id", "agent_id", "attempt"):
            values.setdefault(name, None if run is None else getattr(run, name))
        trace_id, span_id = _current_span()
        values.setdefault("trace_id", trace_id)
        values.setdefault("span_id", span_id)
        return True


class JsonFormatter(logging.Formatter):
    """Formats a log record as a JSON object of one line, with all that it was given as ``extra``.

    ``time`` is in UTC, ``exception`` a traceback. A record without an ``event`` of its own has
    ``level``, ``logger`` and ``message``.

    Example:
        >>> formatter = JsonFormatter()
        >>> record = logging.makeLogRecord({"msg": "paid", "levelname": "INFO", "amount": 5})
        >>> line = json.loads(formatter.format(record))
        >>> line["message"], line["amount"]
        ('paid', 5)
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = fields_of(record)
        line: dict[str, object] = {"time": datetime.fromtimestamp(record.created, UTC).isoformat()}
        if "event" not in fields:
            line["level"] = record.levelname.lower()
            line["logger"] = record.name
            line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({**line, **fields, "pid": record.process}, default=str)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what a record was given beside its message, without what is None."""
    found = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {name: value for name, value in found.items() if value is not None}


def _current_span() -> tuple[str | None, str | None]:
    """Return the ids of the current trace and span; where nothing traces, nothing is imported."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None, None
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None, None
    return f"{span.trace_id:032x}", f"{span.span_id:016x}"
