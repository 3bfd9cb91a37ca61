"""PgQueuer's tables, beside kern's own."""

from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver


def queue_settings(schema: str) -> DBSettings:
    """Return how PgQueuer's objects in ``schema`` are named.

    PgQueuer takes these names from the environment, under names as short as ``CHANNEL``. They
    are all given here, so that nothing in a user's environment moves them.
    """
    return DBSettings(
        prefix="",
        db_schema=schema,
        channel=Channel(f"kern_queue_{schema}"),
        function="fn_pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
        durability=Durability.durable,
    )


def queue_queries(driver: Driver, schema: str) -> Queries:
    """Return PgQueuer's statements for the queue in ``schema``, sent over ``driver``."""
    settings = queue_settings(schema)
    return Queries(
        driver,
        qbe=QueryBuilderEnvironment(settings),
        qbq=QueryQueueBuilder(settings),
        qbs=QuerySchedulerBuilder(settings),
    )


def install_sql(schema: str) -> str:
    """Return the SQL that makes PgQueuer's objects in ``schema``, which exists."""
    environment = QueryBuilderEnvironment(queue_settings(schema))
    return environment.build_install_query(create_schema=False)
