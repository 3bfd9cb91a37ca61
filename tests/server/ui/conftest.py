"""One server with pages, and the browsers of those who look at them."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from pages import Browser
from runs_api import Api, ByName, agents_on
from served import served

from kern.db.base import Store
from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.server import create_app
from kern.server.limits import Limits

BrowserAs = Callable[..., Browser]


@pytest.fixture(scope="module")
def table_of_module(request: pytest.FixtureRequest) -> str:
    """The session table of all tests of a module."""
    return f"ui_{request.module.__name__.rpartition('.')[2][:30]}"


@pytest.fixture(scope="module")
def api(postgres: EmbeddedPostgres, table_of_module: str) -> Iterator[Api]:
    """The server, on PostgreSQL."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=table_of_module)
    app = create_app(agents_on(db, {}), auth=ByName(), limits=Limits(rate=None))
    with served(app) as url:
        api = Api(url, {})
        yield api
        api.close()


@pytest.fixture(scope="module")
def as_(api: Api) -> BrowserAs:
    """Return the browser of a caller: a user, its scopes and agents."""
    return lambda *caller: Browser(api.as_(*caller))


@pytest.fixture
async def store(api: Api, postgres: EmbeddedPostgres, table_of_module: str) -> AsyncIterator[Store]:
    """The database of the server, from elsewhere."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=table_of_module)
    yield await db.store()
    await db.aclose()
