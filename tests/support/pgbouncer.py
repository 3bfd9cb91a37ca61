"""A real PgBouncer in transaction mode before a PostgreSQL, where the machine has one."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ports import free_port

from kern.local.postgres import SYSTEM_USER, EmbeddedPostgres


@contextmanager
def pgbouncer_to(postgres: EmbeddedPostgres, directory: Path) -> Iterator[str]:
    """Run a PgBouncer in transaction mode, and yield the URL that goes through it."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    url, port = urlsplit(postgres.url), free_port()
    # The password is asked for in clear text, as PgBouncer logs in with it.
    (directory / "users.txt").write_text(f'"{url.username}" "{url.password}"\n')
    (directory / "pgbouncer.ini").write_text(
        "[databases]\n"
        f"* = host={url.hostname} port={url.port}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {directory / 'users.txt'}\n"
        "pool_mode = transaction\ndefault_pool_size = 10\nmax_client_conn = 200\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    shutil.chown(directory, SYSTEM_USER) if os.geteuid() == 0 else None
    process = subprocess.Popen(
        [program, "-q", str(directory / "pgbouncer.ini")],
        user=SYSTEM_USER if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{port}").geturl()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while True:
        assert process.poll() is None, "PgBouncer did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "PgBouncer does not listen"
        time.sleep(0.02)
