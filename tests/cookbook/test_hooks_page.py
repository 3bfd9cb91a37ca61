"""The program of docs/guides/hooks.md does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from kern.aio.tasks import outlived
from kern.exceptions import CheckTrigger, InputCheckError
from kern.testing import ScriptedModel

PAGE = Path(__file__).parents[2] / "docs/guides/hooks.md"


@pytest.fixture
def page() -> dict[str, Any]:
    """The page's program, imported."""
    [text] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, str(PAGE), "exec"), names)
    return names


async def test_hooks_mask_refuse_change_and_note(
    page: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    agent = page["agent"]
    model = ScriptedModel(["Paris."])
    with agent.override(model=model):
        run = await agent.arun("I am ann@example.com. What is the capital?", user_id="ada")
        await outlived(10)
        with pytest.raises(InputCheckError) as refused:
            await agent.arun("Do my homework.")
    asked = model.requests[0].messages[-1].text
    assert asked == "I am ***************. What is the capital? Answer in one sentence."
    assert run.content == "Paris. (Tutor)"
    assert capsys.readouterr().out == "noted ada Paris. (Tutor)\n"
    assert refused.value.check_trigger is CheckTrigger.OFF_TOPIC
    assert len(model.requests) == 1
