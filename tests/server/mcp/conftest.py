"""One server with agents as tools, for callers whose word it takes."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from runs_api import Api, ByName, agents_on
from served import served

from kern.db.sqlite import SqliteDb
from kern.server import create_app
from kern.server.limits import Limits


@pytest.fixture(scope="module")
def gates() -> dict[str, "Future[None]"]:
    """What holds the agent ``held`` back."""
    return {}


@pytest.fixture(scope="module")
def api(
    gates: dict[str, "Future[None]"], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """The server, whose calls return a receipt after a moment."""
    db = SqliteDb(tmp_path_factory.mktemp("mcp") / "kern.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERN_MCP_WAIT", "0.4")
        patch.setenv("KERN_MCP_ANSWERS", "1")
        app = create_app(agents_on(db, gates), auth=ByName(), limits=Limits(rate=None), ui=False)
        with served(app) as url:
            api = Api(url, gates)
            yield api
            api.close()
