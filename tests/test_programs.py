"""Every program that users are shown can be imported, as ``kern worker`` does, without a run."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.agent import Agent

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = sorted((ROOT / "cookbook").rglob("*.py"))

# All methods of an agent but those that only make something; and ``run`` is what asyncio, uvicorn
# and others begin with.
MAKE = {"as_tool", "conversation"}
VERBS = {name for name in dir(Agent) if not name.startswith("_") and callable(getattr(Agent, name))}
VERBS -= MAKE

BLOCK = re.compile(r"^( *)```(?:python|py)\b[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def programs() -> Iterator[tuple[str, str]]:
    """Yield what can be imported: where it is, and its text. A fragment imports nothing."""
    for page in PAGES:
        for number, (_, text) in enumerate(BLOCK.findall(page.read_text()), 1):
            if re.search(r"^(?:import|from) ", text, re.MULTILINE):
                yield f"{page.relative_to(ROOT)}, block {number}", text
    for script in SCRIPTS:
        yield str(script.relative_to(ROOT)), script.read_text()


def begun_on_import(node: ast.AST) -> Iterator[str]:
    """Yield the calls of verbs that are made where a module is imported."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            return
        case ast.If() if ast.unparse(node.test) == "__name__ == '__main__'":
            return
        case ast.Call(func=ast.Attribute(attr=name)) if name in VERBS:
            yield ast.unparse(node)
    for each in ast.iter_child_nodes(node):
        yield from begun_on_import(each)


PROGRAMS = dict(programs())


def test_there_are_programs() -> None:
    assert len(PROGRAMS) > 20
    assert {"run", "arun", "print_response", "retry_run"} <= VERBS


@pytest.mark.parametrize("where", PROGRAMS)
def test_nothing_is_begun_by_an_import(where: str) -> None:
    begun = [*begun_on_import(ast.parse(PROGRAMS[where]))]
    assert begun == [], "put it under: if __name__ == '__main__'"


@pytest.mark.parametrize(
    "text",
    [
        "agent.run('Hi')",
        "asyncio.run(main())",
        "answer = agent.run('Hi').content",
        "for event in agent.stream_run('run'): print(event)",
        "try:\n    agent.print_response('Hi')\nfinally:\n    pass",
        "class App:\n    first = agent.run('Hi')",
    ],
)
def test_what_is_begun_by_an_import_is_seen(text: str) -> None:
    assert [*begun_on_import(ast.parse(text))] != []
    guarded = "if __name__ == '__main__':\n    " + text.replace("\n", "\n    ")
    assert [*begun_on_import(ast.parse(guarded))] == []
