"""The fleet example runs to its last line, and says what it did."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kern.local.postgres import EmbeddedPostgres
from kern.testing import Reply, ResponsesServer

SCRIPT = Path(__file__).parents[2] / "cookbook" / "03_fleet" / "kill_a_worker.py"


@pytest.mark.timeout(240)
async def test_a_worker_is_killed_and_no_run_is_lost(
    postgres: EmbeddedPostgres, server: ResponsesServer
) -> None:
    def reply(_body: object) -> Reply:
        return Reply.text("It is old.", " It is new.").slow(delay=2)

    server.default = reply
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", str(SCRIPT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ
        | {
            "DATABASE_URL": postgres.url,
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "none",
        },
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert output.count("COMPLETED") == 8
    assert "worker 1 is gone" in output
    assert "attempt 2" in output
    assert output.rstrip().endswith("No run was lost!")
