"""The programs of docs/guides/printing.md do what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from kern.run import get_cancellation_manager, set_cancellation_manager
from kern.testing import Reply, ResponsesServer

PAGE = Path(__file__).parents[2] / "docs/guides/printing.md"


def test_the_programs_of_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = get_cancellation_manager()
    names: dict[str, Any] = {"__name__": "__main__", "MyManager": lambda: manager}
    with ResponsesServer() as server:
        server.default = Reply.text("A **heat** pump.")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk")
        for text in re.findall(
            r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
        ):
            exec(compile(text, str(PAGE), "exec"), names)
    set_cancellation_manager(None)
    shown = capsys.readouterr().out
    assert shown.count("A heat pump.") == 2
    assert shown.count("A **heat** pump.") == 1
    assert "Compare heat pumps and gas heating." in shown
