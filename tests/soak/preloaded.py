"""What the process has loaded that the workers are forked from.

A worker is born every two seconds. To start a Python, import the SDKs and have them look at their
own types takes one to two seconds of processor time, more than all else in such a short life.
"""

import asyncio
import os
from contextlib import suppress

import aiohttp
import asyncpg
import openai.resources.responses.responses
import pgqueuer.core.qm

import kern.agent.serving
import kern.db.postgres.store
import kern.webhooks.post
from kern.errors import ModelError
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.run.tool import ToolCall, ToolSchema

__all__ = ["aiohttp", "asyncpg", "kern", "openai", "pgqueuer"]


async def _call_a_model() -> None:
    """Have the SDK do once what it does at the first call of a process; nobody answers."""
    model = OpenAIResponses(base_url="http://127.0.0.1:1", api_key="none", max_retries=0)
    call = Message("assistant", None, tool_calls=[ToolCall("call", "work", "{}")])
    result = Message("tool", "done", tool_call_id="call")
    tool = ToolSchema("work", "", {"type": "object", "properties": {}})
    with suppress(ModelError):
        await model.respond(ModelRequest([Message("user", "Hi"), call, result], [tool]))


os.environ["SSL_CERT_DIR"] = os.devnull
asyncio.run(_call_a_model())
