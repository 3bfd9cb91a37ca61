"""Agents as JSON values: what of a program they name, how they are written down, and read again.

A value of the program (a function, a class, an object) is never at rest, only its name: by which a
``Registry`` finds it, or an import path from a module that the registry allows. This room knows no
agent; the kinds of values that only those have are given to it.
"""

from kern.registry.registry import Registry

__all__ = ["Registry"]
