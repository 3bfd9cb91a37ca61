"""What ``module:attribute`` finds, and what it says where it finds nothing."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.cli.worker.target import load_agents
from kern.errors import ConfigurationError

MODULES = {
    "good.py": """
from kern.agent import Agent
from kern.models.openai import OpenAIResponses

first = Agent("First", OpenAIResponses("m"))
second = Agent("Second", OpenAIResponses("m"))
agents, pair = [first, second], (second, first)
empty, mixed, number = [], [first, 3], 3

class Nested:
    agent = first
""",
    "incomplete.py": "import missing_dependency",
    "broken.py": "def up():\n    return 1 / 0\n\nup()",
    "ending.py": "raise SystemExit(3)",
    "barren.py": "",
    **{
        f"begins_{number}.py": f"""
import asyncio
from kern import Agent, InMemoryDb
from kern.models.openai import OpenAIResponses

agent = Agent("First", OpenAIResponses("m", api_key="none"), db=InMemoryDb())

async def main():
    await agent.arun("Hi", background=True)

{begin}
"""
        for number, begin in enumerate(
            [
                "agent.run('Hi')",
                "agent.run('Hi', background=True)",
                "next(agent.run('Hi', stream=True))",
                "agent.print_response('Hi')",
                "asyncio.run(main())",
            ]
        )
    },
    "package/__init__.py": "",
    "package/inner.py": "from good import agents",
}


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A directory with modules to load, which are forgotten afterwards."""
    for name, content in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = {*sys.modules}
    yield
    for name in {*sys.modules} - known:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("targets", "ids"),
    [
        (["good:first"], ["first"]),
        (["good:agents"], ["first", "second"]),
        (["good:pair", "good:first"], ["second", "first"]),
        (["good:Nested.agent"], ["first"]),
        (["package.inner:agents"], ["first", "second"]),
    ],
)
def test_a_target_names_agents(targets: list[str], ids: list[str]) -> None:
    assert [agent.id for agent in load_agents(targets)] == ids


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("good", "Write module:attribute"),
        (":agents", "Write module:attribute"),
        ("good:", "Write module:attribute"),
        ("package/inner.py:agents", "Write package.inner:agents."),
        ("good.py:agents", "Write good:agents."),
        ("nothing:agents", "no module named 'nothing'"),
        ("package.nothing:agents", "no module named 'package.nothing'"),
        ("good:agent", "'good' has no 'agent'. Its agents are good:first, good:second, good:a"),
        ("barren:agents", "'barren' has no 'agents'. There are no agents in it."),
        ("good:number", "of type int"),
        ("good:Nested", "of type type"),
        ("good:mixed", "something of type int"),
        ("good:empty", "is empty"),
    ],
)
def test_a_bad_target_is_explained(target: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_agents([target])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", range(5))
def test_a_module_that_begins_a_run_is_told_how_to_leave_that_to_scripts(number: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_agents([f"begins_{number}:agent"])
    assert str(caught.value).endswith(
        f"The module 'begins_{number}' begins a run where it is imported, and so would every "
        'process that imports it. Put that under: if __name__ == "__main__":'
    )
    assert f"begins_{number}.py" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "line", "error"),
    [
        ("incomplete:a", 1, "ModuleNotFoundError: No module named 'missing_dependency'"),
        ("broken:a", 2, "ZeroDivisionError: division by zero"),
        ("ending:a", 1, "SystemExit: 3"),
    ],
)
def test_an_error_inside_the_module_is_shown_where_it_is(
    target: str, line: int, error: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_agents([target])
    first, *lines = str(caught.value).splitlines()
    name = target.removesuffix(":a")
    assert first == f"The module {name!r} cannot be imported:"
    assert lines[-1] == error
    assert any(f'{tmp_path / name}.py", line {line},' in each for each in lines)
    assert "importlib" not in str(caught.value)
