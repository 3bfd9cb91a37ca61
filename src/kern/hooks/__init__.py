"""What marks the functions that an agent calls before and after its runs."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

from kern.errors import ConfigurationError

__all__ = ["hook", "runs_in_background"]

Function = TypeVar("Function", bound=Callable[..., Any])

_MARK = "__kern_run_in_background__"


@overload
def hook(function: Function) -> Function: ...


@overload
def hook(*, run_in_background: bool = False) -> Callable[[Function], Function]: ...


def hook(
    function: Function | None = None, *, run_in_background: bool = False
) -> Function | Callable[[Function], Function]:
    """Say how a function is called as a pre- or post-hook; a function needs no ``@hook`` to be one.

    Args:
        function: the function, where it stands without brackets.
        run_in_background: call it once the run has its answer, beside everything that follows, so
            that nobody waits for it. It can refuse and change nothing. See ``docs/guides/hooks.md``
            for what becomes of it where its process is lost.

    Raises:
        ConfigurationError: it is no function, or ``run_in_background`` no bool.

    Example:
        >>> @hook(run_in_background=True)
        ... def note(run_output):
        ...     print(run_output.content)
        >>> runs_in_background(note), runs_in_background(print)
        (True, False)
    """
    if not isinstance(run_in_background, bool):
        raise ConfigurationError(
            f"run_in_background must be a bool, not {run_in_background!r:.80}."
        )

    def marked(function: Function) -> Function:
        if not callable(function):
            raise ConfigurationError(f"@hook marks functions, not {function!r:.80}.")
        setattr(function, _MARK, run_in_background)
        return function

    return marked if function is None else marked(function)


def runs_in_background(function: object) -> bool:
    """Say whether a hook is called beside what follows the answer."""
    return getattr(function, _MARK, False) is True
