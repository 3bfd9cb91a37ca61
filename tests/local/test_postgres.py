"""The embedded PostgreSQL keeps its data, its port and its manners."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from ports import free_port

from kern.errors import ConfigurationError
from kern.local.postgres import EmbeddedPostgres


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    # Not tmp_path: as root the server runs under a user of its own, to whom that is closed.
    data = Path(tempfile.mkdtemp(prefix="kern postgres-"))
    server = EmbeddedPostgres(data, free_port(), options={"fsync": "off"})
    yield server
    server.stop("immediate")
    shutil.rmtree(data)


async def ask(server: EmbeddedPostgres, sql: str, url: str | None = None) -> object:
    connection = await asyncpg.connect(url or server.url, timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_starts_once_and_stops_once(server: EmbeddedPostgres) -> None:
    assert not server.running()
    server.start()
    server.start()
    assert server.running()
    assert server.served_port() == server.port
    assert str(await ask(server, "SHOW server_version")).startswith("18")
    server.stop()
    server.stop()
    assert not server.running()


async def test_has_the_vector_extension(server: EmbeddedPostgres) -> None:
    server.start()
    assert await ask(server, "CREATE EXTENSION IF NOT EXISTS vector") is None
    assert await ask(server, "SELECT '[1,2]'::vector <-> '[1,5]'::vector") == 3.0


async def test_settings_reach_the_server(server: EmbeddedPostgres) -> None:
    server.options["max_connections"] = "17"
    server.start()
    assert await ask(server, "SHOW max_connections") == "17"
    assert await ask(server, "SHOW fsync") == "off"
    assert await ask(server, "SHOW listen_addresses") == "127.0.0.1"


async def test_keeps_what_was_committed_before_a_crash(server: EmbeddedPostgres) -> None:
    server.start()
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop("immediate")
    assert not server.running()
    server.start()
    assert await ask(server, "SELECT answer FROM kept") == 42


async def test_refuses_a_wrong_password(server: EmbeddedPostgres) -> None:
    server.start()
    stranger = EmbeddedPostgres(server.data, server.port, password="guess")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(stranger, "SELECT 1")


async def test_the_well_known_user_reaches_nothing_outside_its_databases(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    await ask(server, "CREATE TABLE said (line text)")
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
            await ask(server, sql)


async def test_the_well_known_user_owns_its_databases_and_may_create_more(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    assert await ask(server, "SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER") is False
    await ask(server, "CREATE SCHEMA mine")
    await ask(server, "CREATE DATABASE another")
    another = server.url.removesuffix("ai") + "another"
    assert await ask(server, "SELECT '[1,2]'::vector <-> '[1,5]'::vector", another) == 3.0


async def test_the_superuser_needs_its_password(server: EmbeddedPostgres) -> None:
    server.start()
    for password in ("", "ai", "postgres"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(server, "SELECT 1", server.url.replace("ai:ai@", f"postgres:{password}@"))
    superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER"
    assert await ask(server, superuser, server.superuser_url) is True


def test_only_its_owner_can_read_the_superusers_password(server: EmbeddedPostgres) -> None:
    server.data.chmod(0o755)
    server.start()
    secret = server.data / "superuser-password"
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


def test_says_where_it_already_runs(server: EmbeddedPostgres) -> None:
    server.start()
    with pytest.raises(ConfigurationError, match=f"already runs, on port {server.port}"):
        EmbeddedPostgres(server.data, free_port()).start()


async def test_mends_a_creation_that_was_interrupted(server: EmbeddedPostgres) -> None:
    unfinished = server.data / "unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    server.start()
    assert await ask(server, "SELECT 1") == 1


async def test_quotes_unusual_names(server: EmbeddedPostgres) -> None:
    server.user, server.password, server.database = "a-i", "it's/@", 'my "base"'
    server.start()
    assert await ask(server, "SELECT current_database()") == 'my "base"'


def test_processes_may_start_it_together(server: EmbeddedPostgres) -> None:
    kern = str(Path(sys.executable).with_name("kern"))
    command = [kern, "db", "up", "--port", str(server.port), "--data", str(server.data)]
    starts = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [start.wait(timeout=50) for start in starts] == [0, 0, 0]
