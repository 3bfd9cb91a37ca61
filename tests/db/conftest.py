"""What the tests of the databases share."""

import pytest

from kern.db.base import Store
from kern.db.database import Database


@pytest.fixture
async def store(db: Database) -> Store:
    """Each kind of database in turn, open and empty."""
    return await db.store()
