"""Agents with and without a database, and a server for code that has no event loop."""

from collections.abc import Iterator

import pytest

from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.models.openai import OpenAIResponses
from kern.testing import ResponsesServer


@pytest.fixture(params=["none", "postgres", "sqlite", "memory"])
def any_db(request: pytest.FixtureRequest) -> Database | None:
    """No database, and each kind of database in turn."""
    if request.param == "none":
        return None
    if request.param == "memory":
        return InMemoryDb()
    found: Database = request.getfixturevalue(f"{request.param}_db")
    return found


@pytest.fixture
def threaded_server() -> Iterator[ResponsesServer]:
    """A server that answers while the test blocks its thread."""
    with ResponsesServer() as server:
        yield server


@pytest.fixture
def threaded_model(threaded_server: ResponsesServer) -> OpenAIResponses:
    """A model at that server, which gives up at the first error."""
    url = threaded_server.base_url
    return OpenAIResponses("test-model", base_url=url, api_key="sk-test", max_retries=0)
