"""What a worker prints: a line a state change, for people or for programs."""

import logging
import sys
from datetime import datetime
from typing import Protocol

from typing_extensions import override

from kern.telemetry.logs import JsonFormatter, RunIds, fields_of

logger = logging.getLogger("kern.worker")

# What people find elsewhere, and programs want.
_FOR_PROGRAMS = ("session_id", "trace_id", "span_id")


class Stream(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """Take a whole line."""

    def flush(self) -> object:
        """Pass on what was taken."""


def claim_output(form: str) -> Stream:
    """Return the standard output; JSON has it for itself, and what others print goes elsewhere.

    Args:
        form: ``text`` or ``json``.
    """
    stream = sys.stdout
    if form == "json":
        sys.stdout = sys.stderr
    return stream


def tell(event: str, **fields: object) -> None:
    """Print a state change of the worker itself.

    Args:
        event: what happened.
        fields: what there is to know of it; None is left out.
    """
    logger.info(event, extra={"event": event, **fields})


def log_to(stream: Stream, form: str, *, with_pid: bool, with_traces: bool = False) -> None:
    """Print from now on what the worker, its runs and the queue report.

    It is called after the user's modules were imported, so that what they set up for logging
    stays as it is, and does not print the same lines again.

    Args:
        stream: where to.
        form: ``text`` or ``json``.
        with_pid: whether lines of text name the process.
        with_traces: whether records have the ids of runs and traces.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else _TextFormatter(with_pid))
    if with_traces:
        handler.addFilter(RunIds())
    for name in ("kern", "kern.runs", "kern.worker", "pgqueuer"):
        # The user's logging.config disables by default what it does not know.
        logging.getLogger(name).disabled = False
    for name in ("kern", "pgqueuer"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).propagate = False
    for name in ("kern.runs", "kern.worker"):
        logging.getLogger(name).setLevel(logging.INFO)
    # It reports each repeated delivery with a traceback.
    logging.getLogger("pgqueuer").setLevel(logging.WARNING)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)


class _TextFormatter(logging.Formatter):
    """One line a record, and a traceback below it."""

    def __init__(self, with_pid: bool) -> None:
        super().__init__()
        self._with_pid = with_pid

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        event = fields.pop("event", None)
        words = [f"{datetime.fromtimestamp(record.created):%H:%M:%S}"]
        if self._with_pid:
            words.append(f"[{record.process}]")
        if event is None:
            words += [f"{record.levelname:10}", f"{record.name}: {record.getMessage()}"]
        else:
            words += [f"{event:10}", _describe(fields)]
        lines = [_printable(" ".join(words)).rstrip()]
        if record.exc_info:
            lines += map(_printable, self.formatException(record.exc_info).splitlines())
        return "\n".join(lines)


def _describe(fields: dict[str, object]) -> str:
    for name in _FOR_PROGRAMS:
        fields.pop(name, None)
    seconds, error = fields.pop("seconds", None), fields.pop("error", None)
    words = []
    for name, value in fields.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        words.append(f"{name.removesuffix('_id')} {text}")
    if isinstance(seconds, float):
        words.append(f"in {seconds:.2f} s")
    return " ".join(words) + (f": {error}" if error else "")


def _printable(line: str) -> str:
    """Keep what a model or a tool said from breaking the line, or the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in line)
