"""One service for the tests of a file: agents behind HTTP, and the model behind them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from api import DELETED, WEATHER, Served, delete, look_up, service

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.guardrails import PIIDetectionGuardrail
from kern.models.openai import OpenAIResponses
from kern.testing import ProtocolServer


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
        Agent("Masking", model, db=db, pre_hooks=[PIIDetectionGuardrail(mask_pii=True)]),
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
