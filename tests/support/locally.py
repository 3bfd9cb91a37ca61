"""The databases for tests of what is decided above all of them: those without a server by day."""

import pytest

_POSTGRES = pytest.param("postgres", marks=pytest.mark.nightly)
LOCALLY = pytest.mark.parametrize("db", ["sqlite", "memory", _POSTGRES], indirect=True)
ANY_LOCALLY = pytest.mark.parametrize("any_db", ["sqlite", "memory", _POSTGRES], indirect=True)
LOCALLY_OR_NONE = pytest.mark.parametrize(
    "any_db", ["none", "sqlite", "memory", _POSTGRES], indirect=True
)
