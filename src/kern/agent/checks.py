"""What an agent is defined with, checked before anything comes of it."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from kern.db.database import Database
from kern.errors import ConfigurationError

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
            f"db must be a database, not {type(db).__name__}. Write db=PostgresDb(db_url=...), "
            "db=SqliteDb('kern.db') or db=InMemoryDb()."
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
    if isinstance(found, Iterable) and not isinstance(found, str | bytes):
        items = list(values)
        wrong = [each for each in items if not isinstance(each, kind)]
        if not wrong:
            return items
        found = wrong[0]
    raise ConfigurationError(f"{name} must be a list, as in {written}, not {found!r:.80}.")


def check_flag(name: str, value: object) -> bool:
    """Return an argument that is True or False.

    Raises:
        ConfigurationError: it is something else; ``"no"`` would count as True.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r:.50}.")
    return value


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
