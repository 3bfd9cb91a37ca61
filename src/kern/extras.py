"""The packages that only an extra of the distribution brings, and what to do if one is missing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from kern.errors import MissingExtraError, MissingLibraryError

# How the C library says that it has not found what a package was linked with.
_LIBRARY = re.compile(r"(lib[\w.+-]+\.so\.\d+): cannot open shared object file")


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import packages of an extra in a ``with`` statement.

    Args:
        name: the extra, as in ``pip install 'kern-agents[name]'``.

    Raises:
        MissingExtraError: one of the packages is not installed.
        MissingLibraryError: one of them needs a library of the system that is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", "kern"):
            raise
        raise MissingExtraError.of(module, name) from error
    except ImportError as error:
        library = _LIBRARY.match(str(error))
        if library is None:
            raise
        raise MissingLibraryError.of(library[1]) from error
