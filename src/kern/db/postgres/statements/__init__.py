"""Every statement that kern sends to PostgreSQL about runs, one for each step of a run.

Statements that many runs share take arrays, an element for each run. Rows are locked in one order,
so that no two statements wait for each other: first runs, by id; then sessions, by id; then the
runs that wait for these, or are new.
"""

from kern.db.postgres.names import Names
from kern.db.postgres.statements.accepting import Accepting
from kern.db.postgres.statements.erasing import Erasing
from kern.db.postgres.statements.limits import Limits
from kern.db.postgres.statements.reading import Reading
from kern.db.postgres.statements.resuming import Resuming
from kern.db.postgres.statements.session_lock import SessionLock
from kern.db.postgres.statements.steps import Steps
from kern.db.postgres.statements.sweeping import Sweeping

__all__ = [
    "Accepting",
    "Erasing",
    "Limits",
    "Names",
    "Reading",
    "Resuming",
    "SessionLock",
    "Steps",
    "Sweeping",
]
