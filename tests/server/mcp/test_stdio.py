"""The pipes of a client that does not close them in good order."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import NamedTuple

import pytest

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.server.mcp.stdio import serve_stdio
from kern.testing import ScriptedModel

FIRST = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Pipes(NamedTuple):
    """The client's ends."""

    to_server: int
    from_server: int

    def send(self, number: int, method: str, **params: object) -> None:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        os.write(self.to_server, json.dumps(message).encode() + b"\n")


@contextmanager
def pipes() -> Iterator[Pipes]:
    """Have pipes in the place of the standard ones, within this block."""
    (read, to_server), (from_server, write) = os.pipe(), os.pipe()
    own_in, own_out = os.fdopen(read), os.fdopen(write, "w")
    # Not for all of a test: pytest has its own for each phase of it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", own_in)
        patch.setattr(sys, "stdout", own_out)
        yield Pipes(to_server, from_server)
    own_in.close()
    with suppress(BrokenPipeError):  # Of what it has said nobody has read the end.
        own_out.close()


async def told(client: Pipes) -> bytes:
    """Return what the server says next."""
    assert any(await asyncio.to_thread(select, [client.from_server], [], [], 20))
    return os.read(client.from_server, 65_536)


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent("Tester", ScriptedModel([]), db=SqliteDb(tmp_path / "kern.db"))


async def test_it_ends_when_nobody_reads_what_it_says(agent: Agent) -> None:
    with pipes() as client:
        serving = asyncio.create_task(serve_stdio([agent], worker=False))
        client.send(1, "initialize", **FIRST)
        assert b"serverInfo" in await told(client)
        os.close(client.from_server)
        client.send(2, "ping")
        ended, _ = await asyncio.wait({serving}, timeout=10)  # The other pipe is open yet.
        os.close(client.to_server)
        await serving
    assert ended


async def test_a_request_that_cannot_be_read_is_answered(agent: Agent) -> None:
    with pipes() as client:
        serving = asyncio.create_task(serve_stdio([agent], worker=False))
        client.send(1, "initialize", **FIRST)
        assert b"serverInfo" in await told(client)
        os.write(client.to_server, b"nonsense\n[]\n{}\n" + b"[" * 50_000 + b"\n")
        # As JavaScript writes a text that was cut within an emoji.
        client.send(2, "tools/call", name="tester", arguments={"input": "\ud83d"})
        answer = json.loads(await told(client))
        assert (answer["id"], answer["error"]["code"]) == (2, -32700)
        client.send(3, "ping")
        assert json.loads(await told(client))["id"] == 3
        os.close(client.to_server)
        await asyncio.wait_for(serving, 10)
        os.close(client.from_server)
