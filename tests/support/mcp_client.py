"""Clients of agents as tools: the official SDK's, with the key of a caller."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import StdioServerParameters, stdio_client
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import CallToolResult, TextContent
from worker_command import KERN


@asynccontextmanager
async def over_http(
    url: str, said: str = "ada;runs;", *, mode: str = "auto", **options: Any
) -> AsyncIterator[Client]:
    """Open a client of a server.

    Args:
        url: where it is.
        said: what the client says of itself; see ``ByName``.
        mode: ``"legacy"`` for the protocol until 2025.
        options: of the client.
    """
    headers = {"Authorization": f"Bearer {said}"}
    async with (
        create_mcp_http_client(headers=headers) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode, **options) as it,
    ):
        yield it


@asynccontextmanager
async def over_pipes(
    directory: Path,
    environment: Mapping[str, str],
    *arguments: str,
    mode: str = "auto",
    errors: Path | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """Open a client that starts ``kern mcp``.

    Args:
        directory: where its agents are.
        environment: its settings.
        arguments: of the command.
        mode: ``"legacy"`` for the protocol until 2025.
        errors: where its standard error goes.
        options: of the client.
    """
    params = StdioServerParameters(
        command=KERN, args=["mcp", *arguments], env={**os.environ, **environment}, cwd=directory
    )
    with (errors or Path("/dev/null")).open("w") as log:
        async with Client(stdio_client(params, errlog=log), mode=mode, **options) as client:
            yield client


def text(result: CallToolResult) -> str:
    """Return the text of a result, which has one."""
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


def about(result: CallToolResult) -> dict[str, Any]:
    """Return what a result says beside its text."""
    assert isinstance(result.structured_content, dict)
    return result.structured_content
