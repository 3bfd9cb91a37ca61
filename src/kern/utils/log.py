"""A program's own log lines, under the path that users know: ``log_info("...")``.

They go to the logger ``kern.app``. Where the program has set up logging, they are records as all
others are. Where it has not, this module, which it has imported, shows them on standard error from
INFO on; and nothing else: the loggers of the program and of other libraries stay as they are.
"""

import logging
import sys
from typing import Any

from typing_extensions import override

_OWN = "kern.app"

_FORM = "%(levelname)-8s %(message)s"


class _UnlessSetUp(logging.Handler):
    """Shows records on standard error, unless the program has handlers that get them."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        parent: logging.Logger | None = logging.getLogger(record.name)
        while parent is not None:
            if any(not isinstance(each, _UnlessSetUp) for each in parent.handlers):
                return
            parent = parent.parent if parent.propagate else None
        try:
            print(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


class _Forward(logging.Handler):
    """Hands records on to a logger of the program."""

    def __init__(self, to: logging.Logger) -> None:
        super().__init__()
        self.to = to

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on."""
        if self.to.isEnabledFor(record.levelno):
            self.to.handle(record)


def shown(name: str, level: int) -> logging.Logger:
    """Return a logger whose records are shown on standard error, unless the program has set it up.

    Args:
        name: its name.
        level: the level from which on they are shown; a level that it has is kept.
    """
    found = logging.getLogger(name)
    if not any(isinstance(each, _UnlessSetUp) for each in found.handlers):
        handler = _UnlessSetUp()
        handler.setFormatter(logging.Formatter(_FORM))
        found.addHandler(handler)
        if found.level == logging.NOTSET:
            found.setLevel(level)
    return found


logger = shown(_OWN, logging.INFO)
"""Where the functions of this module write, unless :func:`configure_kern_logging` has another."""

_chosen: dict[str, logging.Logger] = {}


def log_debug(msg: object, *args: object, log_level: int = 1, **kwargs: Any) -> None:
    """Write a line at the level DEBUG; ``msg % args`` is its text, as in :mod:`logging`.

    Args:
        msg: the text.
        *args: what is filled into it.
        log_level: changes nothing.
        **kwargs: as of :meth:`logging.Logger.debug`, likewise for the other levels.
    """
    logger.debug(msg, *args, **kwargs)


def log_info(msg: object, *args: object, **kwargs: Any) -> None:
    """Write a line at the level INFO; see :func:`log_debug`."""
    logger.info(msg, *args, **kwargs)


def log_warning(msg: object, *args: object, **kwargs: Any) -> None:
    """Write a line at the level WARNING; see :func:`log_debug`."""
    logger.warning(msg, *args, **kwargs)


def log_error(msg: object, *args: object, **kwargs: Any) -> None:
    """Write a line at the level ERROR; see :func:`log_debug`."""
    logger.error(msg, *args, **kwargs)


def log_exception(msg: object, *args: object, **kwargs: Any) -> None:
    """Write a line at the level ERROR, with the traceback of the error that is being handled."""
    logger.exception(msg, *args, **kwargs)


def set_log_level_to_debug(source_type: str | None = None, level: int = 1) -> None:
    """Write lines from the level DEBUG on.

    Args:
        source_type: changes nothing, as the next.
        level: see there.
    """
    logger.setLevel(logging.DEBUG)


def set_log_level_to_info(source_type: str | None = None) -> None:
    """Write lines from the level INFO on.

    Args:
        source_type: changes nothing.
    """
    logger.setLevel(logging.INFO)


def use_default_logger() -> None:
    """Write to the default logger."""
    _use("default")


def use_agent_logger() -> None:
    """Write to the logger for agents, where :func:`configure_kern_logging` was given one."""
    _use("agent")


def use_team_logger() -> None:
    """Write to the logger for teams, where there is one."""
    _use("team")


def use_workflow_logger() -> None:
    """Write to the logger for workflows, where there is one."""
    _use("workflow")


def configure_kern_logging(
    custom_default_logger: logging.Logger | None = None,
    custom_agent_logger: logging.Logger | None = None,
    custom_team_logger: logging.Logger | None = None,
    custom_workflow_logger: logging.Logger | None = None,
) -> None:
    """Have loggers of the program take what is logged, kern's own records among it.

    Args:
        custom_default_logger: takes what this module's functions write, and what kern logs; its
            level decides what.
        custom_agent_logger: takes what the functions write after :func:`use_agent_logger`; kern's
            records, too, where there is no default one.
        custom_team_logger: the same after :func:`use_team_logger`.
        custom_workflow_logger: the same after :func:`use_workflow_logger`.
    """
    given = {
        "default": custom_default_logger,
        "agent": custom_agent_logger,
        "team": custom_team_logger,
        "workflow": custom_workflow_logger,
    }
    _chosen.update((kind, each) for kind, each in given.items() if each is not None)
    takes = custom_default_logger or custom_agent_logger
    if takes is None:
        return
    _use("default" if custom_default_logger is not None else "agent")
    own = logging.getLogger("kern")
    own.handlers = [each for each in own.handlers if not isinstance(each, _Forward)]
    if takes is not own and not takes.name.startswith("kern."):
        own.addHandler(_Forward(takes))
        own.propagate = False  # Else its records would be there twice.
        own.setLevel(takes.getEffectiveLevel())


configure_logging = configure_kern_logging


def _use(kind: str) -> None:
    global logger
    logger = _chosen.get(kind) or _chosen.get("default") or logging.getLogger(_OWN)
