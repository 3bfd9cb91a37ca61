"""What the driver's errors mean, said in terms of kern."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from kern.db.postgres.sqlstates import Meaning, meaning
from kern.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    KernError,
    OutcomeUnknownError,
)

# What the driver raises. It calls it a fault of its own where the server has said that it goes
# away before the statement was sent.
DRIVER_ERRORS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

# The server has not said whether it did what it was asked: the connection broke, it crashed, or
# it does not know itself.
_UNKNOWN = frozenset({"08000", "08003", "08006", "08007", "40003", "57P02"})

_HINTS = {
    "28": "Correct the user and password in db_url.",
    "3D": "Create it, or correct db_url.",
    "53300": "Raise its max_connections, or lower pool_size.",
    "53100": "Free space on its disk.",
    "25006": "It is a standby, or was made read-only.",
}


@contextmanager
def reporting(address: str, *, sent: bool = False) -> Iterator[None]:
    """Turn the driver's errors into kern's, which say where the database is and what to do.

    Args:
        address: where the database is.
        sent: whether statements are sent, so that a lost connection leaves open what they did.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise _translated(error, address, sent) from error


def sqlstate(error: BaseException | None) -> str:
    """Return PostgreSQL's code for an error, also for one of kern's that was made of it."""
    if isinstance(error, DatabaseError):
        error = error.__cause__
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def is_lost(error: BaseException) -> bool:
    """Say whether the connection on which this happened is of no use any more."""
    if code := sqlstate(error):
        return meaning(code) is Meaning.lost
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    return not isinstance(cause, Exception) or isinstance(cause, DRIVER_ERRORS)


def _translated(error: Exception, address: str, sent: bool) -> KernError:
    where = f"PostgreSQL at {address}"
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return ConfigurationError(f"db_url cannot be used: {error}")
    if isinstance(error, asyncpg.PostgresError):
        return _answered(error, where, address, sent)
    if isinstance(error, asyncpg.InterfaceError) and not _is_gone(error):
        return DatabaseError(f"{where} refused: {error}")
    reason = _reason(error)
    if sent and isinstance(error, OSError):
        return _unknown(where, address, reason)
    return _unreachable(where, address, reason)


def _reason(error: Exception) -> str:
    """Return why a server could not be reached, which is never empty."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "it is read-only, or a standby"
    return str(error) or type(error).__name__


def _answered(error: asyncpg.PostgresError, where: str, address: str, sent: bool) -> KernError:
    """Return what the server has said, or what the driver says in its place."""
    code = sqlstate(error)
    known = meaning(code)
    if sent and code in _UNKNOWN:
        return _unknown(where, address, str(error))
    hint = _HINTS.get(code) or _HINTS.get(code[:2])
    if hint is None and known is Meaning.lost:
        return _unreachable(where, address, str(error))
    if known is Meaning.refused:
        return DatabaseError(f"{where} refused: {error}")
    said = f"{where} cannot do it now: {error}."
    return DatabaseUnavailableError(f"{said} {hint}" if hint else said, address=address)


def _unreachable(where: str, address: str, reason: str) -> KernError:
    return DatabaseUnavailableError(
        f"{where} cannot be reached: {reason}. Start it, or correct db_url; `kern db up` starts "
        "one on port 5532 of this machine.",
        address=address,
    )


def _unknown(where: str, address: str, reason: str) -> KernError:
    return OutcomeUnknownError(
        f"{where} was lost before it answered: {reason}. Whether it has done what it was asked "
        "is not known: look, or ask again with the same id.",
        address=address,
    )


def _is_gone(error: asyncpg.InterfaceError) -> bool:
    """Say whether a connection was lost between two statements, of which only the text tells."""
    return any(
        words in str(error) for words in ("connection is closed", "released back", "in progress")
    )
