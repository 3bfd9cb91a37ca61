"""Servers with pages, and the browsers of those who look at them."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from pages import Browser
from runs_api import Api, ByName, agents_on
from served import served
from strangers import Stranger

from kern.agent import Agent
from kern.approval import approval
from kern.db.base import Store
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.local.postgres import EmbeddedPostgres
from kern.models.base import ModelRequest
from kern.server import create_app
from kern.server.auth.keys import Keys
from kern.server.limits import Limits
from kern.testing import FunctionModel, Reply
from kern.tools import tool

BrowserAs = Callable[..., Browser]

_TABLE = "pages"


@approval
@tool(requires_user_input=True, user_input_fields=["city", "guests"])
def reserve(nights: int, city: str, guests: list[str]) -> str:
    """Reserve rooms."""
    return f"reserved {nights} nights in {city} for {' and '.join(guests)}"


@approval
@tool(external_execution=True)
def wire(amount: int) -> str:
    """Send money."""
    raise AssertionError("it is made elsewhere")


ARGUMENTS: dict[str, dict[str, object]] = {"reserve": {"nights": 2}, "wire": {"amount": 5}}


def _tell(request: ModelRequest) -> Reply | str:
    last = request.messages[-1]
    if last.role == "tool":
        return f"The call says: {last.text}"
    return Reply.tool_calls((last.text, ARGUMENTS[last.text]))


@pytest.fixture(scope="package")
def api(postgres: EmbeddedPostgres) -> Iterator[Api]:
    """The server, on PostgreSQL."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=_TABLE)
    teller = Agent("teller", FunctionModel(_tell), db=db, tools=[reserve, wire])
    agents = [*agents_on(db, {}), teller]
    app = create_app(agents, auth=ByName(), limits=Limits(rate=None))
    with served(app) as url:
        api = Api(url, {})
        yield api
        api.close()


@pytest.fixture(scope="package")
def as_(api: Api) -> BrowserAs:
    """Return the browser of a caller: a user, its scopes and agents.

    All modules share the server, so a test that looks at whole lists has a user of its own.
    """
    return lambda *caller: Browser(api.as_(*caller))


@pytest.fixture
async def store(api: Api, postgres: EmbeddedPostgres) -> AsyncIterator[Store]:
    """The database of the server, from elsewhere."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=_TABLE)
    yield await db.store()
    await db.aclose()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> SqliteDb:
    """The database, with its keys."""
    return SqliteDb(str(tmp_path_factory.mktemp("ui") / "kern.db"))


@pytest.fixture(scope="module")
def url(keyed: SqliteDb) -> Iterator[str]:
    """Where the service is."""
    agents = [
        Agent(name, FunctionModel(lambda _: "Hello."), db=keyed) for name in ("clerk", "hidden")
    ]
    with served(create_app(agents, auth=Keys(keyed, kept=0.0))) as url:
        yield url


@pytest.fixture
def browser(url: str) -> Iterator[Stranger]:
    """A browser in which nobody has signed in."""
    found = Stranger(url)
    yield found
    found.close()


@pytest.fixture
def signed_in(browser: Stranger, keyed: SqliteDb) -> Callable[..., Stranger]:
    """Signs a user in, by the scopes of the key."""

    def sign_in(*scopes: str, user_id: str = "ada") -> Stranger:
        _, secret = keyed.create_key(user_id, scopes=scopes or ("runs",))
        assert browser.sign_in(secret).status_code == 200
        return browser

    return sign_in
