"""Import paths, ``module:name``, of functions and classes at the level of a module."""

import sys
from importlib import import_module

from kern.tools.function import FunctionTool


def path_of(value: object) -> str | None:
    """Return under which path other processes import this very value; None where there is none.

    What is kern's own has the shortest one, under which users know it.

    Args:
        value: a function, a class, or what ``@tool`` has made of a function.
    """
    named = value.function if isinstance(value, FunctionTool) else value
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    parts = module.split(".")
    shortest = 1 if parts[0] == "kern" else len(parts)
    for count in range(shortest, len(parts) + 1):
        shorter = ".".join(parts[:count])
        if _within(shorter, name) is value:
            return f"{shorter}:{name}"
    return None


def value_at(path: str) -> object:
    """Return what is at a path; its module is imported for it.

    Args:
        path: the path.

    Raises:
        LookupError: there is nothing, or something that names itself otherwise.
        Exception: what the module raises.
    """
    module, _, name = path.partition(":")
    import_module(module)
    found = _within(module, name)
    if found is None or path_of(found) != path:
        raise LookupError(f"There is no {name!r:.100} in {module!r:.100}.")
    return found


def _within(module: str, name: str) -> object:
    """Return what a module that is imported has under a name, or None."""
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
