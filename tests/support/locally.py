"""The databases that need no server, for tests of what is decided above all of them."""

import pytest

LOCALLY = pytest.mark.parametrize("db", ["sqlite", "memory"], indirect=True)
LOCALLY_OR_NONE = pytest.mark.parametrize("any_db", ["none", "sqlite", "memory"], indirect=True)
