"""Every statement that kern sends to PostgreSQL about runs, one for each step of a run.

Statements that many runs share take arrays, an element for each run.
"""

from kern.db.postgres.names import Names
from kern.db.postgres.statements.order import Order
from kern.db.postgres.statements.reading import Reading
from kern.db.postgres.statements.steps import Steps

__all__ = ["Names", "Order", "Reading", "Steps"]
