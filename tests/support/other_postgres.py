"""A PostgreSQL of another version than the packaged one, from programs that are on the machine."""

from pathlib import Path
from typing import Any

from typing_extensions import override

from kern.local.postgres import SUPERUSER, EmbeddedPostgres


class OtherPostgres(EmbeddedPostgres):
    """One PostgreSQL server of any version, without the extension ``vector``."""

    def __init__(self, programs: Path, data: Path, **settings: Any) -> None:
        """Start nothing yet.

        Args:
            programs: the directory of ``initdb``, ``postgres`` and ``pg_ctl``.
            data: directory of the server's data and log.
            settings: as those of ``EmbeddedPostgres``.
        """
        super().__init__(data, **settings)
        self._installed = programs

    @override
    def _programs(self) -> Path:
        return self._installed

    @override
    def _create(self) -> None:
        self._write_secret()
        self._run(
            "initdb",
            f"--pgdata={self._cluster}",
            f"--username={SUPERUSER}",
            f"--pwfile={self._secret}",
            "--auth-local=reject",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        self._run(
            *("postgres", "--single", "-D", self._cluster, "-c", "exit_on_error=on", "template1"),
            stdin=f"CREATE ROLE {self.user} LOGIN CREATEDB PASSWORD '{self.password}'\n"
            f"CREATE DATABASE {self.database} OWNER {self.user}\n",
        )
