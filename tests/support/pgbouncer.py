"""A PgBouncer in transaction mode before a PostgreSQL, where one is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from ports import free_port

from kern.local.postgres import EmbeddedPostgres

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin")


class PgBouncer:
    """Runs from its start to its end, in a directory of its own."""

    def __init__(self, postgres: EmbeddedPostgres, mode: str = "transaction", **settings: str):
        self.port = free_port()
        self.url = postgres.url.replace(f":{postgres.port}/", f":{self.port}/")
        # Not pytest's own directory: that is closed to the user under which PgBouncer runs.
        self._directory = tempfile.TemporaryDirectory(prefix="kern-pgbouncer-")
        Path(self._directory.name).chmod(0o755)
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": "4",
            "max_client_conn": "200",
            "server_login_retry": "1",
            **({"user": "nobody"} if os.geteuid() == 0 else {}),
            **settings,
        }
        server = (
            f"host=127.0.0.1 port={postgres.port} user={postgres.user} "
            f"password={postgres.password} dbname={postgres.database}"
        )
        lines = [f"[databases]\n* = {server}\n[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        self._file = Path(self._directory.name, "pgbouncer.ini")
        self._file.write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(self._file)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise TimeoutError("PgBouncer did not start")

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        self._directory.cleanup()
