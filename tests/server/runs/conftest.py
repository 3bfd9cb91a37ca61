"""One server for the runs API, and its clients."""

from collections.abc import Iterator
from concurrent.futures import Future

import httpx
import pytest
from runs_api import Api, ByName, agents_on, ended
from served import served

from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.server import create_app
from kern.server.limits import Limits


@pytest.fixture(scope="module")
def gates() -> dict[str, "Future[None]"]:
    """What holds the agent ``held`` back."""
    return {}


@pytest.fixture(scope="module")
def api(
    postgres: EmbeddedPostgres, gates: dict[str, "Future[None]"], request: pytest.FixtureRequest
) -> Iterator[Api]:
    """The server, on PostgreSQL."""
    table = request.module.__name__.rpartition(".")[2][:30]
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=table)
    app = create_app(agents_on(db, gates), auth=ByName(), limits=Limits(rate=None))
    with served(app) as url:
        api = Api(url, gates)
        yield api
        api.close()


@pytest.fixture(scope="module")
def done(api: Api) -> str:
    """A run of Ada's that has ended."""
    return str(ended(api.as_("ada"))["run_id"])


@pytest.fixture
def ada(api: Api) -> httpx.Client:
    """A user's client."""
    return api.as_("ada")


@pytest.fixture
def bob(api: Api) -> httpx.Client:
    """Another user's client."""
    return api.as_("bob")
