"""Servers with pages, and the browsers of those who look at them."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from browser import Browser as KeyBrowser
from pages import Browser
from runs_api import Api, ByName, agents_on
from served import served

from kern.agent import Agent
from kern.db.base import Store
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.local.postgres import EmbeddedPostgres
from kern.server import create_app
from kern.server.auth.keys import Keys
from kern.server.limits import Limits
from kern.testing import FunctionModel

BrowserAs = Callable[..., Browser]

_TABLE = "pages"


@pytest.fixture(scope="package")
def api(postgres: EmbeddedPostgres) -> Iterator[Api]:
    """The server, on PostgreSQL."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=_TABLE)
    app = create_app(agents_on(db, {}), auth=ByName(), limits=Limits(rate=None))
    with served(app) as url:
        api = Api(url, {})
        yield api
        api.close()


@pytest.fixture(scope="package")
def as_(api: Api) -> BrowserAs:
    """Return the browser of a caller: a user, its scopes and agents."""
    return lambda *caller: Browser(api.as_(*caller))


@pytest.fixture
async def store(api: Api, postgres: EmbeddedPostgres) -> AsyncIterator[Store]:
    """The database of the server, from elsewhere."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=_TABLE)
    yield await db.store()
    await db.aclose()


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> SqliteDb:
    """The database, with its keys."""
    return SqliteDb(str(tmp_path_factory.mktemp("ui") / "kern.db"))


@pytest.fixture(scope="module")
def url(db: SqliteDb) -> Iterator[str]:
    """Where the service is."""
    agents = [Agent(name, FunctionModel(lambda _: "Hello."), db=db) for name in ("clerk", "hidden")]
    with served(create_app(agents, auth=Keys(db, kept=0.0))) as url:
        yield url


@pytest.fixture
def browser(url: str) -> Iterator[KeyBrowser]:
    """A browser in which nobody has signed in."""
    found = KeyBrowser(url)
    yield found
    found.close()


@pytest.fixture
def signed_in(browser: KeyBrowser, db: SqliteDb) -> Callable[..., KeyBrowser]:
    """Signs a user in, by the scopes of the key."""

    def sign_in(*scopes: str, user_id: str = "ada") -> KeyBrowser:
        _, secret = db.create_key(user_id, scopes=scopes or ("runs",))
        assert browser.sign_in(secret).status_code == 200
        return browser

    return sign_in
