"""The names of tables as users give them; those beside the sessions' are named after it."""

from collections.abc import Mapping
from typing import TypedDict

from kern.db.database import check_identifier
from kern.errors import ConfigurationError
from kern.keywords import explanation


class OtherTables(TypedDict, total=False):
    """Names of tables that change nothing: kern's are all named after ``session_table``.

    So two databases differ by ``session_table`` alone, and the tables of one belong together.
    """

    runs_table: str | None
    events_table: str | None
    memory_table: str | None
    culture_table: str | None
    metrics_table: str | None
    eval_table: str | None
    knowledge_table: str | None
    traces_table: str | None
    spans_table: str | None
    versions_table: str | None
    components_table: str | None
    component_configs_table: str | None
    component_links_table: str | None
    learnings_table: str | None
    schedules_table: str | None
    schedule_runs_table: str | None
    approvals_table: str | None
    auth_tokens_table: str | None
    service_accounts_table: str | None
    id: str | None
    create_schema: bool


def check_tables(function: str, tables: Mapping[str, object], known: tuple[str, ...]) -> None:
    """Look at the names of tables that change nothing.

    Args:
        function: the class that takes them, for the error.
        tables: the names, by keyword.
        known: the other keywords of the class.

    Raises:
        TypeError: there is no such keyword.
        ConfigurationError: a name is not an identifier.
    """
    names = OtherTables.__annotations__
    for keyword, value in tables.items():
        if keyword not in names:
            raise TypeError(explanation(function, keyword, (*known, *names)))
        if keyword.endswith("_table") and value is not None:
            check_identifier(keyword, value)


def url_of(engine: object) -> str:
    """Return where a database is to which SQLAlchemy has an engine.

    Args:
        engine: an ``Engine`` or ``AsyncEngine``; only its URL is used.

    Raises:
        ConfigurationError: it is none.
    """
    render = getattr(getattr(engine, "url", None), "render_as_string", None)
    if render is None:
        raise ConfigurationError(
            f"db_engine must be an engine of SQLAlchemy, not {type(engine).__name__}: write "
            "db_engine=create_engine(...), or give the URL itself as db_url."
        )
    return str(render(hide_password=False))
