"""Models at the test's server, and the two ways to ask them."""

import pytest
from asking import Ask, NewModel, ask_for_a_stream, ask_for_the_whole

from kern.models.openai import OpenAIResponses
from kern.testing import ResponsesServer


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask a model for its answer, at once and piece by piece in turn."""
    return ask_for_the_whole if request.param == "whole" else ask_for_a_stream


@pytest.fixture
def new_model(server: ResponsesServer) -> NewModel:
    """Make a model at the server, which gives up at the first error unless told otherwise."""
    # Kept for as long as the event loop, which closes their connections at its end.
    models: list[OpenAIResponses] = []

    def make(**options: object) -> OpenAIResponses:
        usual = {"base_url": server.base_url, "api_key": "sk-test", "max_retries": 0}
        models.append(OpenAIResponses("test-model", **(usual | options)))  # type: ignore[arg-type]
        return models[-1]

    return make
