"""The examples of docs/costs.md do what the page says."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from kern.testing import Reply, ResponsesServer, Usage

PAGE = Path(__file__).parents[2] / "docs/costs.md"

EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

# What each prints, as a regular expression.
PRINTED = [r"0\.00525\n0\.00525\n", "", r"Paris\.\nday 0\.005 2000 .*\nmonth 0\.005 2000 .*\n"]


@pytest.mark.parametrize(("example", "printed"), [*zip(EXAMPLES, PRINTED, strict=True)])
async def test_the_example_runs(
    tmp_path: Path, server: ResponsesServer, example: str, printed: str
) -> None:
    server.default = Reply.text("Paris.").counting(Usage(1000, 1000))
    (tmp_path / "example.py").write_text(example)
    variables = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "example.py"),
        cwd=tmp_path,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 0, err.decode()
    assert re.fullmatch(printed, out.decode()), out.decode()
