"""Log lines of a program: shown where it has set up nothing, and its own affair where it has."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kern.utils import log


def shown_by(code: str) -> str:
    """Return what a new interpreter writes to standard error."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stderr


def test_a_line_is_shown_where_no_logging_was_set_up() -> None:
    code = "from kern.utils.log import log_debug, log_info; log_debug('less'); log_info('more')"
    assert shown_by(code) == "INFO     more\n"


def test_the_logger_itself_is_shown_likewise() -> None:
    assert shown_by("from kern.utils.log import logger; logger.info('%s', 1)") == "INFO     1\n"


def test_lines_of_less_weight_are_shown_where_that_is_asked_for() -> None:
    code = (
        "from kern.utils.log import *; from kern.utils import log as l; l.set_log_level_to_debug()"
    )
    assert shown_by(f"{code}; l.log_debug('seen')") == "DEBUG    seen\n"
    assert shown_by(f"{code}; l.set_log_level_to_info(); l.log_debug('not')") == ""


@pytest.mark.parametrize("first", [True, False])
def test_a_program_that_has_set_up_logging_gets_each_line_once(first: bool) -> None:
    own = "import logging; logging.basicConfig(format='own %(message)s')"
    lines = ["from kern.utils import log", own]
    code = "\n".join([*(lines if first else lines[::-1]), "log.log_info('once')"])
    assert shown_by(code) == "own once\n"


def test_no_logger_of_the_program_is_changed() -> None:
    code = (
        "import logging; from kern.utils.log import log_info\n"
        "logging.getLogger('mine').info('hidden'); logging.getLogger('kern').info('hidden')\n"
        "print(logging.getLogger().handlers, logging.getLogger('kern').handlers)"
    )
    assert shown_by(code) == ""


@pytest.fixture
def _restored() -> Iterator[None]:
    """Have the loggers as before after the test."""
    own, before = logging.getLogger("kern"), log.logger
    handlers, level = own.handlers[:], own.level
    yield
    own.handlers, own.propagate = handlers, True
    own.setLevel(level)
    log.logger = before
    log._chosen.clear()


@pytest.mark.usefixtures("_restored")
def test_a_logger_of_the_program_takes_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    custom = logging.getLogger("mine")
    with caplog.at_level(logging.INFO, "mine"):
        log.configure_kern_logging(custom_default_logger=custom)
        log.log_info("from the program")
        logging.getLogger("kern.runs").info("from kern")
        logging.getLogger("kern.runs").debug("too little")
    assert [(each.name, each.getMessage()) for each in caplog.records] == [
        ("mine", "from the program"),
        ("kern.runs", "from kern"),
    ]


@pytest.mark.usefixtures("_restored")
def test_the_logger_for_agents_is_used_where_that_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    default, agents = logging.getLogger("default"), logging.getLogger("agents")
    log.configure_logging(custom_default_logger=default, custom_agent_logger=agents)
    with caplog.at_level(logging.INFO):
        log.log_warning("one")
        log.use_agent_logger()
        log.log_error("two")
        log.use_team_logger()
        log.log_info("three")
    assert [each.name for each in caplog.records] == ["default", "agents", "default"]


def test_the_traceback_of_an_error_is_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "kern.app"):
        try:
            raise LookupError("gone")
        except LookupError:
            log.log_exception("failed")
    assert "LookupError: gone" in caplog.text
