"""Finds the agents that a command is given as ``module:attribute``, as uvicorn finds an app."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from kern.agent import Agent
from kern.agent.request import importing
from kern.errors import ConfigurationError

_TRACEBACK_LINES = 8

_KERN = Path(__file__).parents[2]


def load_agents(targets: Sequence[str]) -> list[Agent[Any, Any]]:
    """Return the agents that the targets name, each once.

    The modules are looked for in the current directory first.

    Args:
        targets: each ``module:attribute``; the attribute is an agent, or a list or tuple of agents.

    Raises:
        ConfigurationError: a target names no agents, or its module cannot be imported.
    """
    if sys.path[:1] != [os.getcwd()]:
        sys.path.insert(0, os.getcwd())
    return list(dict.fromkeys(agent for target in targets for agent in _load(target)))


def _load(target: str) -> Sequence[Agent[Any, Any]]:
    name, _, attribute = target.partition(":")
    if not name or not attribute:
        raise ConfigurationError(
            f"{target!r} is no target. Write module:attribute, such as app:agents."
        )
    if "/" in name or name.startswith(".") or name.endswith(".py"):
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigurationError(f"{name!r} is no name of a module. Write {dotted}:{attribute}.")
    module = _import(name)
    try:
        found = attrgetter(attribute)(module)
    except AttributeError:
        raise ConfigurationError(
            f"The module {name!r} has no {attribute!r}. {_offer(module)}"
        ) from None
    if isinstance(found, Agent):
        return [found]
    if not isinstance(found, list | tuple):
        raise ConfigurationError(
            f"{target} is no agent, but of type {type(found).__name__}. {_offer(module)}"
        )
    if not found:
        raise ConfigurationError(f"{target} is empty. Put at least one agent into it.")
    for each in found:
        if not isinstance(each, Agent):
            raise ConfigurationError(
                f"{target} holds something of type {type(each).__name__}. It may hold agents only."
            )
    return found


def _import(name: str) -> ModuleType:
    token = importing.set(name)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise ConfigurationError(
                f"There is no module named {missing!r} in {os.getcwd()} or on the Python path. "
                f"Start the command in the directory where it is, or set PYTHONPATH."
            ) from None
        raise ConfigurationError(
            f"The module {name!r} cannot be imported:\n{_last_lines(error)}"
        ) from None
    finally:
        importing.reset(token)


def _last_lines(error: BaseException) -> str:
    """Return the end of a traceback, without what lies in kern, and in Python's import."""
    told = traceback.TracebackException.from_exception(error)
    told.stack[:] = [
        frame
        for frame in told.stack
        if not Path(frame.filename).is_relative_to(_KERN) and "importlib" not in frame.filename
    ]
    return "\n".join("".join(told.format()).splitlines()[-_TRACEBACK_LINES:])


def _offer(module: ModuleType) -> str:
    """Say what of a module is a target."""
    names = [name for name, value in vars(module).items() if _holds_agents(value)]
    if not names:
        return "There are no agents in it."
    return f"Its agents are {', '.join(f'{module.__name__}:{name}' for name in names)}."


def _holds_agents(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(each, Agent) for each in value)
    return isinstance(value, Agent)
