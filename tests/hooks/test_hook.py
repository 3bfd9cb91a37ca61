"""What marks a function as a hook."""

from functools import partial
from typing import Any

import pytest

from kern.errors import ConfigurationError
from kern.hooks import hook, runs_in_background


def note(run_output: Any) -> None:
    """Note it."""


def test_a_mark_leaves_the_function_as_it_is() -> None:
    marked = hook(run_in_background=True)(note)
    assert marked is note
    assert runs_in_background(note)
    hook(note)
    assert not runs_in_background(note)


class Noting:
    """Notes in the background."""

    @hook(run_in_background=True)
    def note(self, run_output: Any) -> None:
        """Note it."""


def test_a_method_keeps_its_mark() -> None:
    assert runs_in_background(Noting().note)


@pytest.mark.parametrize("function", [5, None, "name"])
def test_what_is_no_function_is_refused(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="marks functions"):
        hook(run_in_background=True)(function)


def test_what_is_no_bool_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="run_in_background"):
        hook(run_in_background="yes")  # type: ignore[call-overload] # on purpose


def test_a_partial_can_be_marked() -> None:
    assert runs_in_background(hook(run_in_background=True)(partial(note)))
