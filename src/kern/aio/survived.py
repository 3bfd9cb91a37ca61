"""How what goes on in spite of an error is logged: never as an error."""

import logging

from kern.errors import described


def survived(
    logger: logging.Logger, error: BaseException, message: str, *arguments: object
) -> None:
    """Log an error after which everything goes on: a warning, and its traceback at DEBUG.

    Args:
        logger: where.
        error: the error.
        message: what has failed, with places for the arguments as ``%s``.
        arguments: what goes into the message.
    """
    logger.warning(f"{message}: %s", *arguments, described(error), stacklevel=2)
    logger.debug(message, *arguments, exc_info=error, stacklevel=2)
