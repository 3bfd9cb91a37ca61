"""One service for the tests of a file: agents behind HTTP, and the model behind them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import openai
import pytest
from api import service

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.testing import ProtocolServer, Reply
from kern.tools import tool

WEATHER: list[str] = []
"""The cities that were looked up, by the agent's own tool."""

DELETED: list[str] = []
"""What was deleted, by the agent's own tool."""


@tool
def look_up(city: str) -> str:
    """Look the weather up."""
    WEATHER.append(city)
    return f"sunny in {city}"


@tool(requires_confirmation=True)
def delete(path: str) -> str:
    """Delete a file."""
    DELETED.append(path)
    return f"{path} is gone"


class Served(NamedTuple):
    """A service, and the model that answers its agents.

    Attributes:
        url: where the service is.
        says: the model: its script is what it says next.
        client: the official client.
        http: a client that sends what it is told.
    """

    url: str
    says: ProtocolServer
    client: openai.OpenAI
    http: httpx.Client

    def script(self, *replies: Reply | str) -> None:
        """Have the model say these next."""
        self.says.script.extend(
            Reply.text(each) if isinstance(each, str) else each for each in replies
        )

    def told(self) -> list[Any]:
        """Return what the model was told last."""
        found: list[Any] = self.says.requests[-1].body["input"]
        return found


@pytest.fixture(scope="module")
def _model() -> Iterator[ProtocolServer]:
    with ProtocolServer() as server:
        yield server


@pytest.fixture(scope="module")
def _served(_model: ProtocolServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path: Path = tmp_path_factory.mktemp("service") / "kern.db"
    db = SqliteDb(path)
    model = OpenAIResponses("test-model", base_url=_model.base_url, api_key="sk", max_retries=0)
    agents = [
        Agent("Plain", model, db=db),
        Agent("Other", model, db=db, instructions="Be brief."),
        Agent("Tools", model, db=db, tools=[look_up]),
        Agent("Careful", model, db=db, tools=[delete]),
        Agent("Forgetful", model, db=db, add_history_to_context=True, num_history_runs=1),
    ]
    with service(agents) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30)
        with client, httpx.Client(base_url=f"{url}/v1", timeout=30) as http:
            yield Served(url, _model, client, http)


@pytest.fixture
def served(_served: Served) -> Served:
    """The service, with a model that has nothing left to say, and nobody's calls on record."""
    _served.says.script.clear()
    WEATHER.clear()
    DELETED.clear()
    return _served
