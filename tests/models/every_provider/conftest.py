"""Each provider in turn, at a server whose every request is held against the provider's SDK."""

from collections.abc import AsyncIterator

import pytest
from providers import PROVIDERS, NewModel, Provider
from shapes import check_request

from kern.models.base import Model
from kern.testing import ProtocolServer


@pytest.fixture(params=[*PROVIDERS])
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each provider in turn."""
    return PROVIDERS[request.param]


@pytest.fixture
async def server() -> AsyncIterator[ProtocolServer]:
    """A server that is asked only with what the provider's SDK knows."""
    async with ProtocolServer() as running:
        yield running
    for record in {f"{each.path} {each.body}": each for each in running.requests}.values():
        check_request(record)


@pytest.fixture
async def new_model(provider: Provider, server: ProtocolServer) -> AsyncIterator[NewModel]:
    """Make a model of the provider at the server."""
    made: list[Model] = []

    def make(**options: object) -> Model:
        made.append(provider.at(server.url, **options))
        return made[-1]

    yield make
    for model in made:
        await model.aclose()


@pytest.fixture
def model(new_model: NewModel) -> Model:
    """A model of the provider, which gives up at the first error."""
    return new_model()
