"""The examples in docstrings do what they show, and every public class has one."""

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kern
from kern.errors import KernError
from kern.run.event import RunContentEvent, RunContinuedEvent, RunOutputEvent

ROOT = Path(kern.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text()
)

CHECKOUT = Path(__file__).parent.parent
IMPORT = re.compile(r"^ *from (kern[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)


def shown() -> Iterator[tuple[str, str]]:
    """Yield what users are shown to import: a module, and a name of it."""
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
    for file in [*pages, *(CHECKOUT / "cookbook").rglob("*.py")]:
        for module, several, one in IMPORT.findall(file.read_text()):
            for name in re.split(r"[,\n]", several or one):
                if name := name.partition("#")[0].partition(" as ")[0].strip():
                    yield module, name


def public() -> dict[str, type]:
    """Return the public classes: what users are shown, and what its modules export beside it."""
    names = {("kern", name) for name in kern.__all__} | {*shown()}
    for module in {module for module, _ in names}:
        exported = getattr(importlib.import_module(module), "__all__", ())
        names |= {(module, name) for name in exported}
    found = (getattr(importlib.import_module(module), name) for module, name in names)
    return {
        f"{each.__module__}.{each.__qualname__}": each
        for each in found
        if isinstance(each, type) and each.__module__.startswith("kern.")
    }


def names_a_case(cls: type) -> bool:
    """Say whether a class is an error or event that has nothing but its name: see its base."""
    has = {name for name in vars(cls) if not name.startswith("_")}
    return issubclass(cls, KernError | RunOutputEvent) and not (
        has or inspect.get_annotations(cls) or "__init__" in vars(cls)
    )


PUBLIC = public()


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


def test_there_are_examples() -> None:
    assert len(MODULES) > 60
    assert len(PUBLIC) > 120


def test_every_public_class_has_an_example() -> None:
    without = [
        name
        for name, cls in PUBLIC.items()
        if ">>> " not in (cls.__doc__ or "") and not names_a_case(cls)
    ]
    assert sorted(without) == []


def test_a_case_of_an_event_is_told_from_one_with_fields() -> None:
    assert names_a_case(RunContinuedEvent)
    assert not names_a_case(RunContentEvent)
    assert not names_a_case(kern.SqliteDb)
