"""The embedded PostgreSQL keeps its data, its port and its manners."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from ports import free_port

from kern.errors import ConfigurationError
from kern.local.postgres import EmbeddedPostgres


@contextmanager
def embedded(**options: str) -> Iterator[EmbeddedPostgres]:
    # Not tmp_path: as root the server runs under a user of its own, to whom that is closed.
    data = Path(tempfile.mkdtemp(prefix="kern postgres-"))
    server = EmbeddedPostgres(data, free_port(), options={"fsync": "off", **options})
    try:
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(data)


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """One that was never started."""
    with embedded() as server:
        yield server


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedPostgres]:
    """One that runs, with what other tests have left in it."""
    with embedded(max_connections="17") as server:
        server.data.chmod(0o755)
        server.start()
        yield server


async def ask(server: EmbeddedPostgres, sql: str, url: str | None = None) -> object:
    connection = await asyncpg.connect(url or server.url, timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_starts_once_and_stops_once_also_after_a_creation_that_was_interrupted(
    server: EmbeddedPostgres,
) -> None:
    assert not server.running()
    unfinished = server.data / "unfinished"  # As a creation that was interrupted leaves it.
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    server.start()
    server.start()
    assert server.running()
    assert server.served_port() == server.port
    assert str(await ask(server, "SHOW server_version")).startswith("18")
    server.stop()
    server.stop()
    assert not server.running()


async def test_has_the_vector_extension(running: EmbeddedPostgres) -> None:
    assert await ask(running, "CREATE EXTENSION IF NOT EXISTS vector") is None
    assert await ask(running, "SELECT '[1,2]'::vector <-> '[1,5]'::vector") == 3.0


async def test_settings_reach_the_server(running: EmbeddedPostgres) -> None:
    assert await ask(running, "SHOW max_connections") == "17"
    assert await ask(running, "SHOW fsync") == "off"
    assert await ask(running, "SHOW listen_addresses") == "127.0.0.1"


async def test_keeps_what_was_committed_before_a_crash(running: EmbeddedPostgres) -> None:
    await ask(running, "CREATE TABLE kept AS SELECT 42 AS answer")
    running.stop("immediate")
    assert not running.running()
    running.start()
    assert await ask(running, "SELECT answer FROM kept") == 42


async def test_refuses_a_wrong_password(running: EmbeddedPostgres) -> None:
    stranger = EmbeddedPostgres(running.data, running.port, password="guess")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(stranger, "SELECT 1")


async def test_the_well_known_user_reaches_nothing_outside_its_databases(
    running: EmbeddedPostgres,
) -> None:
    await ask(running, "CREATE TABLE said (line text)")
    for sql in (
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY said FROM PROGRAM 'id'",
        "COPY said FROM '/etc/passwd'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/kern-exported')",
        "SET ROLE postgres",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "ALTER SYSTEM SET archive_command = 'id'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(running, sql)


async def test_the_well_known_user_owns_its_databases_and_may_create_more(
    running: EmbeddedPostgres,
) -> None:
    assert await ask(running, "SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER") is False
    await ask(running, "CREATE SCHEMA mine")
    await ask(running, "CREATE DATABASE another")
    another = running.url.removesuffix("ai") + "another"
    assert await ask(running, "SELECT '[1,2]'::vector <-> '[1,5]'::vector", another) == 3.0


async def test_the_superuser_needs_its_password(running: EmbeddedPostgres) -> None:
    for password in ("", "ai", "postgres"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(running, "SELECT 1", running.url.replace("ai:ai@", f"postgres:{password}@"))
    superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER"
    assert await ask(running, superuser, running.superuser_url) is True


def test_only_its_owner_can_read_the_superusers_password(running: EmbeddedPostgres) -> None:
    secret = running.data / "superuser-password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(secret.read_text()) >= 32
    if os.geteuid() == 0:
        read = subprocess.run(["cat", secret], user="nobody", group="nogroup", capture_output=True)
        assert (read.returncode, read.stdout) == (1, b"")
        assert b"Permission denied" in read.stderr


def test_refuses_data_whose_superuser_everybody_knows(server: EmbeddedPostgres) -> None:
    server.start()
    (server.data / "superuser-password").unlink()
    for _ in ("running", "stopped"):
        with pytest.raises(ConfigurationError, match=r"older kern.* mv .*postgresql-18.*\.old"):
            server.start()
        server.stop()


def test_says_which_port_is_taken(server: EmbeddedPostgres) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port))
        other.listen()
        with pytest.raises(ConfigurationError, match=f"port {server.port} .*another port"):
            server.start()


def test_says_where_it_already_runs(running: EmbeddedPostgres) -> None:
    with pytest.raises(ConfigurationError, match=f"already runs, on port {running.port}"):
        EmbeddedPostgres(running.data, free_port()).start()


async def test_quotes_unusual_names(server: EmbeddedPostgres) -> None:
    server.user, server.password, server.database = "a-i", "it's/@", 'my "base"'
    server.start()
    assert await ask(server, "SELECT current_database()") == 'my "base"'


def test_processes_may_start_it_together(server: EmbeddedPostgres) -> None:
    kern = str(Path(sys.executable).with_name("kern"))
    command = [kern, "db", "up", "--port", str(server.port), "--data", str(server.data)]
    starts = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [start.wait(timeout=50) for start in starts] == [0, 0, 0]
