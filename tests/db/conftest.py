"""What the tests of the databases share."""

import pytest

from kern.db.base import Database, Store


@pytest.fixture
async def store(db: Database) -> Store:
    """Each kind of database in turn, open and empty."""
    return await db.store()
