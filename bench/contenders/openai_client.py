"""The one client that a contender makes its calls with."""

from typing import Any

from openai import DEFAULT_CONNECTION_LIMITS, AsyncOpenAI, DefaultAsyncHttpxClient

from bench.contenders.contender import Setting

MODEL = "gpt-5-mini"


def limits(setting: Setting) -> Any:
    """Return limits that let a client hold, and keep, as many connections as needed."""
    # The class of the limits depends on the SDK's version.
    return type(DEFAULT_CONNECTION_LIMITS)(
        max_connections=setting.connections, max_keepalive_connections=setting.connections
    )


def open_client(setting: Setting) -> AsyncOpenAI:
    """Return a client of the stand-in."""
    http_client = DefaultAsyncHttpxClient(limits=limits(setting))
    return AsyncOpenAI(api_key="none", base_url=setting.model, http_client=http_client)
