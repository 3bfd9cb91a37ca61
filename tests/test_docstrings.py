"""The examples in docstrings do what they show, and every public class has one."""

import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kern.errors

ROOT = Path(kern.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text()
)

CHECKOUT = Path(__file__).parent.parent
IMPORT = re.compile(r"^ *from (kern[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| `(kern\.[\w.]+)` \|", re.MULTILINE)


def shown() -> Iterator[tuple[str, str]]:
    """Yield what users are shown to import: a module, and a name of it."""
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
    for file in [*pages, *(CHECKOUT / "cookbook").rglob("*.py")]:
        text = file.read_text()
        yield from ((module, name) for name, module in ROW.findall(text))
        for module, several, one in IMPORT.findall(text):
            for name in re.split(r"[,\n]", several or one):
                if name := name.partition("#")[0].partition(" as ")[0].strip():
                    yield module, name


def public() -> dict[str, type]:
    """Return the public classes: what users are shown, and what its modules export beside it."""
    names = {("kern", name) for name in kern.__all__} | {*shown()}
    for module in {module for module, _ in names}:
        exported = getattr(importlib.import_module(module), "__all__", ())
        names |= {(module, name) for name in exported}
    names |= {("kern.errors", name) for name in vars(kern.errors) if name.endswith("Error")}
    found = (getattr(importlib.import_module(module), name) for module, name in names)
    return {
        f"{each.__module__}.{each.__qualname__}": each
        for each in found
        if isinstance(each, type) and each.__module__.startswith("kern.")
    }


PUBLIC = public()


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


def test_there_are_examples() -> None:
    assert len(MODULES) > 60
    assert len(PUBLIC) > 120


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_class_has_an_example(name: str) -> None:
    assert ">>> " in (PUBLIC[name].__doc__ or "")
