"""A PostgreSQL and a small model from PyPI, for demonstrations and tests."""
