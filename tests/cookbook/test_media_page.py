"""The programs of docs/guides/media.md do what the page says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from media import encoded, png

from kern.media import Image
from kern.testing import ProtocolServer, Reply

PAGE = Path(__file__).parents[2] / "docs/guides/media.md"


@pytest.fixture
def programs(
    server: ProtocolServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """The page's programs, imported beside a chart, with the server as their models."""
    monkeypatch.chdir(tmp_path)
    Path("chart.png").write_bytes(png(1))
    for name, value in {
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "sk",
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": "sk",
        "GOOGLE_GEMINI_BASE_URL": server.url,
        "GEMINI_API_KEY": "sk",
    }.items():
        monkeypatch.setenv(name, value)
    found = []
    for text in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(text, str(PAGE), "exec"), names)
        found.append(names)
    return found


async def test_what_a_run_is_given(
    programs: list[dict[str, Any]], server: ProtocolServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script.append(Reply.text("Sales rise."))
    await programs[0]["main"]()
    assert capsys.readouterr().out == "Sales rise.\n"
    body = json.dumps(server.requests[0].body)
    assert encoded(png(1)) in body
    assert "https://example.com/map.png" in body


async def test_what_a_run_has_made(programs: list[dict[str, Any]], server: ProtocolServer) -> None:
    drawing = {"inlineData": {"mimeType": "image/png", "data": encoded(png(2))}}
    server.script += [Reply.output(drawing)] * 2
    painter = programs[1]["painter"]
    await painter.model.prepare()
    assert await programs[1]["draw"]() == png(2)
    run = await painter.arun("Draw.")
    assert await programs[1]["load"](run.run_id) == png(2)


async def test_tools_that_make_and_take_media(
    programs: list[dict[str, Any]], server: ProtocolServer
) -> None:
    agent = programs[2]["agent"]
    await agent.model.prepare()
    server.script.append(Reply.tool_calls(("plot", {"title": "Sales"}), ("compare", {})))
    output = await agent.arun("Compare.", images=[Image(content=png(3))])
    assert output.tools[1].result == "Their sizes: 4908."
    body = json.dumps(server.requests[1].body)
    assert encoded(png(1)) in body
    assert body.count(encoded(png(3))) == 2
