"""The package itself: the everyday names, and what it costs to import it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kern


def python(code: str) -> str:
    """Return what a new interpreter prints."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stdout


def test_to_import_kern_imports_nothing_that_takes_time() -> None:
    code = (
        "import sys; before = {*sys.modules}; import kern; print(*sorted({*sys.modules} - before))"
    )
    assert python(code).split() == ["kern"]


def test_every_name_is_there_once_it_is_used() -> None:
    assert python("from kern import *; print(Agent.__name__, tool.__name__)") == "Agent tool\n"
    for name in kern.__all__:
        assert getattr(kern, name).__name__ == name
        assert name in dir(kern)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'kern' has no attribute 'Crew'"):
        kern.Crew  # noqa: B018


def test_type_checkers_see_the_names_that_there_are() -> None:
    module = ast.parse(Path(kern.__file__).read_text())
    [block] = [each for each in module.body if isinstance(each, ast.If)]
    seen = {
        alias.name: each.module
        for each in block.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
    assert seen == kern._MODULES
    assert sorted(seen) == sorted(kern.__all__)
