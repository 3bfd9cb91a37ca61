"""One service whose callers have keys, and their browsers."""

from collections.abc import Callable, Iterator

import pytest
from browser import Browser
from served import served

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.server import create_app
from kern.server.auth.keys import Keys
from kern.testing import FunctionModel


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
def browser(url: str) -> Iterator[Browser]:
    """A browser in which nobody has signed in."""
    found = Browser(url)
    yield found
    found.close()


@pytest.fixture
def signed_in(browser: Browser, db: SqliteDb) -> Callable[..., Browser]:
    """Signs a user in, by the scopes of the key."""

    def sign_in(*scopes: str, user_id: str = "ada") -> Browser:
        _, secret = db.create_key(user_id, scopes=scopes or ("runs",))
        assert browser.sign_in(secret).status_code == 200
        return browser

    return sign_in
