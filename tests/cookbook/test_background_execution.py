"""The scripts that users start with run unchanged, to their last line."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from kern.errors import ConfigurationError
from kern.local.postgres import EmbeddedPostgres
from kern.testing import Reply, ResponsesServer

ROOT = Path(__file__).parents[2]
ACCEPTANCE = ROOT.parent / "shared" / "acceptance" / "background_execution.py"
COOKBOOK = ROOT / "cookbook" / "02_agents" / "14_advanced" / "background_execution.py"


async def _run(script: Path, **environment: str) -> str:
    """Run a script to its end and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", str(script)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | environment,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


@pytest.fixture
async def known_port() -> AsyncIterator[None]:
    """The PostgreSQL that the script names: on port 5532, user, password and database ai."""
    with tempfile.TemporaryDirectory(prefix="kern-test-") as data:
        server = EmbeddedPostgres(Path(data), options={"fsync": "off"})
        try:
            server.start()
        except ConfigurationError:  # The port is in use: then it must be such a server.
            await (await asyncpg.connect("postgresql://ai:ai@localhost:5532/ai")).close()
        yield
        server.stop()


@pytest.fixture
def embedded_model() -> Iterator[str]:
    """The real model that kern brings, at this base URL."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("kern")), "model", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = None
    while found is None:
        line = process.stdout.readline()
        assert line, "the embedded model did not start"
        found = re.search(r"http://\S+/v1", line)
    yield found.group()
    process.terminate()
    process.wait(20)
    process.stdout.close()


@pytest.mark.skipif(not ACCEPTANCE.exists(), reason="the acceptance script is not here")
@pytest.mark.usefixtures("known_port")
async def test_the_acceptance_script_runs_unchanged(server: ResponsesServer) -> None:
    def reply(body: dict[str, object]) -> Reply:
        return Reply.hang() if "essay" in str(body["input"]) else Reply.text("Paris.")

    server.default = reply
    printed = await _run(ACCEPTANCE, OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="sk-test")
    assert "Completed! Content: Paris." in printed
    assert "Cancel result: True" in printed
    assert printed.count("Final status: CANCELLED") == 2
    assert printed.rstrip().endswith("All examples completed!")
    assert server.disconnects == 1
    assert len(server.requests) == 2


@pytest.mark.timeout(180)
async def test_the_cookbook_example_runs_on_the_real_model(
    postgres: EmbeddedPostgres, embedded_model: str
) -> None:
    printed = await _run(
        COOKBOOK,
        DATABASE_URL=postgres.url,
        OPENAI_BASE_URL=embedded_model,
        OPENAI_API_KEY="none is needed",
    )
    assert "Paris" in printed
    assert printed.rstrip().endswith("All examples completed!")
