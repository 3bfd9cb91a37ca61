"""The programs of docs/guides/service.md do what the page says, against a real service."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from api import service

from kern.models.openai import OpenAIResponses
from kern.testing import ProtocolServer, Reply

PAGE = Path(__file__).parents[2] / "docs/guides/service.md"

SAYS = [
    Reply.text("Paris."),
    Reply.text("It grows."),
    Reply.text("Heat ", "pumps ", "heat.").slow(pause=0.2),
    Reply.text("Hello, Ada."),
    Reply.text("Your name is Ada."),
    Reply.text("Hello."),
    Reply.text("Ada."),
    Reply.tool_calls(("get_price", {"article": "hat"})),
    Reply.text("A hat costs 5 euros."),
    Reply.tool_calls(("refund", {"order": "7", "amount": 5})),
    Reply.text("Refunded."),
    Reply.text("Paris again."),
]


def test_the_programs_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    agents, *programs, mounted = blocks
    monkeypatch.chdir(tmp_path)
    app = ModuleType("app")
    with ProtocolServer(SAYS) as server:
        vars(app)["MODEL"] = OpenAIResponses("m", base_url=server.base_url, api_key="sk")
        exec(agents.replace('"openai:gpt-5.4"', "MODEL"), vars(app))
        with service(vars(app)["agents"]) as url:
            said: dict[str, Any] = {"time": SimpleNamespace(sleep=_soon(time.sleep))}
            for program in programs:
                exec(program.replace("http://127.0.0.1:8000", url), said)
    assert not server.script
    assert capsys.readouterr().out.splitlines() == [
        "Paris.",
        "It grows.",
        "pumps heat.Your name is Ada.",
        "message user",
        "message assistant",
        "message user",
        "message assistant",
        "A hat costs 5 euros.",
        'refund {"order": "7", "amount": 5}',
        "Refunded.",
        "Paris again.",
    ]
    monkeypatch.setitem(__import__("sys").modules, "app", app)
    exec(mounted, {})


def _soon(sleep: Callable[[float], None]) -> Callable[[float], None]:
    return lambda seconds: sleep(seconds / 50)
