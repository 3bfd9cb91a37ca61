"""What an agent is defined with, checked before anything comes of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar, get_args

from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.execution.spec import HistoryAgents
from kern.keywords import shown
from kern.models.base import ToolChoice
from kern.run.message import Role
from kern.run.numbers import check_count

Item = TypeVar("Item")


def check_db(db: object, **needing: bool) -> Database | None:
    """Return an agent's database.

    Args:
        db: the database, or None for none.
        needing: by the names of the arguments that are without effect where there is none, whether
            they are set.

    Raises:
        ConfigurationError: it is no database, or there is none and an argument needs it.
    """
    if isinstance(db, Database):
        return db
    if db is not None:
        raise ConfigurationError(
            f"db must be a database, not {shown(db, type(db).__name__)}. Write "
            "db=PostgresDb(db_url=...), db=SqliteDb('kern.db') or db=InMemoryDb()."
        )
    check_needed(
        "a database",
        "Give the agent one: db=SqliteDb('kern.db'), db=PostgresDb(db_url=...), or db=InMemoryDb() "
        "for as long as the process lives.",
        **needing,
    )
    return None


def check_needed(missing: str, remedy: str, **needing: bool) -> None:
    """Make sure that no argument is without effect.

    Args:
        missing: what there is not.
        remedy: what to do about it.
        needing: by the names of the arguments that need it, whether they are set.

    Raises:
        ConfigurationError: one is.
    """
    if unused := [name for name, is_set in needing.items() if is_set]:
        raise ConfigurationError(
            f"Without {missing} there is no effect of: {', '.join(unused)}. {remedy}"
        )


def check_flag(name: str, value: object) -> bool:
    """Return an argument that is True or False.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"{name} must be True or False, not {value!r:.50}.")


def check_list(name: str, values: Iterable[Item], kind: type, written: str) -> list[Item]:
    """Return the items of an argument that takes several.

    Args:
        name: the argument's name.
        values: what it was given.
        kind: what each item must be; ``object`` for anything.
        written: how it is written, for the error.

    Raises:
        ConfigurationError: it is no list, or an item is something else.
    """
    found: object = values
    if isinstance(found, (tuple, Iterable)) and not isinstance(found, str | bytes):
        items = list(values)
        wrong = [each for each in items if not isinstance(each, kind)]
        if not wrong:
            return items
        found = wrong[0]
    raise ConfigurationError(f"{name} must be a list, as in {written}, not {found!r:.80}.")


def check_text(name: str, value: str | Sequence[str] | None, *, several: bool = False) -> None:
    """Make sure that an argument is a text or None, or a list of texts.

    Raises:
        ConfigurationError: it is something else, of which a model would be told its ``repr``.
    """
    if value is None or isinstance(value, str):
        return
    is_list = several and isinstance(value, Sequence)
    if not is_list or not all(isinstance(each, str) for each in value):
        what = "a text, or a list of texts" if several else "a text"
        raise ConfigurationError(f"{name} must be {what}, not {value!r:.80}.")


def check_role(name: str, role: object) -> Role:
    """Return the role of a message that kern makes.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if isinstance(role, str) and role in _ROLES:
        return _ROLES[role]
    raise ConfigurationError(f"{name} must be one of {', '.join(_ROLES)}, not {role!r:.80}.")


# OpenAI's name for it; each provider is sent its own.
_ROLES: Mapping[str, Role] = {
    **{role: role for role in get_args(Role) if role != "tool"},
    "developer": "system",
}


def check_history(add: bool, runs: int | None, agents: HistoryAgents) -> int:
    """Return how many earlier runs of the session an agent's model is shown, if it is shown any.

    Args:
        add: whether it is shown them.
        runs: how many; None for the default.
        agents: whose.

    Raises:
        ConfigurationError: one of them cannot be used.
    """
    if agents not in _HISTORY_AGENTS:
        raise ConfigurationError(f"history_agents must be 'own' or 'all': {agents!r}.")
    check_flag("add_history_to_context", add)
    runs = 3 if runs is None else runs
    return check_count("num_history_runs", runs, ConfigurationError, least=0)


_HISTORY_AGENTS = get_args(HistoryAgents)


def check_tool_choice(choice: object, tools: Collection[str] | None) -> ToolChoice | None:
    """Return whether an agent's model is to call tools.

    Args:
        choice: what was given; a dict that names a function becomes the function's name, which all
            providers understand.
        tools: the names of the tools, or None where they are not known yet.

    Raises:
        ConfigurationError: it is none of the choices, or there is no such tool.
    """
    if isinstance(choice, Mapping):
        within = choice.get("function", choice)
        name = within.get("name") if isinstance(within, Mapping) else None
        if choice.get("type") not in ("function", "tool") or not isinstance(name, str):
            return dict(choice)
        choice = name
    if choice is None or choice in _CHOICES:
        return choice
    if isinstance(choice, str) and (tools is None or choice in tools):
        return choice
    known = ", ".join([*map(repr, (*_CHOICES, *(tools or ())))])
    raise ConfigurationError(
        f"tool_choice must be one of {known}, or a dict in the provider's form, not {choice!r:.80}."
    )


_CHOICES = ("none", "auto", "required")
