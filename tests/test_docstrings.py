"""The examples in docstrings do what they show."""

import doctest
import importlib
import pkgutil

import pytest

import kern

# What begins a program when it is imported.
_PROGRAMS = ("kern.testing.__main__",)

MODULES = [
    each.name
    for each in pkgutil.walk_packages(kern.__path__, "kern.")
    if each.name not in _PROGRAMS
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_there_are_examples() -> None:
    find = doctest.DocTestFinder().find
    found = [test for name in MODULES for test in find(importlib.import_module(name))]
    assert sum(bool(test.examples) for test in found) > 20
