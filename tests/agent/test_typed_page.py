"""The programs of docs/guides/structured.md do what the page says."""

import re
import runpy
from pathlib import Path

import pytest

from kern import Agent
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer

PAGE = Path(__file__).parents[2] / "docs/guides/structured.md"
READ, STREAMED, _ = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_a_typed_answer_is_printed(
    threaded_server: ResponsesServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", threaded_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "reader.py"
    program.write_text(READ)
    threaded_server.script.append(Reply.text('{"number": "R-7", "total": 119, "note": null}'))
    runpy.run_path(str(program), run_name="__main__")
    assert capsys.readouterr().out == "number='R-7' total=119.0 note=None\n"


async def test_a_value_grows_in_a_stream(
    server: ResponsesServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "story.py"
    program.write_text(STREAMED)
    tell = runpy.run_path(str(program))["tell"]
    pieces = ('{"title": "A sea", ', '"chapters": ["One", ', '"Two"]}')
    server.script.append(Reply.text(*pieces))
    model = OpenAIResponses("m", base_url=server.base_url, api_key="sk-test", max_retries=0)
    await tell(Agent("Teller", model))
    assert capsys.readouterr().out.splitlines() == ["A sea 0", "A sea 1", "A sea 2", "A sea"]
