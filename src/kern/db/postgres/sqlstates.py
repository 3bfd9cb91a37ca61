"""What PostgreSQL's error codes mean to kern: what passes by itself, and what does not.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from enum import Enum


class Meaning(Enum):
    """What to do about an error.

    ``collided``: another transaction was in the way; the same statement succeeds at once.
    ``lost``: the session is of no use any more, or its server is not; another one will be.
    ``busy``: the server cannot do it now, and will be able to later.
    ``refused``: it will never do it.
    """

    collided = "collided"
    lost = "lost"
    busy = "busy"
    refused = "refused"


_CODES = {
    "40000": Meaning.collided,  # transaction_rollback
    "40001": Meaning.collided,  # serialization_failure, also of a standby that was promoted
    "40P01": Meaning.collided,  # deadlock_detected
    "40003": Meaning.lost,  # statement_completion_unknown
    "25006": Meaning.lost,  # read_only_sql_transaction: a standby now, or a disk that fills up
    "25P03": Meaning.lost,  # idle_in_transaction_session_timeout
    "25P04": Meaning.lost,  # transaction_timeout
    "57P01": Meaning.lost,  # admin_shutdown
    "57P02": Meaning.lost,  # crash_shutdown
    "57P03": Meaning.lost,  # cannot_connect_now
    "57P04": Meaning.lost,  # database_dropped
    "57P05": Meaning.lost,  # idle_session_timeout
    "55P03": Meaning.busy,  # lock_not_available: our lock_timeout
    # query_canceled: our statement_timeout, or an administrator who cancels what blocks others.
    # Nothing but the text tells them apart, in the server's language; both pass.
    "57014": Meaning.busy,
    "58000": Meaning.busy,  # system_error
    "58030": Meaning.busy,  # io_error
}

_CLASSES = {
    "08": Meaning.lost,  # connection_exception
    "28": Meaning.lost,  # invalid_authorization_specification: a password that is being changed
    "3D": Meaning.lost,  # invalid_catalog_name: no such database
    "53": Meaning.busy,  # insufficient_resources: disk_full, out_of_memory, too_many_connections
}

# The statements that a session has prepared were prepared in another one, or by another client:
# a pooler in transaction mode hands sessions around.
POOLED = frozenset({"26000", "42P05"})

# How a server or a pooler says that a session may not ask for a setting.
SETTING_REFUSED = frozenset({"08P01", "22023", "42501", "42704", "55P02"})


def meaning(sqlstate: str) -> Meaning:
    """Return what an error with this code means."""
    return _CODES.get(sqlstate) or _CLASSES.get(sqlstate[:2]) or Meaning.refused
