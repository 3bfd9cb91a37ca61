"""Models at the test's server, and the two ways to ask them."""

from typing import Any

import pytest
import trustme
from asking import Ask, NewModel, ask_for_a_stream, ask_for_the_whole

from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.testing import ResponsesServer

_OF_BOTH_PROTOCOLS = ("close", "connection", "key", "retries", "timeout")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what does not depend on the protocol with both."""
    if (
        metafunc.module.__name__.rpartition("_")[2] in _OF_BOTH_PROTOCOLS
        and "model_class" in metafunc.fixturenames
    ):
        metafunc.parametrize("model_class", [OpenAIResponses, OpenAIChat])


@pytest.fixture(scope="session")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(autouse=True)
def _one_certificate(_authority: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Google's SDK read one certificate, in place of its own file, thrice for each client."""
    monkeypatch.setenv("SSL_CERT_FILE", _authority)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a call repeated at once, where its provider does not say when."""
    monkeypatch.setattr("kern.models.retries._FIRST", 0.01)


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask a model for its answer, at once and piece by piece in turn."""
    return ask_for_the_whole if request.param == "whole" else ask_for_a_stream


@pytest.fixture
def model_class(request: pytest.FixtureRequest) -> type[Any]:
    """The model's class: by its protocol."""
    return OpenAIChat if "test_chat" in request.module.__name__ else OpenAIResponses


@pytest.fixture
def new_model(server: ResponsesServer, model_class: type[Any]) -> NewModel:
    """Make a model at the server, which gives up at the first error unless told otherwise."""
    # Kept for as long as the event loop, which closes their connections at its end.
    models: list[OpenAIResponses] = []

    def make(**options: object) -> OpenAIResponses:
        usual = {"base_url": server.base_url, "api_key": "sk-test", "max_retries": 0}
        models.append(model_class("test-model", **(usual | options)))
        return models[-1]

    return make


@pytest.fixture
def model(new_model: NewModel) -> OpenAIResponses:
    """A model at the server, which gives up at the first error."""
    return new_model()


@pytest.fixture
def chat(new_model: NewModel) -> OpenAIResponses:
    """A model that is asked by Chat Completions."""
    return new_model()
