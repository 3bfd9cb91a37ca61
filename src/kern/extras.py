"""The packages that only an extra of the distribution brings, and what to do if one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from kern.errors import MissingExtraError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import packages of an extra in a ``with`` statement.

    Args:
        name: the extra, as in ``pip install 'kern-agents[name]'``.

    Raises:
        MissingExtraError: one of the packages is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", "kern"):
            raise
        raise MissingExtraError(module, name) from error
