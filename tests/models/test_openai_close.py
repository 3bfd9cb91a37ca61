"""Closing a model: its connections of this loop are closed, and it can be used again."""

import asyncio
import gc

import pytest
from asking import Ask, NewModel

from kern.agent import Agent
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.testing import ResponsesServer


async def no_connection(server: ResponsesServer) -> None:
    """Wait until the server has none."""
    async with asyncio.timeout(10):
        while server.connections:  # noqa: ASYNC110 # the server tells nobody of idle ones
            await asyncio.sleep(0.01)


async def test_a_model_that_is_closed_has_no_connection_and_opens_others(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    await model.aclose()  # It has none yet.
    async with model:
        await ask(model, "Hi")
        assert server.connections
    await no_connection(server)
    await ask(model, "Hi")
    assert server.connections
    await model.aclose()
    await no_connection(server)


async def test_what_synchronous_code_has_opened_is_closed_by_close(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def synchronous() -> None:
        with model:
            assert Agent("Tester", model).run("Hi").content == "Hello."

    await asyncio.to_thread(synchronous)
    await no_connection(server)


async def test_close_does_not_block_the_loop_that_it_would_wait_for(
    model: OpenAIResponses, ask: Ask
) -> None:
    await ask(model, "Hi")
    with pytest.raises(ConfigurationError, match="await aclose"):
        model.close()


async def test_models_that_are_made_for_each_call_leave_no_connections_behind(
    new_model: NewModel, server: ResponsesServer
) -> None:
    for _ in range(5):
        model = OpenAIResponses("test-model", base_url=server.base_url, api_key="sk-test")
        await Agent("Tester", model).arun("Hi")
    del model
    gc.collect()
    await no_connection(server)
